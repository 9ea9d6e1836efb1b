package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/occkit/occkit/bench/workload"
)

// A process that works for another one is told a job, says that it is ready, is
// told to go, and says what happened: JSON both ways, again and again.
type (
	request struct {
		Job *job `json:",omitempty"` // else: go
	}
	reply struct {
		Ready bool   `json:",omitempty"`
		Error string `json:",omitempty"`
		Part  *part  `json:",omitempty"`
	}
)

// Serve lets this process's clients work on a target for the process at the other
// end of in and out, which is in [Run] with [Spec.Procs] above one. It returns when
// in ends, also in the middle of a repetition: that process is gone then.
func Serve(ctx context.Context, target Target, in io.Reader, out io.Writer) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	requests := make(chan request)
	s := server{target: target, requests: requests, out: json.NewEncoder(out)}
	go func() {
		defer cancel()
		listen(inner, in, requests)
	}()
	for {
		select {
		case <-inner.Done():
			return ctx.Err()
		case r := <-s.requests:
			if r.Job == nil {
				return errors.New("told to go without a job")
			}
			if err := s.serve(inner, *r.Job); err != nil {
				return err
			}
		}
	}
}

// listen passes requests on until in ends.
func listen(ctx context.Context, in io.Reader, requests chan<- request) {
	for d := json.NewDecoder(in); ; {
		var r request
		if d.Decode(&r) != nil {
			return
		}
		select {
		case requests <- r:
		case <-ctx.Done():
			return
		}
	}
}

type server struct {
	target   Target
	requests <-chan request
	out      *json.Encoder
	keys     *workload.Sampler
	of       job // that keys were made for
}

// serve does one job.
func (s *server) serve(ctx context.Context, j job) error {
	crew, err := newCrew(s.target, j, s.sampler(j))
	if err != nil {
		return s.out.Encode(reply{Error: err.Error()})
	}
	if err := s.out.Encode(reply{Ready: true}); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case r := <-s.requests:
		if r.Job != nil {
			return errors.New("told a job instead of to go")
		}
	}
	p := crew.run(ctx)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // there is nobody to be told
	}
	if p.err != nil {
		p.Failure = fmt.Sprint(p.err)
	}
	return s.out.Encode(reply{Part: &p})
}

// sampler returns the sampler of a job, which is mostly the one of the job before.
func (s *server) sampler(j job) *workload.Sampler {
	if s.keys == nil || s.of.Keys != j.Keys || s.of.Dist != j.Dist || s.of.Seed != j.Seed {
		s.keys, s.of = workload.NewSampler(j.Dist, j.Keys, j.Seed), j
	}
	return s.keys
}
