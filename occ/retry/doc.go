// Package retry decides whether, and after which wait, an operation is
// attempted again. It owns all sleeping of occkit, and knows nothing of
// databases: the caller says which of its errors deserve another attempt.
//
// The loop is written out, so that it needs no closure and its order can be
// seen: wait, then read, then write.
//
//	for attempts := policy.Start(); ; {
//		row, err := read(ctx)
//		if err == nil {
//			err = write(ctx, row)
//		}
//		switch {
//		case err == nil:
//			return nil
//		case isConflict(err):
//			err = attempts.Again(ctx, err)
//		case isUnavailable(err):
//			err = attempts.Outage(ctx, err)
//		}
//		if err != nil {
//			return err
//		}
//	}
//
// Every loop ends by number of attempts, by total time and with its context.
// The error at the end holds the last attempt's error, whichever bound it was.
//
// A [Policy] is only read. What operations share, and change, are explicit values:
// a [Pace] (how long attempts take, which the delays follow), a [Budget] (how many
// retries after outages there may be) and a [Breaker] (whether the server is there
// at all).
package retry
