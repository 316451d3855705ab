// Package gormtest tests gormimmudb with gorm's own extensions: the types of gorm.io/datatypes, the
// plugins soft_delete, optimisticlock and dbresolver, and the generator gorm.io/gen. It is a
// module of its own, so that gormimmudb does not depend on them.
package gormtest
