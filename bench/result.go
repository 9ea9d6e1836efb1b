package bench

import (
	"github.com/occkit/occkit/bench/audit"
)

// Schema names the form of [Result] as JSON.
const Schema = "occkit.bench/1"

// Result is what a run found. Its JSON form is [Schema].
type Result struct {
	// Schema is [Schema].
	Schema string `json:"schema"`
	// Environment is where and how the result was found.
	Environment Environment `json:"environment"`
	// Cells are the combinations of workload and strategy that were run.
	Cells []Cell `json:"cells"`
	// Verdict is [OK] or [Violated].
	Verdict string `json:"verdict"`
}

// The verdicts on a run.
const (
	// OK: every strategy but the control is exact, and the control was caught
	// if it was run.
	OK = "ok"
	// Violated: an update was lost, duplicated or reordered, rows contradict what
	// operations preserve, or the control was not caught, so that the check cannot
	// be trusted.
	Violated = "violated"
)

// Environment is where and how a result was found.
type Environment struct {
	// Started is the time in UTC, as RFC 3339.
	Started string `json:"started"`
	// Go, OS, Arch and CPU describe the client's machine; CPUs is the number of
	// processors that it may use.
	Go   string `json:"go"`
	OS   string `json:"os"`
	Arch string `json:"arch"`
	CPU  string `json:"cpu,omitempty"`
	CPUs int    `json:"cpus"`
	// Database is the name of the database, Server its version.
	Database string `json:"database"`
	Server   string `json:"server"`
	// Settings are those of the server's settings that decide how durable and
	// how isolated commits are.
	Settings map[string]string `json:"settings"`
	// Connections is the size of the pool that the clients share.
	Connections int `json:"connections"`
	// DelayMS is what was added to the way to the server, in each direction, in
	// milliseconds; CommitDelayMS is what was added to every commit.
	DelayMS       float64 `json:"delay_ms,omitempty"`
	CommitDelayMS float64 `json:"commit_delay_ms,omitempty"`
	// DurationS is the intended length of a repetition, in seconds.
	DurationS float64 `json:"duration_s"`
	// Seed makes the clients' choices repeatable.
	Seed uint64 `json:"seed"`
	// Collision is the probability that two choices of a key are the same: the
	// contention that the distribution produces over the keys of the first cell.
	Collision float64 `json:"collision"`
}

// Cell is one strategy on one workload.
type Cell struct {
	// Workload and Strategy are names.
	Workload string `json:"workload"`
	Strategy string `json:"strategy"`
	// Clients is the number of concurrent clients, Keys that of the rows, and
	// Dist how often each row is chosen.
	Clients int    `json:"clients"`
	Keys    int    `json:"keys"`
	Dist    string `json:"dist"`
	// Procs is the number of processes that share the clients, when there are
	// several.
	Procs int `json:"procs,omitempty"`
	// Batch is the number of rows that each commit changes, on workloads where it
	// can be chosen; rows per second are commits per second times Batch.
	Batch int `json:"batch,omitempty"`
	// Reps are the repetitions in the order in which they ran.
	Reps []Rep `json:"reps"`
	// Collision is the probability that two choices of a key are the same, as the
	// distribution has it and as it was.
	Collision Collision `json:"collision"`
	// ConflictsPerCommit is how often an operation loses before it commits.
	ConflictsPerCommit Conflicts `json:"conflicts_per_commit"`
	// CommitsPerS summarises the commits per second of the repetitions.
	CommitsPerS Interval `json:"commits_per_s"`
}

// Collision is a predicted probability and what came of it. For workloads on
// several rows it is about the first row that each operation chooses.
type Collision struct {
	// Predicted is the sum of the squares of the keys' probabilities.
	Predicted float64 `json:"predicted"`
	// Measured is the median over the repetitions of [Rep.Collision].
	Measured float64 `json:"measured"`
}

