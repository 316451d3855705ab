package rules

import "github.com/immudb-go/immudb/internal/sqltext/tree"

// selfRules are about INSERT … SELECT.
var selfRules = []*Rule{
	{
		Name:      "select-from-target",
		Construct: "INSERT … SELECT from the table itself",
		Reason: "in a transaction or together with other statements it can crash the server; " +
			"run it alone, outside a transaction",
		Needs: tree.HasWrite,
		look: func(l *look) {
			i, ok := l.st.(*tree.Insert)
			if !ok || i.Query == nil {
				return
			}
			for _, t := range tablesRead(i.Query) {
				if t.Name.Name == i.Table.Name {
					if !l.alone() {
						l.refuse(t, "")
					}
					l.refuseInTx(t, "")
				}
			}
		},
	},
}
