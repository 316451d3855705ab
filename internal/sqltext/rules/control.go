package rules

import "github.com/immudb-go/immudb/internal/sqltext/tree"

// controlRules are about statements that begin and end transactions or change the
// session.
var controlRules = []*Rule{
	{
		Name:      "transaction-in-text",
		Construct: "BEGIN",
		Reason:    "only BEGIN; …; COMMIT or ROLLBACK around the whole text is, and the server has no nested transactions; use sql.DB.BeginTx and the methods of sql.Tx",
		Needs:     tree.HasControl,
		look: func(l *look) {
			c, ok := l.st.(*tree.Control)
			if !ok || c.Kind > tree.Rollback {
				return
			}
			if !Enclosed(l.script) && !RolledBack(l.script) || l.index > 0 && l.index < len(l.script.Statements)-1 {
				l.refuse(c, c.Kind.String())
			}
			l.refuseInTx(c, c.Kind.String())
		},
	},
	{
		Name:      "session-change-beside-others",
		Construct: "USE DATABASE",
		Reason:    "it must be the only statement of its query and outside a transaction, because transactions do not include it",
		Needs:     tree.HasControl,
		look: func(l *look) {
			construct := ""
			switch st := l.st.(type) {
			case *tree.Use:
				if st.Snapshot {
					return
				}
				construct = "USE DATABASE"
			case *tree.CreateDatabase:
				construct = "CREATE DATABASE"
			case *tree.Access:
				if !l.alone() {
					l.refuse(st, st.What)
				}
				return
			default:
				return
			}
			if !l.alone() {
				l.refuse(l.st, construct)
			}
			l.refuseInTx(l.st, construct)
		},
	},
	{
		Name:      "alter-column",
		Construct: "ALTER COLUMN",
		Reason:    "the server accepts it and changes nothing; create a new table and copy the rows",
		Needs:     tree.HasDDL,
		look: func(l *look) {
			if a, ok := l.st.(*tree.AlterTable); ok && a.Action == tree.AlterColumn {
				l.refuse(a, "")
			}
		},
	},
}

// Enclosed reports whether the first statement of a text is BEGIN and the last is
// COMMIT, with others between them.
func Enclosed(s *tree.Script) bool { return encloses(s, tree.Commit) }

// RolledBack is Enclosed for a text that ends with ROLLBACK.
func RolledBack(s *tree.Script) bool { return encloses(s, tree.Rollback) }

func encloses(s *tree.Script, end tree.ControlKind) bool {
	n := len(s.Statements)
	return n > 2 && isControl(s.Statements[0], tree.Begin) && isControl(s.Statements[n-1], end)
}

func isControl(st tree.Statement, kind tree.ControlKind) bool {
	c, ok := st.(*tree.Control)
	return ok && c.Kind == kind
}
