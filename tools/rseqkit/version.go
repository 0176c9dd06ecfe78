package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "What this program was built from",
		Args:  noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(c.OutOrStdout(), versionLine())
			return err
		},
	}
}

// buildFacts is what the Go tool wrote into this program.
type buildFacts struct {
	Version  string `json:"version"`            // of the module, or "(devel)"
	Revision string `json:"revision,omitempty"` // of the source tree, if it was known
	Modified bool   `json:"modified,omitempty"` // the source tree had changes beside it
	Cgo      bool   `json:"cgo"`                // CGO_ENABLED
	Tags     string `json:"tags,omitempty"`
}

func readBuild() buildFacts {
	facts := buildFacts{Version: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return facts
	}
	if info.Main.Version != "" {
		facts.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "CGO_ENABLED":
			facts.Cgo = s.Value == "1"
		case "-tags":
			facts.Tags = s.Value
		case "vcs.revision":
			facts.Revision = s.Value
		case "vcs.modified":
			facts.Modified = s.Value == "true"
		}
	}
	return facts
}

// versionLine is one line such as
// "rseqkit v1.2.3 (revision 0123456789ab) go1.26.8 linux/amd64, cgo off".
func versionLine() string {
	b := readBuild()
	var line strings.Builder
	fmt.Fprintf(&line, "rseqkit %s ", b.Version)
	if b.Revision != "" {
		modified := ""
		if b.Modified {
			modified = ", modified"
		}
		fmt.Fprintf(&line, "(revision %.12s%s) ", b.Revision, modified)
	}
	fmt.Fprintf(&line, "%s %s/%s, cgo %s", runtime.Version(), runtime.GOOS, runtime.GOARCH, onOff(b.Cgo))
	if b.Tags != "" {
		fmt.Fprintf(&line, ", tags %s", b.Tags)
	}
	return line.String()
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
