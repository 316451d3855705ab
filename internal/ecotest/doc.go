// Package ecotest runs ORMs, query builders and tools with the lines that docs/tools.md
// tells to write for each, and writes that page from its own files.
package ecotest
