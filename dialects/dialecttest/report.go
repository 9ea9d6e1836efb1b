package dialecttest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Status is how a case ended.
type Status string

const (
	// Pass: the pair does what the case asks.
	Pass Status = "pass"
	// Fail: it does not.
	Fail Status = "fail"
	// Unsupported: the database or the dialect says that it cannot.
	Unsupported Status = "unsupported"
	// Untested: the harness gives no means to find out.
	Untested Status = "untested"
)

// Result is how one case ended.
type Result struct {
	// Case is the case's name with its topic: "outcomes/stale-update".
	Case string `json:"case"`
	// Feature is what the case belongs to in a table of features.
	Feature string `json:"feature"`
	// Explanation says what the case asks.
	Explanation string `json:"explanation"`
	// Status is how it ended.
	Status Status `json:"status"`
	// Detail says why it did not pass.
	Detail string `json:"detail,omitempty"`
	// Seconds is how long it took.
	Seconds float64 `json:"seconds"`
}

// reportSchema names the JSON form of a [Report].
const reportSchema = "occkit.conformance/1"

// Report is what a run of the suite found out about a pair.
type Report struct {
	// Schema is "occkit.conformance/1".
	Schema string `json:"schema"`
	// Name is the pair's, as in [Harness].
	Name string `json:"name"`
	// Dialect is the dialect's own name.
	Dialect string `json:"dialect"`
	// Server is what it ran on.
	Server string `json:"server"`
	// Note is a restriction that readers must know.
	Note string `json:"note,omitempty"`
	// Results are in the suite's order. A run of selected subtests has fewer.
	Results []Result `json:"results"`
}

func newReport(h Harness) Report {
	return Report{Schema: reportSchema, Name: h.Name, Dialect: h.Dialect.Name(), Server: h.Server, Note: h.Note}
}

// Err returns a [*Failure] for each failed case, joined, or nil.
func (r Report) Err() error {
	var errs []error
	for _, result := range r.Results {
		if result.Status == Fail {
			errs = append(errs, &Failure{Case: result.Case, Explanation: result.Explanation, Detail: result.Detail})
		}
	}
	return errors.Join(errs...)
}

// Write writes the report as JSON to a file in dir that is named by the pair
// and its server. It makes the directory.
func (r Report) Write(dir string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("dialecttest: report of %s: %w", r.Name, err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("dialecttest: report of %s: %w", r.Name, err)
	}
	name := fileName(strings.TrimSpace(r.Name+" "+r.Server)) + ".json"
	if err := os.WriteFile(filepath.Join(dir, name), append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("dialecttest: report of %s: %w", r.Name, err)
	}
	return nil
}

// fileName makes a name that every file system takes.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '.':
			return r
		default:
			return '-'
		}
	}, name)
}
