package immudb_test
import ("testing";"context";"database/sql";"github.com/immudb-go/immudb")
func TestZZ(t *testing.T){ db:=openDB(t,proveCommits); db.SetMaxOpenConns(1)
 mustExec(t,db,"CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
 t.Log(db.Exec("CREATE DATABASE zzh9")); 
 c,_:=db.Conn(t.Context()); _,err:=c.ExecContext(t.Context(),"USE DATABASE zzh9"); t.Log(err)
 _,err=c.ExecContext(t.Context(),"CREATE TABLE u (id INTEGER, PRIMARY KEY id)"); t.Log(err)
 _,err=c.ExecContext(t.Context(),"INSERT INTO u (id) VALUES (1)"); t.Log(err)
 c.Close()
 t.Log(immudb.RunTx(t.Context(),db,nil,func(tx *sql.Tx) error { _,err:=tx.ExecContext(context.Background(),"INSERT INTO t (id) VALUES (5)"); return err}))
 _,err=immudb.VerifiedRow(t.Context(),db,"t",5); t.Log(err)
 // empty commit
 tx,_:=db.Begin(); t.Log(tx.Commit())
 t.Log(db.Exec("DELETE FROM t WHERE id = 77"))
}
