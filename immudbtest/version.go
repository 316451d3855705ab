package immudbtest

import (
	"runtime/debug"
	"strings"

	"github.com/codenotary/immudb/cmd/version"
)

// The server reports the version that the linker sets in a release. A build from the module has none, so it is set here. A
// replica refuses a primary with another version.
func init() {
	if version.Version != "" {
		return
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return
	}
	for _, dep := range info.Deps {
		if dep.Path == "github.com/codenotary/immudb" {
			if dep.Replace != nil {
				dep = dep.Replace
			}
			version.Version = strings.TrimPrefix(dep.Version, "v")
		}
	}
}
