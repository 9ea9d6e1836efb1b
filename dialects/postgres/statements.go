package postgres

// lock is the lock that UPDATE itself takes. It excludes every other update
// and delete, and so every change of version. FOR UPDATE would exclude in
// addition the FOR KEY SHARE locks of foreign keys, so that inserting a child
// row would queue behind everyone who edits the parent.
// https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-ROWS
const lock = "FOR NO KEY UPDATE"

const (
	// xmin is cast to a type that every driver scans into Go integers and
	// strings: pgx scans a bare xid into uint32 and string alone.
	xmin = `"xmin"::text::bigint`

	// xminMatch casts the parameter as well, so that its type does not depend
	// on the Go type bound, whatever the driver's execution mode.
	//
	// A row keeps its xmin when one transaction writes it twice. The second
	// predicate therefore leaves out rows that the transaction itself has
	// written: a second checked write of one transaction matches no row, rather
	// than any version of it. Rows written inside a savepoint carry the
	// savepoint's own id and are not recognised.
	// https://www.postgresql.org/docs/current/functions-info.html
	xminMatch = xmin + ` = %s::bigint AND "xmin" IS DISTINCT FROM pg_current_xact_id_if_assigned()::xid`
)

// Begin returns the text that opens a transaction. The isolation level is left
// to the session: a checked write is right on every one of them.
func (Dialect) Begin() string { return "BEGIN" }
