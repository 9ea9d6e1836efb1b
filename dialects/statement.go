package dialects

// Statement is SQL text together with what to bind and what comes back. It is
// compiled once, when a repository is made, and run many times.
type Statement struct {
	// Text is the SQL, with the database's own placeholders.
	Text string
	// Args tells what each placeholder is bound to, in order.
	Args []Arg
	// Returns are the indices of the table's columns that each result row
	// holds, in order. Empty: the statement returns no rows, and its outcome is
	// the number of rows affected.
	Returns []int
	// Plain is Text without what it returns, which takes the same arguments: for
	// updates of tables on which the version is sure to become what was asked for,
	// see [TriggerChecker]. Empty: there is no such form.
	Plain string
	// Identity is the name of the column whose value the driver reports as the
	// last insert id. Empty: none.
	Identity string
}

// Arg is the source of one bound parameter.
type Arg struct {
	// Source tells where the value comes from.
	Source Source
	// Column is the index of the column in the table that is meant.
	Column int
	// Index tells which change or condition of an [InPlace] is meant, for the
	// sources Operand and Bound.
	Index int
}

// Source tells where a bound value comes from.
type Source uint8

const (
	// Field binds the row's own value of the column.
	Field Source = iota
	// Expected binds the version that the caller believes to be current.
	Expected
	// Next binds the version that this write gives the row: 1 for a new
	// [Counter], a fresh value for [Token] and [Timestamp].
	Next
	// Operand binds the value of a change of an [InPlace].
	Operand
	// Bound binds the value of a condition of an [InPlace].
	Bound
)
