package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// peers are the processes that work for this one.
type peers []*peer

type peer struct {
	pipe io.ReadWriteCloser
	out  *json.Encoder
	in   *json.Decoder
}

// startPeers starts processes, which end when ctx does.
func startPeers(ctx context.Context, spawn func(context.Context) (io.ReadWriteCloser, error), n int) (peers, error) {
	var all peers
	for i := range n {
		pipe, err := spawn(ctx)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("cannot start process %d of %d: %w", i+1, n, err), all.close())
		}
		all = append(all, &peer{pipe: pipe, out: json.NewEncoder(pipe), in: json.NewDecoder(pipe)})
	}
	return all, nil
}

// perform shares a job out, waits until all are ready, starts all, and returns what
// happened to each.
func (all peers) perform(ctx context.Context, j job) ([]part, error) {
	for i, mine := range split(j, len(all)) {
		if err := all[i].out.Encode(request{Job: &mine}); err != nil {
			return nil, all.ended(ctx, i, err)
		}
	}
	if _, err := all.replies(ctx); err != nil {
		return nil, err
	}
	for i, p := range all {
		if err := p.out.Encode(request{}); err != nil {
			return nil, all.ended(ctx, i, err)
		}
	}
	replies, err := all.replies(ctx)
	if err != nil {
		return nil, err
	}
	parts := make([]part, len(replies))
	for i, r := range replies {
		if r.Part == nil {
			return nil, fmt.Errorf("process %d of %d did not say what it did", i+1, len(all))
		}
		parts[i] = *r.Part
	}
	return parts, nil
}

// split shares the clients of a job out.
func split(j job, n int) []job {
	jobs, first := make([]job, n), 0
	for i := range jobs {
		jobs[i] = j
		jobs[i].Clients, jobs[i].First = j.Clients/n, first
		if i < j.Clients%n {
			jobs[i].Clients++
		}
		first += jobs[i].Clients
	}
	return jobs
}

// replies returns the next reply of each process. One that cannot do its job is an
// error, one that is gone too.
func (all peers) replies(ctx context.Context) ([]reply, error) {
	replies := make([]reply, len(all))
	for i, p := range all {
		if err := p.in.Decode(&replies[i]); err != nil {
			return nil, all.ended(ctx, i, err)
		}
		if text := replies[i].Error; text != "" {
			return nil, fmt.Errorf("process %d of %d: %s", i+1, len(all), text)
		}
	}
	return replies, nil
}

// ended says why a process is gone.
func (all peers) ended(ctx context.Context, i int, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if why := all[i].pipe.Close(); why != nil {
		err = why
	}
	return fmt.Errorf("process %d of %d ended early: %w", i+1, len(all), err)
}

// close ends the processes and waits for them.
func (all peers) close() error {
	errs := make([]error, len(all))
	for i, p := range all {
		errs[i] = p.pipe.Close()
	}
	return errors.Join(errs...)
}
