// Package schema is the schema of the tests: each kind of edge, and each type of field
// that the server has a column type for.
package schema

import (
	"time"

	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"
)

// User has one mentor and one student, many pets, and is in many groups.
type User struct{ ent.Schema }

// Fields returns the fields.
func (User) Fields() []ent.Field {
	return []ent.Field{
		field.String("name").Unique(),
		field.Int("age").Default(0),
		field.Int("visits").Default(0),
		field.String("note").Optional().Nillable(),
		field.Bool("active").Default(true),
		field.Float("rate").Optional(),
		field.Bytes("data").Optional(),
		field.Time("created").Default(time.Now).Immutable(),
		field.UUID("ref", uuid.UUID{}).Default(uuid.New),
		field.Strings("tags").Optional(),
		field.Enum("role").Values("admin", "guest").Default("guest"),
	}
}

// Edges returns the edges.
func (User) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("student", User.Type).Unique().From("mentor").Unique(),
		edge.To("pets", Pet.Type),
		edge.To("groups", Group.Type),
	}
}

// Indexes returns the indexes.
func (User) Indexes() []ent.Index { return []ent.Index{index.Fields("age", "active")} }

// Pet has one owner.
type Pet struct{ ent.Schema }

// Fields returns the fields.
func (Pet) Fields() []ent.Field {
	return []ent.Field{
		field.String("name"),
		field.Int("weight").Default(1),
	}
}

// Edges returns the edges.
func (Pet) Edges() []ent.Edge {
	return []ent.Edge{edge.From("owner", User.Type).Ref("pets").Unique()}
}

// Annotations returns the CHECK of the table.
func (Pet) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{"heavy": "weight > 0"})}
}

// Group has many members, and a key that the program makes.
type Group struct{ ent.Schema }

// Fields returns the fields.
func (Group) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Default(uuid.New),
		field.String("name").MaxLen(50).Unique(),
	}
}

// Edges returns the edges.
func (Group) Edges() []ent.Edge { return []ent.Edge{edge.From("users", User.Type).Ref("groups")} }
