package migrations

import (
	"context"
	"fmt"

	"github.com/occkit/occkit/dialects"
)

func (m *Migrator) blockers(ctx context.Context, q dialects.Querier, p *dialects.SchemaPlan) ([]dialects.SchemaBlocker, error) {
	ask, err := m.changer.SchemaBlockers(p)
	if err != nil || ask.Text == "" {
		return nil, err
	}
	var found []dialects.SchemaBlocker
	err = query(ctx, q, ask, func(r dialects.Rows) error {
		var b dialects.SchemaBlocker
		err := r.Scan(&b.ID, &b.Who, &b.State, &b.Lock, &b.Seconds, &b.Yields, &b.End)
		found = append(found, b)
		return err
	})
	return found, err
}

// settle reads settings of the connection once, and sets them.
func (l *locker) settle(ctx context.Context, settings []dialects.SessionSetting) error {
	return settle(ctx, l.conn, settings, l.saved)
}

func settle(ctx context.Context, conn dialects.Conn, settings []dialects.SessionSetting, saved map[string]string) error {
	for _, s := range settings {
		if _, ok := saved[s.Restore]; !ok {
			value, err := text(ctx, conn, s.Read)
			if err != nil {
				return err
			}
			saved[s.Restore] = value
		}
		// As a query: SQLite's PRAGMA answers with a row.
		if _, err := text(ctx, conn, s.Set); err != nil {
			return err
		}
	}
	return nil
}

func (l *locker) restore(ctx context.Context) error { return restore(ctx, l.conn, l.saved) }

func restore(ctx context.Context, conn dialects.Conn, saved map[string]string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	for format, value := range saved {
		if _, err := text(ctx, conn, fmt.Sprintf(format, value)); err != nil {
			return err
		}
	}
	return nil
}
