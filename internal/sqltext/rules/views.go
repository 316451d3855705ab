package rules

import "github.com/immudb-go/immudb/internal/sqltext/tree"

// viewRules are about views and sequences.
var viewRules = []*Rule{
	{
		Name:      "view-in-transaction",
		Construct: "a change of a view or sequence in a transaction or together with other statements",
		Reason:    "the server applies it at once and does not roll it back; run it alone, outside a transaction",
		Needs:     tree.HasDDL,
		look: func(l *look) {
			switch st := l.st.(type) {
			case *tree.CreateView, *tree.CreateSequence:
			case *tree.Drop:
				if st.What != "VIEW" && st.What != "SEQUENCE" {
					return
				}
			default:
				return
			}
			if !l.alone() {
				l.refuse(l.st, "")
			}
			l.refuseInTx(l.st, "")
		},
	},
	{
		Name:      "view-of-itself",
		Construct: "CREATE VIEW that reads itself, or a table or view that does not exist yet,",
		Reason: "the server accepts it, and crashes when a view that reads itself is read; " +
			"first create the tables and views that the view reads",
		Needs: tree.HasDDL,
		look: func(l *look) {
			v, ok := l.st.(*tree.CreateView)
			if !ok {
				return
			}
			names := tablesRead(v.Query)
			for _, t := range names {
				if t.Name.Name == v.Name.Name {
					l.refuse(t, "")
					return
				}
			}
			// The last view of a circle reads a view that cannot be read yet.
			l.refuseTables(v, "", nil, func(tables Tables, _ Args) bool {
				for _, t := range names {
					if tables.Table(t.Name.Name) == nil && !tables.IsView(t.Name.Name) {
						return false
					}
				}
				return true
			})
		},
	},
}

// tablesRead returns the tables and views that a query reads, without the queries of
// its WITH.
func tablesRead(n tree.Node) []*tree.Table {
	own := make(map[string]bool)
	tree.Inspect(n, func(n tree.Node) bool {
		if w, ok := n.(*tree.With); ok {
			for _, t := range w.Tables {
				own[t.Name.Name] = true
			}
		}
		return true
	})
	var list []*tree.Table
	tree.Inspect(n, func(n tree.Node) bool {
		if t, ok := n.(*tree.Table); ok && !own[t.Name.Name] {
			list = append(list, t)
		}
		return true
	})
	return list
}
