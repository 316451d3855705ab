package compose_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// This test needs no container engine: it reads the file and checks that every file that it
// names exists.
func TestComposeFileNamesWhatIsThere(t *testing.T) {
	text, err := os.ReadFile("compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct {
			Image     string
			Build     struct{ Context, Dockerfile, Target string }
			Volumes   []string
			DependsOn map[string]struct{ Condition string } `yaml:"depends_on"`
		}
		Volumes map[string]any
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Services) != 3 {
		t.Errorf("%d services, want 3", len(file.Services))
	}
	for name, s := range file.Services {
		for other := range s.DependsOn {
			if _, ok := file.Services[other]; !ok {
				t.Errorf("%s depends on %s, which is not there", name, other)
			}
		}
		for _, v := range s.Volumes {
			source, _, _ := strings.Cut(v, ":")
			_, named := file.Volumes[source]
			if _, err := os.Stat(source); err != nil && !named {
				t.Errorf("%s: volume %s is not there", name, source)
			}
		}
		if s.Image != "" {
			continue
		}
		dockerfile, err := os.ReadFile(filepath.Join(s.Build.Context, s.Build.Dockerfile))
		if err != nil || !strings.Contains(string(dockerfile), " AS "+s.Build.Target+"\n") {
			t.Errorf("%s: no target %s in %s (%v)", name, s.Build.Target, s.Build.Dockerfile, err)
		}
		for line := range strings.Lines(string(dockerfile)) {
			if rest, ok := strings.CutPrefix(line, "RUN cd "); ok {
				dir, build, _ := strings.Cut(rest, " && ")
				words := strings.Fields(build)
				if _, err := os.Stat(filepath.Join(s.Build.Context, dir, words[len(words)-1])); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
}
