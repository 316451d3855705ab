package tree

import "strings"

func (p *parser) create(start int) Statement {
	p.advance()
	switch {
	case p.accept(kwDatabase):
		p.has |= HasControl
		c := &CreateDatabase{IfNotExists: p.ifNotExistsName()}
		c.Name = p.identifier("a database")
		c.Span = p.from(start)
		return c
	case p.accept(kwUser):
		p.has |= HasControl
		return p.userWithPassword(start, "CREATE USER")
	}
	p.has |= HasDDL
	switch {
	case p.accept(kwTable):
		return p.createTable(start)
	case p.accept(kwView):
		v := &CreateView{IfNotExists: p.ifNotExistsName()}
		v.Name = p.identifier("a view")
		p.expect(kwAs, "AS")
		v.Query = p.query()
		v.Span = p.from(start)
		return v
	case p.accept(kwSequence):
		s := &CreateSequence{Name: p.identifier("a sequence")}
		s.Span = p.from(start)
		return s
	case p.accept(kwUnique):
		p.expect(kwIndex, "INDEX")
		return p.createIndex(start, true)
	case p.accept(kwIndex):
		return p.createIndex(start, false)
	}
	p.unexpected("TABLE, INDEX, UNIQUE INDEX, VIEW, SEQUENCE, DATABASE or USER")
	return nil
}

// ifNotExistsName reads IF NOT EXISTS. It leaves a name "if" alone.
func (p *parser) ifNotExistsName() bool { return p.tok.is(kwIf) && p.ifNotExists() }

func (p *parser) ifNotExists() bool {
	if !p.accept(kwIf) {
		return false
	}
	p.expect(kwNot, "NOT EXISTS")
	p.expect(kwExists, "EXISTS")
	return true
}

// ifExists reads IF EXISTS.
func (p *parser) ifExists() bool {
	if !p.tok.is(kwIf) || !p.ahead().is(kwExists) {
		return false
	}
	p.advance()
	p.advance()
	return true
}

func (p *parser) createTable(start int) Statement {
	t := &CreateTable{}
	if p.tok.is(kwIf) && p.ahead().is(kwNot) {
		t.IfNotExists = p.ifNotExists()
	}
	t.Name = p.name("a table")
	p.expectSymbol('(')
	for {
		p.tableElement(t)
		if !p.acceptSymbol(',') {
			break
		}
	}
	p.expectSymbol(')')
	t.Span = p.from(start)
	return t
}

func (p *parser) tableElement(t *CreateTable) {
	start := p.tok.start
	switch {
	case p.tok.is(kwCheck), p.tok.is(kwConstraint) && p.ahead().kind == tokName:
		c := &Check{}
		if p.accept(kwConstraint) {
			c.Name = p.identifier("a constraint")
		}
		p.expect(kwCheck, "CHECK")
		c.Expr = p.expr()
		c.Span = p.from(start)
		t.Checks = append(t.Checks, c)
	case p.accept(kwPrimary):
		p.expect(kwKey, "KEY")
		t.PrimaryKey = p.oneOrMoreNames()
	case p.accept(kwForeign):
		p.expect(kwKey, "KEY")
		f := &ForeignKey{Columns: p.names()}
		p.expect(kwReferences, "REFERENCES")
		f.Table = p.name("a table")
		f.References = p.names()
		f.Span = p.from(start)
		t.ForeignKeys = append(t.ForeignKeys, f)
	default:
		t.Columns = append(t.Columns, p.columnDef())
	}
}

func (p *parser) columnDef() *ColumnDef {
	start := p.tok.start
	c := &ColumnDef{Name: p.column()}
	at := p.tok.start
	c.Type = p.typeName()
	for _, b := range [2][2]byte{{'[', ']'}, {'(', ')'}} {
		if p.acceptSymbol(b[0]) {
			if p.tok.kind != tokInteger {
				p.unexpected("a length in bytes")
				return c
			}
			c.Length = p.tok.number
			p.advance()
			p.expectSymbol(b[1])
			break
		}
	}
	c.TypeAt = p.from(at)
	if p.accept(kwNot) {
		p.expect(kwNull, "NULL")
		c.NotNull = true
	} else {
		p.accept(kwNull)
	}
	if p.accept(kwDefault) {
		c.Default = p.expr()
	}
	c.AutoIncrement = p.accept(kwAutoIncrement)
	if p.accept(kwPrimary) {
		p.expect(kwKey, "KEY")
		c.PrimaryKey = true
	}
	c.Span = p.from(start)
	return c
}

func (p *parser) createIndex(start int, unique bool) Statement {
	i := &CreateIndex{Unique: unique, IfNotExists: p.ifNotExists()}
	if p.tok.isName() {
		p.failHere("indexes have no names in immudb: write CREATE INDEX ON table(columns)")
	}
	p.expect(kwOn, "ON")
	i.Table = p.name("a table")
	i.Columns = p.names()
	i.Where = p.where()
	i.Span = p.from(start)
	return i
}

