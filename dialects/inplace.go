package dialects

// InPlaceWriter is implemented by dialects that can change a row by what stands in
// it, in one statement and without having read it: balance = balance - 100.
//
// Its statements are the one exception from the rule that every write carries the
// version that it was decided on: what they make of a row does not depend on what
// anybody read, so there is nothing that could be stale. That is why they are not
// a form of [Dialect.Update], which never lacks the predicate. They move the
// version like every write, so that nobody else's check misses them.
type InPlaceWriter interface {
	// InPlaceUpdate makes the changes to the row whose key is bound and for which
	// all conditions hold, and moves the version: a [Counter] by one, a [Token] to
	// the bound [Next], a [Timestamp] to Next or, when the row is not older, past
	// the row's own. It matches no row, and changes nothing, when it would not
	// return [InPlaceWrites] from InPlaceCheck.
	//
	// The new version comes back through Returns, or, where the database returns
	// nothing from an update, a counter as last insert id: then Identity names the
	// version column. A version kind that cannot be moved without knowing it is
	// [errors.ErrUnsupported].
	InPlaceUpdate(t *Table, w InPlace) (Statement, error)

	// InPlaceCheck reads every column like [LockingReader.SelectForUpdate], and
	// after them an [InPlaceVerdict]: what InPlaceUpdate would do to the row.
	InPlaceCheck(t *Table, w InPlace) (Statement, error)
}

// InPlace is a change of a row by what stands in it.
type InPlace struct {
	// Changes are at least one, each of another writable column.
	Changes []InPlaceChange
	// Conditions must all hold. They may name any column but the version.
	Conditions []InPlaceCondition
}

// InPlaceChange changes one column. Its value is bound by an [Arg] with source
// [Operand], whose Column is the column and whose Index is the change's.
type InPlaceChange struct {
	Column int
	Op     InPlaceOp
	// NullIsZero says that NULL counts as zero. Otherwise a sum with NULL is not
	// written, see [InPlaceNull], and a maximum with NULL is the other value.
	NullIsZero bool
}

// InPlaceOp is how a column changes.
type InPlaceOp uint8

const (
	// InPlaceSet assigns the value.
	InPlaceSet InPlaceOp = iota
	// InPlaceAdd adds it to the column. A sum that the column or its Go type
	// cannot hold is not written: it is an error of class [Overflow], or
	// [InPlaceRange].
	InPlaceAdd
	// InPlaceMax assigns the value if it is greater than the column's.
	InPlaceMax
	// InPlaceMin assigns the value if it is less than the column's.
	InPlaceMin
)

// InPlaceCondition compares one column. Its value is bound by an [Arg] with source
// [Bound], whose Column is the column and whose Index is the condition's.
type InPlaceCondition struct {
	Column int
	Is     InPlaceIs
}

// InPlaceIs is a comparison. None but InPlaceIsNull holds for NULL.
type InPlaceIs uint8

// The comparisons. The last two bind nothing.
const (
	InPlaceEqual InPlaceIs = iota
	InPlaceNotEqual
	InPlaceLess
	InPlaceAtMost
	InPlaceGreater
	InPlaceAtLeast
	InPlaceIsNull
	InPlaceIsNotNull
)

// InPlaceVerdict is what a [InPlaceWriter.InPlaceUpdate] would do to a row.
type InPlaceVerdict = int64

const (
	// InPlaceUnmet: a condition does not hold.
	InPlaceUnmet InPlaceVerdict = iota
	// InPlaceWrites: it writes the row.
	InPlaceWrites
	// InPlaceNull: it would add to NULL.
	InPlaceNull
	// InPlaceRange: a sum would leave its range.
	InPlaceRange
	// InPlaceFull: the version is the last that its column or Go type holds.
	InPlaceFull
)
