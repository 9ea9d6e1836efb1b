package observe_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/occkit/occkit/occ/observe"
)

func ExampleSlog() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	var observer observe.Observer = observe.Slog(logger, nil)
	observer.Observe(context.Background(), observe.Event{
		Kind: observe.Conflict, Op: "mutate", Table: "accounts", Key: 42, Attempt: 1,
		Reason: "stale", Err: errors.New("version 7 is stale, row is at 9"),
	})
	// Output:
	// level=INFO msg="occ conflict" op=mutate table=accounts key=42 attempt=1 reason=stale error="version 7 is stale, row is at 9"
}

func ExampleCounter() {
	var counter observe.Counter
	observer := observe.Multi(&counter, observe.Func(func(_ context.Context, e observe.Event) {
		fmt.Println(e.Kind, e.Attempt)
	}))
	observer.Observe(context.Background(), observe.Event{Kind: observe.Conflict, Attempt: 1})
	observer.Observe(context.Background(), observe.Event{Kind: observe.Retry, Attempt: 2})
	fmt.Println(counter.Count(observe.Conflict), counter.Count(observe.Exhausted))
	// Output:
	// conflict 1
	// retry 2
	// 1 0
}
