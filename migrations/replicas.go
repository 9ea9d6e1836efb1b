package migrations

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/occkit/occkit/dialects"
)

// lagEvery is how often it is asked how far replicas are behind.
const lagEvery = time.Second

// replicas returns how many there are, and the one that is the farthest behind.
func (m *Migrator) replicas(ctx context.Context, q dialects.Querier) (n int, last dialects.SchemaReplica, err error) {
	ask, err := m.changer.SchemaReplicas()
	if err == nil {
		err = query(ctx, q, ask, func(r dialects.Rows) error {
			var one dialects.SchemaReplica
			err := r.Scan(&one.Name, &one.Behind)
			if n++; n == 1 || one.Behind > last.Behind {
				last = one
			}
			return err
		})
	}
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return 0, last, fmt.Errorf("migrations: %s: a server of this kind does not know how far its replicas are behind, so that there is no bound to it: %w",
			m.dialect.Name(), err)
	case err != nil:
		return 0, last, fmt.Errorf("migrations: it cannot be seen how far replicas are behind: %w", err)
	case last.Behind == dialects.LagUnknown:
		return 0, last, fmt.Errorf("migrations: it cannot be seen how far replicas are behind: %s", last.Name)
	}
	return n, last, nil
}

// boundable refuses a bound that would bound nothing, before anything is done.
func (m *Migrator) boundable(ctx context.Context, q dialects.Querier, p *dialects.SchemaPlan) error {
	if m.o.MaxLag <= 0 {
		return nil
	}
	n, _, err := m.replicas(ctx, q)
	if !filling(p) && !errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err == nil && n == 0 {
		err = errors.New("migrations: a bound is given for how far replicas may be behind, and this server sees none")
	}
	return err
}

// filling tells whether there is a backfill to do.
func filling(p *dialects.SchemaPlan) bool {
	for _, s := range p.Steps {
		if s.Work == dialects.WorkChunks && !s.Done {
			return true
		}
	}
	return false
}

// lagging returns the reason to wait for replicas, if there is one. One that is
// gone may be one that is very far behind.
func (f *filler) lagging(ctx context.Context) (reason string, err error) {
	now := f.m.o.Now()
	if f.m.o.MaxLag <= 0 || now.Sub(f.lagLooked) < lagEvery {
		return "", nil
	}
	n, last, err := f.m.replicas(ctx, f.conn)
	if err != nil {
		return "", err
	}
	f.replicas = max(f.replicas, n, 1) // there was one at the beginning
	behind := time.Duration(last.Behind) * time.Millisecond
	switch {
	case n < f.replicas:
		return fmt.Sprintf("%d of %d replicas are gone", f.replicas-n, f.replicas), nil
	case behind > f.m.o.MaxLag:
		return fmt.Sprintf("replica %s is %s behind", last.Name, behind), nil
	}
	f.lagLooked = now
	return "", nil
}
