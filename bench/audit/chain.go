package audit

// chain is the history of one row, ordered by version.
type chain struct {
	key            int64
	initial        State
	final          *State
	acked, unknown []Effect
}

func (c *chain) check(r *Report) {
	if c.final == nil {
		r.Lost += int64(len(c.acked))
		r.Broken++
		r.find("row %d is not there any more", c.key)
		return
	}
	c.checkOrder(r)
	missing := max(c.checkVersions(r), c.checkValue(r))
	if missing > 0 {
		r.Lost += missing
		r.find("row %d: %d of %d acknowledged effects are missing", c.key, missing, len(c.acked))
	}
}

// checkVersions compares the acknowledged versions with the steps that the row
// has made, and returns how many acknowledged ones cannot be among them.
func (c *chain) checkVersions(r *Report) (missing int64) {
	var inside, outside int64 // distinct versions on the row's way; those that are not
	for i, e := range c.acked {
		on := e.Version > c.initial.Version && e.Version <= c.final.Version
		if !on {
			outside++
		}
		if i > 0 && e.Version == c.acked[i-1].Version {
			r.Duplicate++
			r.find("row %d: version %d was acknowledged to two clients", c.key, e.Version)
		} else if on {
			inside++
		}
	}
	steps := c.final.Version - c.initial.Version
	if extra := steps - inside - int64(len(c.unknown)); extra > 0 {
		r.Broken += extra
		r.find("row %d: %d of its %d versions were acknowledged to nobody", c.key, extra, steps)
	}
	return max(int64(len(c.acked))-max(steps, 0), outside)
}

// checkValue compares the value with what the acknowledged effects make it, and
// returns how many effects are missing at least.
func (c *chain) checkValue(r *Report) (missing int64) {
	low := c.initial.Value
	var credit, debit int64 // the greatest ones
	for _, e := range c.acked {
		low += e.Delta
		credit, debit = max(credit, e.Delta), max(debit, -e.Delta)
	}
	high := low
	for _, e := range c.unknown {
		low += min(e.Delta, 0)
		high += max(e.Delta, 0)
	}
	value := c.final.Value
	if value < 0 {
		r.Broken++
		r.find("row %d holds %d, which is negative", c.key, value)
	}
	if value >= low && value <= high {
		return 0
	}
	r.Broken++
	if low == high {
		r.find("row %d holds %d, the acknowledged effects make it %d", c.key, value, low)
	} else {
		r.find("row %d holds %d, the acknowledged effects make it %d to %d", c.key, value, low, high)
	}
	return max(parts(low-value, credit), parts(value-high, debit))
}

// parts returns how many parts of at most the given size make a whole.
func parts(whole, size int64) int64 {
	if whole <= 0 || size <= 0 {
		return 0
	}
	return (whole + size - 1) / size
}

// checkOrder compares versions with time. Effects are ordered by version: one
// that ended before an earlier version began is out of order.
func (c *chain) checkOrder(r *Report) {
	var latest int64 // the latest start among smaller versions
	var begun bool
	for i := 0; i < len(c.acked); {
		j := i
		for ; j < len(c.acked) && c.acked[j].Version == c.acked[i].Version; j++ {
			if e := c.acked[j]; begun && e.End < latest {
				r.OutOfOrder++
				r.find("row %d: version %d was acknowledged before a smaller version was begun", c.key, e.Version)
			}
		}
		for ; i < j; i++ {
			latest, begun = max(latest, c.acked[i].Start), true
		}
	}
}