func (p *parser) drop(start int) Statement {
	p.advance()
	d := &Drop{What: strings.ToUpper(p.text[p.tok.start:p.tok.end])}
	p.has |= HasDDL
	switch {
	case p.accept(kwTable):
		d.IfExists = p.ifExists()
		d.Name = p.name("a table")
		d.Cascade = p.accept(kwCascade)
	case p.accept(kwView):
		d.IfExists = p.ifExists()
		d.Name = p.identifier("a view")
	case p.accept(kwSequence):
		d.IfExists = p.ifExists()
		d.Name = p.identifier("a sequence")
	case p.accept(kwIndex):
		if p.accept(kwOn) {
			d.Name = p.name("a table")
			d.Columns = p.names()
			break
		}
		d.Name = p.name("ON")
		if p.tok.kind != tokDot {
			p.failHere("indexes have no names in immudb: write DROP INDEX ON table(columns)")
			break
		}
		p.advance()
		d.Columns = []Ident{p.column()}
	case p.accept(kwUser):
		p.has |= HasControl
		user := p.identifier("a user")
		return &Access{p.from(start), "DROP USER", user}
	default:
		p.unexpected("TABLE, INDEX, VIEW, SEQUENCE or USER")
	}
	d.Span = p.from(start)
	return d
}

func (p *parser) alter(start int) Statement {
	p.advance()
	if p.accept(kwUser) {
		p.has |= HasControl
		return p.userWithPassword(start, "ALTER USER")
	}
	p.has |= HasDDL
	p.expect(kwTable, "TABLE or USER")
	a := &AlterTable{Table: p.name("a table")}
	switch {
	case p.accept(kwAdd):
		p.expect(kwColumn, "COLUMN")
		a.Action, a.Column = AddColumn, p.columnDef()
	case p.accept(kwRename):
		if p.accept(kwTo) {
			a.Action, a.New = RenameTable, p.name("a table")
			break
		}
		p.expect(kwColumn, "TO or COLUMN")
		a.Action, a.Name = RenameColumn, p.column()
		p.expect(kwTo, "TO")
		a.New = p.column()
	case p.accept(kwDrop):
		if p.accept(kwColumn) {
			a.Action, a.Name = DropColumn, p.column()
			break
		}
		p.expect(kwConstraint, "COLUMN or CONSTRAINT")
		a.Action, a.Name = DropConstraint, p.identifier("a constraint")
	case p.accept(kwAlter):
		p.expect(kwColumn, "COLUMN")
		a.Action, a.Name = AlterColumn, p.column()
		p.columnAction()
	default:
		p.unexpected("ADD, RENAME, DROP or ALTER COLUMN")
	}
	a.Span = p.from(start)
	return a
}

func (p *parser) columnAction() {
	switch {
	case p.accept(kwSet), p.accept(kwDrop):
		p.expect(kwNot, "NOT NULL")
		p.expect(kwNull, "NULL")
	case p.tok.kind == tokName && strings.EqualFold(strings.Trim(p.text[p.tok.start:p.tok.end], `"`), "TYPE"):
		p.advance()
		p.typeName()
	default:
		p.unexpected("SET NOT NULL, DROP NOT NULL or TYPE")
	}
}

func (p *parser) userWithPassword(start int, what string) Statement {
	user := p.identifier("a user")
	p.expect(kwWith, "WITH")
	p.expect(kwPassword, "PASSWORD")
	if p.tok.kind != tokString {
		p.unexpected("the password as a string")
		return nil
	}
	p.advance()
	if !p.accept(kwRead) && !p.accept(kwReadwrite) {
		p.accept(kwAdmin)
	}
	return &Access{p.from(start), what, user}
}

func (p *parser) grant(start int) Statement {
	what := strings.ToUpper(p.text[p.tok.start:p.tok.end])
	p.advance()
	for {
		if p.accept(kwAll) {
			p.expect(kwPrivileges, "PRIVILEGES")
			break
		}
		if !p.accept(kwSelect) && !p.accept(kwCreate) && !p.accept(kwInsert) && !p.accept(kwUpdate) &&
			!p.accept(kwDelete) && !p.accept(kwDrop) && !p.accept(kwAlter) {
			p.unexpected("a privilege: SELECT, CREATE, INSERT, UPDATE, DELETE, DROP, ALTER or ALL PRIVILEGES")
			return nil
		}
		if !p.acceptSymbol(',') {
			break
		}
	}
	p.expect(kwOn, "ON")
	p.expect(kwDatabase, "DATABASE")
	p.name("a database")
	p.expect(kwTo, "TO")
	p.expect(kwUser, "USER")
	user := p.identifier("a user")
	return &Access{p.from(start), what, user}
}

func (p *parser) control(start int) Statement {
	c := &Control{}
	switch {
	case p.accept(kwBegin):
		c.Kind = Begin
		p.accept(kwTransaction)
	case p.accept(kwCommit):
		c.Kind = Commit
	case p.accept(kwSavepoint):
		c.Kind, c.Name = Savepoint, p.identifier("a savepoint")
	case p.accept(kwRelease):
		p.accept(kwSavepoint)
		c.Kind, c.Name = Release, p.identifier("a savepoint")
	case p.accept(kwRollback):
		c.Kind = Rollback
		if p.accept(kwTo) {
			p.accept(kwSavepoint)
			c.Kind, c.Name = RollbackTo, p.identifier("a savepoint")
		}
	}
	c.Span = p.from(start)
	return c
}

func (p *parser) use(start int) Statement {
	p.advance()
	u := &Use{}
	if p.accept(kwSnapshot) {
		u.Snapshot = true
		u.Since, u.Until = p.period()
	} else {
		p.accept(kwDatabase)
		u.Database = p.identifier("a database")
	}
	u.Span = p.from(start)
	return u
}
