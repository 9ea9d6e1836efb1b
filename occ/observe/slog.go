package observe

import (
	"context"
	"log/slog"
)

// SlogOptions says what [Slog] leaves out. Its zero value and nil work.
type SlogOptions struct {
	// Key returns what is logged for a row's key; nil leaves it out. Defaults
	// to the key as it is, so set it where keys are personal data.
	Key func(key any) any

	// Error returns the text that is logged for an error; the empty text leaves
	// it out. Defaults to err.Error(), or, when Key is set, to leaving errors
	// out: the texts of occ and of databases name keys.
	Error func(err error) string
}

// Slog returns an [Observer] that writes every event to logger, nil meaning
// [slog.Default]. Levels: Debug for Attempt, Retry and Queued, Info for Conflict,
// Warn for Exhausted, Overwrite and Breaker, Error for Ambiguous.
//
// The message is "occ " and the kind's name. The attributes, left out where
// they are zero, are op, table, key, attempt, delay, elapsed, reason and error.
// Of errors only the text is logged, never their fields, so the rows that a
// conflict holds do not reach the log; the row's key does, see [SlogOptions].
// The texts of databases may quote values (a duplicate key), and are not
// altered by default.
func Slog(logger *slog.Logger, options *SlogOptions) Observer {
	s := &slogger{logger: logger}
	if s.logger == nil {
		s.logger = slog.Default()
	}
	if options != nil {
		s.options = *options
	}
	return s
}

type slogger struct {
	logger  *slog.Logger
	options SlogOptions
}

func (s *slogger) Observe(ctx context.Context, e Event) {
	level := levelOf(e.Kind)
	if !s.logger.Enabled(ctx, level) {
		return
	}
	s.logger.LogAttrs(ctx, level, "occ "+e.Kind.String(), s.attrs(e)...)
}

func levelOf(k Kind) slog.Level {
	switch k {
	case Attempt, Retry, Queued:
		return slog.LevelDebug
	case Conflict:
		return slog.LevelInfo
	case Ambiguous:
		return slog.LevelError
	default:
		return slog.LevelWarn
	}
}

func (s *slogger) attrs(e Event) []slog.Attr {
	attrs := make([]slog.Attr, 0, 8)
	if e.Op != "" {
		attrs = append(attrs, slog.String("op", e.Op))
	}
	if e.Table != "" {
		attrs = append(attrs, slog.String("table", e.Table))
	}
	if key := s.key(e.Key); key != nil {
		attrs = append(attrs, slog.Any("key", key))
	}
	if e.Attempt != 0 {
		attrs = append(attrs, slog.Int("attempt", e.Attempt))
	}
	if e.Delay != 0 {
		attrs = append(attrs, slog.Duration("delay", e.Delay))
	}
	if e.Elapsed != 0 {
		attrs = append(attrs, slog.Duration("elapsed", e.Elapsed))
	}
	if e.Reason != "" {
		attrs = append(attrs, slog.String("reason", e.Reason))
	}
	if text := s.error(e.Err); text != "" {
		attrs = append(attrs, slog.String("error", text))
	}
	return attrs
}

func (s *slogger) key(key any) any {
	if key == nil || s.options.Key == nil {
		return key
	}
	return s.options.Key(key)
}

func (s *slogger) error(err error) string {
	switch {
	case err == nil:
		return ""
	case s.options.Error != nil:
		return s.options.Error(err)
	case s.options.Key != nil:
		return ""
	default:
		return err.Error()
	}
}
