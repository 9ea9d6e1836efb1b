// Command featuretable writes the table of what each dialect and transport can
// do into a Markdown file, from the reports of the conformance suite.
//
//	OCCKIT_CONFORMANCE_OUT=/tmp/conformance go test ./dialects/... -run TestConformance
//	go run ./dialects/dialecttest/cmd/featuretable -reports /tmp/conformance README.md
//
// The table replaces what stands between the lines <!-- conformance --> and
// <!-- /conformance -->. With -check nothing is written, and the exit status
// is 1 when the file differs from what would be.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "featuretable:", err)
		os.Exit(1)
	}
}

var errStale = errors.New("the table is not what the reports say: run featuretable without -check")

func run(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("featuretable", flag.ContinueOnError)
	dir := flags.String("reports", "", "directory of the reports, as OCCKIT_CONFORMANCE_OUT named it")
	check := flags.Bool("check", false, "write nothing, fail when the file is out of date")
	flags.Usage = func() {
		_, _ = fmt.Fprintln(flags.Output(), "usage: featuretable -reports DIR [-check] FILE.md")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *dir == "" || flags.NArg() != 1 {
		return errors.New("usage: featuretable -reports DIR [-check] FILE.md")
	}
	reports, err := load(*dir)
	if err != nil {
		return err
	}
	return update(flags.Arg(0), table(reports), *check, stdout)
}

// update puts the table into the file.
func update(path, text string, check bool, stdout io.Writer) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	fresh, err := splice(old, text)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", path, err)
	case bytes.Equal(old, fresh):
		_, err = fmt.Fprintf(stdout, "%s is up to date\n", path)
		return err
	case check:
		return fmt.Errorf("%s: %w", path, errStale)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, fresh, info.Mode().Perm())
}

const (
	opening = "<!-- conformance -->"
	closing = "<!-- /conformance -->"
)

// splice replaces what stands between the marks.
func splice(old []byte, text string) ([]byte, error) {
	before, rest, opened := bytes.Cut(old, []byte(opening))
	_, after, closed := bytes.Cut(rest, []byte(closing))
	if !opened || !closed {
		return nil, fmt.Errorf("no lines %s and %s, between which the table belongs", opening, closing)
	}
	return fmt.Appendf(nil, "%s%s\n%s%s%s", before, opening, text, closing, after), nil
}