// Conflicts is a predicted ratio and what came of it.
type Conflicts struct {
	// Predicted is a first-order estimate for checked writes of one row that are
	// seldom in each other's way: half of an operation lies between its read and
	// its write, so each of the other clients is there with its own write with the
	// probability Collision.Predicted / 2. Null where that is no estimate: for
	// other strategies and workloads, and above 5 % of conflicts.
	Predicted *float64 `json:"predicted"`
	// Measured is the ratio over all repetitions.
	Measured float64 `json:"measured"`
}

// Interval is a median and its 95 % confidence interval.
type Interval struct {
	// Median is the median of the repetitions.
	Median float64 `json:"median"`
	// CILow and CIHigh bound the true median with a confidence of at least 95 %
	// (exact order statistics). They are null with fewer than six repetitions,
	// which cannot give that confidence.
	CILow  *float64 `json:"ci_low"`
	CIHigh *float64 `json:"ci_high"`
}

// Rep is one repetition of a cell. Everything but the percentiles and fairness
// is a sum over the clients.
type Rep struct {
	// Seconds is the time from the clients' start to the end of the last
	// operation.
	Seconds float64 `json:"seconds"`
	// Commits is the number of operations that the database acknowledged.
	Commits int64 `json:"commits"`
	// Attempts is the number of tries that all operations took, those that did
	// not commit included; operations that the rows did not allow are left out.
	Attempts int64 `json:"attempts"`
	// Conflicts is the number of tries that lost against another client.
	Conflicts int64 `json:"conflicts"`
	// GaveUp is the number of operations that ended without a commit because the
	// retry policy allowed no further try. Those that the end of the repetition
	// cut off are not among them.
	GaveUp int64 `json:"gave_up"`
	// Errors is the number of operations that ended in another error, those
	// with an unknown outcome included.
	Errors int64 `json:"errors"`
	// Lost is the number of acknowledged effects, one for each row that an
	// operation changed, that are missing from the rows at the end.
	Lost int64 `json:"lost"`
	// Duplicate is the number of acknowledged versions that another client was
	// told to own.
	Duplicate int64 `json:"duplicate"`
	// OutOfOrder is the number of operations that were acknowledged before one
	// with a smaller version of the same row was begun.
	OutOfOrder int64 `json:"out_of_order"`
	// Broken is the number of other contradictions that the check found: see
	// [audit.Report]. On doctors these are the times that nobody was on call.
	Broken int64 `json:"broken,omitempty"`
	// Jain is the fairness of commits among clients: 1 when all have equally
	// many, 1/clients when one has them all.
	Jain float64 `json:"jain"`
	// Shares are the shares of the commits that each process made, when there are
	// several.
	Shares []float64 `json:"shares,omitempty"`
	// Ways counts operations by how occkit ran them in the end: "alone", or, where a
	// policy on contended rows had them queue, "gate", "combine", "group" or "lock".
	// It is left out when all ran alone.
	Ways map[string]int64 `json:"ways,omitempty"`
	// Collision is the share of pairs of choices that were the same key: what the
	// clients really did, beside the prediction in [Cell.Collision].
	Collision float64 `json:"collision"`
	// LatencyUS is the time from an operation's first try to its outcome, for
	// operations that committed or gave up, in microseconds.
	LatencyUS Latency `json:"latency_us"`

	// Audit is the whole report of the check; the counts above are part of it.
	Audit audit.Report `json:"-"`
	// Declined is the number of operations that the rows did not allow.
	Declined int64 `json:"-"`
	// Unknown is how many of Errors have an unknown outcome.
	Unknown int64 `json:"-"`
	// FirstError is the first of Errors, or of the reasons to give up.
	FirstError error `json:"-"`
}

// Latency holds percentiles.
type Latency struct {
	// P50 is the median, P90 the 90th percentile, and so on.
	P50  int64 `json:"p50"`
	P90  int64 `json:"p90"`
	P99  int64 `json:"p99"`
	P999 int64 `json:"p999"`
	// Max is the greatest value.
	Max int64 `json:"max"`
}
