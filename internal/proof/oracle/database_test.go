package oracle

import (
	"context"
	"crypto/sha256"
	"slices"
	"testing"

	"github.com/codenotary/immudb/embedded/sql"
	"github.com/codenotary/immudb/embedded/store"
	"github.com/codenotary/immudb/pkg/api/schema"
	"github.com/codenotary/immudb/pkg/database"

	"github.com/immudb-go/immudb/internal/proof"
)

// db is a real database; the tests call it as the server's request handlers do.
type db struct {
	t *testing.T
	database.DB
	chain   *proof.Chain
	catalog *proof.Catalog
	txs     []*proof.Tx
}

// noServer stands for the rest of the server, which the tests do not run. Its only user may do everything.
type noServer struct{ sql.MultiDBHandler }

func (noServer) GetLoggedUser(context.Context) (sql.User, error) { return admin{}, nil }

type admin struct{}

func (admin) Username() string           { return "admin" }
func (admin) Permission() sql.Permission { return sql.PermissionAdmin }
func (admin) SQLPrivileges() []sql.SQLPrivilege {
	return sql.DefaultSQLPrivilegesForPermission(sql.PermissionAdmin)
}

func openDatabase(t *testing.T) *db {
	t.Helper()
	opts := database.DefaultOptions().WithDBRootPath(t.TempDir()).WithStoreOptions(store.DefaultOptions().WithSynced(false))
	d, err := database.NewDB("db", noServer{}, opts, quiet{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return &db{t: t, DB: d, chain: proof.NewChain(), catalog: proof.NewCatalog()}
}

func (d *db) exec(statement string, params map[string]any) {
	d.t.Helper()
	named, err := schema.EncodeParams(params)
	if err != nil {
		d.t.Fatal(err)
	}
	if _, _, err := d.SQLExec(context.Background(), nil, &schema.SQLExecRequest{Sql: statement, Params: named}); err != nil {
		d.t.Fatalf("%s: %v", statement, err)
	}
}

// replay feeds all new transactions to chain and catalog, as an audit would.
func (d *db) replay() {
	d.t.Helper()
	now, err := d.CurrentState()
	if err != nil {
		d.t.Fatal(err)
	}
	for d.chain.State().TxID < now.TxId {
		stx, err := d.TxByID(context.Background(), &schema.TxRequest{Tx: d.chain.State().TxID + 1, EntriesSpec: &schema.EntriesSpec{
			KvEntriesSpec:  &schema.EntryTypeSpec{Action: schema.EntryTypeAction_ONLY_DIGEST},
			ZEntriesSpec:   &schema.EntryTypeSpec{Action: schema.EntryTypeAction_ONLY_DIGEST},
			SqlEntriesSpec: &schema.EntryTypeSpec{Action: schema.EntryTypeAction_RAW_VALUE},
		}})
		if err != nil {
			d.t.Fatal(err)
		}
		var es []proof.Entry
		for _, e := range stx.Entries {
			es = append(es, proof.Entry{
				Key: e.Key, Value: e.Value, ValueHash: schema.DigestFromProto(e.HValue),
				Metadata: entryMetadata(schema.KVMetadataFromProto(e.Metadata)),
			})
		}
		tx, err := d.chain.Append(header(schema.TxHeaderFromProto(stx.Header)), es)
		if err != nil {
			d.t.Fatal(err)
		}
		if err := d.catalog.Apply(tx); err != nil {
			d.t.Fatal(err)
		}
		d.txs = append(d.txs, tx)
	}
	if alh := schema.DigestFromProto(now.TxHash); d.chain.State().Alh != alh {
		d.t.Fatalf("the replayed history ends at %v, the database at %x", d.chain.State().Alh, alh)
	}
	if !d.catalog.Complete() || d.catalog.Through() != now.TxId {
		d.t.Fatal("the catalog is not complete")
	}
}

func (d *db) table(name string) *proof.Table {
	d.t.Helper()
	table, err := d.catalog.Table(name)
	if err != nil {
		d.t.Fatal(err)
	}
	return table
}

// get asks for a row and splits the answer into what is proven and what is claimed.
func (d *db) get(table string, trusted, at uint64, pk ...any) (*proof.RowProof, *proof.Table) {
	d.t.Helper()
	req := &schema.VerifiableSQLGetRequest{ProveSinceTx: trusted, SqlGetRequest: &schema.SQLGetRequest{Table: table, AtTx: at}}
	named := map[string]any{}
	for i, v := range pk {
		if id, ok := v.([16]byte); ok {
			v = uuidString(id)
		}
		named[string(rune('a'+i))] = v
	}
	params, err := schema.EncodeParams(named)
	if err != nil {
		d.t.Fatal(err)
	}
	slices.SortFunc(params, func(x, y *schema.NamedParam) int { return int(x.Name[0]) - int(y.Name[0]) })
	for _, p := range params {
		req.SqlGetRequest.PkValues = append(req.SqlGetRequest.PkValues, p.Value)
	}
	d.awaitIndex(table)
	a, err := d.VerifiableSQLGet(context.Background(), req)
	if err != nil {
		d.t.Fatalf("%s%v: %v", table, pk, err)
	}
	claim := &proof.Table{ID: a.TableId, Name: table, PrimaryKey: a.PKIDs, MaxColID: a.MaxColId}
	for id, name := range a.ColNamesById {
		claim.Columns = append(claim.Columns, proof.Column{ID: id, Name: name, Type: proof.Type(a.ColTypesById[id]), MaxLen: uint32(a.ColLenById[id])})
	}
	slices.SortFunc(claim.Columns, func(x, y proof.Column) int { return int(x.ID) - int(y.ID) })
	return &proof.RowProof{
		TxID: a.SqlEntry.Tx, Value: a.SqlEntry.Value, Metadata: entryMetadata(schema.KVMetadataFromProto(a.SqlEntry.Metadata)),
		Inclusion: entryProof(schema.InclusionProofFromProto(a.InclusionProof)),
		Dual:      dualProof(schema.DualProofFromProto(a.VerifiableTx.DualProof)),
	}, claim
}

// awaitIndex returns when the last writes to the table's rows are indexed. A query waits for the index; the call for a
// proof does not, and may find an older revision of the row or none.
func (d *db) awaitIndex(table string) {
	d.t.Helper()
	rows, err := d.SQLQueryAll(context.Background(), nil, &schema.SQLQueryRequest{Sql: "SELECT COUNT(*) FROM " + table})
	if err != nil || len(rows) != 1 {
		d.t.Fatalf("counting the rows of %s: %d rows, %v", table, len(rows), err)
	}
}

// state is what the history was after a transaction.
func (d *db) state(tx uint64) proof.State {
	d.t.Helper()
	alh, err := d.txs[tx-1].Header().Alh()
	if err != nil {
		d.t.Fatal(err)
	}
	return proof.State{TxID: tx, Alh: alh}
}

func TestTheAlhBeforeTheFirstTransactionIsTheHashOfNothing(t *testing.T) {
	d := openDatabase(t)
	now, err := d.CurrentState()
	if err != nil {
		t.Fatal(err)
	}
	if now.TxId != 0 || schema.DigestFromProto(now.TxHash) != sha256.Sum256(nil) {
		t.Errorf("an empty database is at %d, %x", now.TxId, now.TxHash)
	}
	if s := proof.NewChain().State(); s.TxID != 0 || s.Alh != sha256.Sum256(nil) {
		t.Errorf("an empty chain is at %v", s)
	}
}
