package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/occkit/occkit/bench"
	"github.com/occkit/occkit/bench/report"
	"github.com/occkit/occkit/dialects/named/cmdline"
)

// run opens the database, runs the experiment and shows the result.
func run(ctx context.Context, o options, stdout, stderr io.Writer) (err error) {
	sink, err := openSink(o.json, stdout)
	if err != nil {
		return usageError{err}
	}
	defer func() { err = errors.Join(err, sink.discard()) }()
	at := place{DB: o.db, DSN: o.dsn, Connections: o.spec.Clients, Delay: o.delay, CommitDelay: o.commitDelay}
	db, target, err := at.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if procs := o.spec.Procs; procs > 1 {
		each := at.share(db, procs)
		target.Spawn, target.Connections = spawner(each), procs*each.Connections
	}
	progress := report.NewProgress(stderr, cmdline.TerminalWidth(stderr))
	result, err := bench.Run(ctx, o.spec, target, progress.Show)
	progress.Clear()
	if err != nil {
		return err
	}
	human := stdout
	if o.json == "-" {
		human = stderr
	}
	if err := errors.Join(report.Table(human, result), report.Verdict(human, result), sink.write(result)); err != nil {
		return err
	}
	if result.Verdict != bench.OK {
		return errViolated
	}
	return nil
}

// sink is where the JSON goes. A file is opened before the run, so that a wrong
// path is found out at once, and written as a whole at the end.
type sink struct {
	w    io.Writer
	temp *os.File
	path string
}

func openSink(path string, stdout io.Writer) (*sink, error) {
	switch path {
	case "":
		return &sink{}, nil
	case "-":
		return &sink{w: stdout}, nil
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".occbench-*")
	if err != nil {
		return nil, fmt.Errorf("cannot write the JSON file: %w", err)
	}
	return &sink{w: temp, temp: temp, path: path}, nil
}

// write writes the result, if it is wanted.
func (s *sink) write(r bench.Result) error {
	if s.w == nil {
		return nil
	}
	if err := report.JSON(s.w, r); err != nil || s.temp == nil {
		return err
	}
	temp := s.temp
	s.temp = nil
	return errors.Join(temp.Chmod(0o644), temp.Close(), os.Rename(temp.Name(), s.path))
}

// discard removes what was not written.
func (s *sink) discard() error {
	if s.temp == nil {
		return nil
	}
	return errors.Join(s.temp.Close(), os.Remove(s.temp.Name()))
}
