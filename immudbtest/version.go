package immudbtest

import (
	"runtime/debug"
	"strings"

	"github.com/codenotary/immudb/cmd/version"
)

// The server reports the version that its release is linked with, which a module build lacks. A replica refuses a
// primary of another version by it.
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
