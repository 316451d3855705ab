package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// nameRules are about names that the server refuses or returns in another form.
var nameRules = []*Rule{
	{
		Name:      "name-with-other-characters",
		Construct: "a name, other than an alias, with characters other than A to Z, 0 to 9 and _",
		Reason:    "the server has no such names; write the name of the column",
		Needs:     tree.HasStrangeName | tree.HasBackquotes,
		look: func(l *look) {
			aliases := l.aliases()
			done := make(map[int]bool)
			for _, id := range l.script.Odd {
				at := l.st.Place()
				if id.Start < at.Start || id.End > at.End || done[id.Start] {
					continue
				}
				done[id.Start] = true
				raw := id.Of(l.script.Text)
				switch {
				case !id.Quoted: // such as count, which is a column only in quotes
					l.replace(id.Span, `"`+id.Name+`"`)
				case plain(id.Name):
					l.replace(id.Span, `"`+raw[1:len(raw)-1]+`"`)
				case !slices.Contains(aliases, id.Name):
					l.refuse(id, "")
				default:
					l.replace(id.Span, `"`+invented(id.Name)+`"`)
				}
			}
		},
	},
	{
		Name:      "alias-as-written",
		Construct: "an alias with capital letters or other characters",
		Reason:    "the server returns it in lower case, or count in capitals; the driver names the column of the result as written",
		Needs:     tree.HasCapitalAlias | tree.HasStrangeName,
		look: func(l *look) {
			s := outermost(l.st)
			if s == nil {
				return
			}
			if s.Star {
				l.aliasesBehindStar()
				return
			}
			var names []string
			for i := range s.Targets {
				name := ""
				if a := s.Targets[i].Alias; a.Given() {
					switch raw := a.Of(l.script.Text); {
					case a.Quoted:
						name = raw[1 : len(raw)-1]
					default:
						name = strings.ToLower(raw)
					}
				}
				names = append(names, name)
			}
			if l.plan.Names == nil {
				l.plan.Names = make(map[int][]string)
			}
			l.plan.Names[l.index] = names
		},
	},
}

// aliasesBehindStar records how the aliases of a subquery are written, for a query that
// selects * from it.
func (l *look) aliasesBehindStar() {
	written := make(map[string]string)
	l.each(func(n tree.Node) bool {
		s, ok := n.(*tree.Select)
		for i := 0; ok && i < len(s.Targets); i++ {
			a := s.Targets[i].Alias
			if !a.Given() {
				continue
			}
			name, server := a.Name, a.Name
			if a.Quoted {
				raw := a.Of(l.script.Text)
				name = raw[1 : len(raw)-1]
			}
			if !plain(a.Name) {
				server = invented(a.Name)
			}
			if other, twice := written[server]; twice && other != name {
				name = server // ambiguous
			}
			written[server] = name
		}
		return true
	})
	if l.plan.Aliases == nil {
		l.plan.Aliases = make(map[int]map[string]string)
	}
	l.plan.Aliases[l.index] = written
}

// aliases returns the aliases that the statement gives to columns.
func (l *look) aliases() []string {
	var list []string
	l.each(func(n tree.Node) bool {
		if s, ok := n.(*tree.Select); ok {
			for i := range s.Targets {
				if a := s.Targets[i].Alias; a.Given() {
					list = append(list, a.Name)
				}
			}
		}
		return true
	})
	return list
}

// outermost is the query that names the columns of the result, or nil.
func outermost(st tree.Node) *tree.Select {
	switch st := st.(type) {
	case *tree.Select:
		return st
	case *tree.With:
		return outermost(st.Body)
	case *tree.SetOperation:
		return firstSide(st)
	case *tree.Brackets:
		return outermost(st.Query)
	}
	return nil
}

// plain reports whether the server accepts a name.
func plain(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '_':
		default:
			return false
		}
	}
	return true
}

// invented returns the name to send in place of a name that the server refuses.
func invented(name string) string {
	return fmt.Sprintf("alias_%x", name)
}
