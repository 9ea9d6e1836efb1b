package occ

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/occkit/occkit/dialects"
)

// RepositoryOptions are the choices of a [Repository]. The zero value works.
type RepositoryOptions struct {
	// Schema qualifies the table; the table's name is then taken as it is, dots
	// included. Defaults to what stands before the dot in the table's name.
	Schema string
	// ReadBack reads the version from the table after each update, in the same
	// transaction. It is for tables whose triggers move the version themselves,
	// on databases where the update cannot return what the trigger made of it:
	// MySQL, MariaDB, and SQLite. Defaults to false.
	ReadBack bool
	// Immutable are types of fields whose values may be shared by copies of a row
	// although they hold pointers, because nobody changes what is behind them:
	// decimal.Decimal, for example. Rows with such fields of other types cannot be
	// copied, and [Repository.Mutate] then neither combines writes of a contended
	// row nor hands the row on. Defaults to those of time and net/netip.
	Immutable []reflect.Type

	_ struct{} // no positional literals, so that fields may be added
}

// Repository reads and writes the versioned rows of one table. T is a struct
// with occ tags; K is the type of its key field, or for a composite key a struct
// that has the key columns' tags.
//
// The tag is the column's name and options:
//
//	key                part of the primary key
//	version            the version: a counter if the field is an integer, else a token
//	version=token      an opaque token (UUIDv7) in a string or a uuid.UUID
//	version=xmin       PostgreSQL's system column xmin, in a uint32
//	version=timestamp  a time.Time; see [dialects.Timestamp] for what can go wrong
//	readonly           read, never written; what a trigger or the server computes
//	generated          filled by the server on insert when the field is zero
//	nullable           NULL is the zero value
//	json               stored as a JSON document
//
// Fields without a tag are left out, embedded structs are flattened.
//
// A repository is safe for concurrent use.
type Repository[T any, K comparable] struct {
	core *core[T, K]
	tx   *joined // the caller's transaction; nil outside of one
	unit *Tx     // the unit of work; nil outside of one
	err  error   // why In failed
}

// core is what a repository knows of its table: compiled once, shared by the
// repositories that In returns, and read-only but for the caches at its end.
type core[T any, K comparable] struct {
	db       *DB
	m        *mapping
	keys     *keyer[K]
	version  versioner
	writes   []int // the columns that an update writes
	readBack bool

	sel, lock, share, update, touch, remove dialects.Statement

	inserts sync.Map // columns left to the server -> dialects.Statement
	patches sync.Map // columns written -> dialects.Statement
	many    sync.Map // number of keys -> dialects.Statement
	guards  sync.Map // statement -> its guarded form
	bulks   sync.Map // arrayKey -> dialects.Statement, "types" -> []string, "loop" -> *dialects.Statement
	inPlace sync.Map // shape of the changes -> *inPlace
	pool    sync.Pool

	asked, plain atomic.Bool // see ask

	hot   *hot[T, K] // nil where Mutate never queues
	rungs rungCounts
}

// NewRepository returns the repository of a table, named "table" or
// "schema.table". Options may be nil. A struct that does not fit the table or
// the dialect is a [*MappingError] that names the field; the database is not
// asked.
func NewRepository[T any, K comparable](db *DB, table string, opts *RepositoryOptions) (*Repository[T, K], error) {
	if db == nil {
		return nil, fmt.Errorf("occ: %w: NewRepository needs a DB", ErrUsage)
	}
	if db.err != nil {
		return nil, fmt.Errorf("occ: %w", db.err)
	}
	m, err := newMapping(reflect.TypeFor[T](), table, opts, db.dialect.Limits())
	if err != nil {
		return nil, err
	}
	keys, err := newKeyer[K](m)
	if err != nil {
		return nil, err
	}
	c := &core[T, K]{db: db, m: m, keys: keys, readBack: opts != nil && opts.ReadBack}
	f := &m.fields[m.version]
	c.version = versioner{
		kind: m.table.Columns[m.version].Version, typ: f.typ, field: f,
		precision: max(db.dialect.Limits().TimePrecision, 1), now: db.opts.Now,
	}
	for i, col := range m.table.Columns {
		if col.Writable() {
			c.writes = append(c.writes, i)
		}
	}
	c.pool.New = func() any { return newBuffers(f.typ) }
	if err := c.compile(); err != nil {
		return nil, m.errorf("", "table %q does not fit dialect %s: %w", table, db.dialect.Name(), err)
	}
	var immutable []reflect.Type
	if opts != nil {
		immutable = opts.Immutable
	}
	if c.hot, err = newHot(c, immutable); err != nil {
		return nil, m.errorf("", "table %q does not fit dialect %s: %w", table, db.dialect.Name(), err)
	}
	return &Repository[T, K]{core: c}, nil
}

// compile asks the dialect for the statements that every repository uses.
func (c *core[T, K]) compile() error {
	d, t := c.db.dialect, &c.m.table
	insert, err := d.Insert(t) // with every generated column left to the server
	if err != nil {
		return err
	}
	c.inserts.Store(c.generated(), insert)
	if l, ok := d.(dialects.LockingReader); ok {
		c.lock, err = l.SelectForUpdate(t)
	}
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	if l, ok := d.(dialects.ShareLocker); ok {
		c.share, err = l.SelectForShare(t)
	}
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	var errs [4]error
	c.sel, errs[0] = d.Select(t)
	c.update, errs[1] = d.Update(t)
	c.touch, errs[2] = d.Update(c.writing(nil))
	c.remove, errs[3] = d.Delete(t)
	if c.lock.Text == "" {
		c.lock = c.sel
	}
	if c.share.Text == "" {
		c.share = c.lock
	}
	return errors.Join(errs[:]...)
}

// writing returns the table with only the given columns writable.
func (c *core[T, K]) writing(columns []int) *dialects.Table {
	t := c.m.table
	t.Columns = append([]dialects.Column(nil), t.Columns...)
	for i := range t.Columns {
		if t.Columns[i].Writable() {
			t.Columns[i].ReadOnly = true
		}
	}
	for _, i := range columns {
		t.Columns[i].ReadOnly = false
	}
	return &t
}

// In returns the repository bound to a scope: a unit of work, see [DB.Transact],
// or the caller's own transaction, see [Join].
func (r *Repository[T, K]) In(s Scope) *Repository[T, K] {
	bound := &Repository[T, K]{core: r.core, err: r.err}
	if s == nil {
		bound.err = fmt.Errorf("occ: %w: In needs a scope, such as occ.Join(tx)", ErrUsage)
	} else if bound.tx, bound.unit, bound.err = s.bind(r.core.db); bound.err != nil {
		bound.err = fmt.Errorf("occ: %w", bound.err)
	}
	return bound
}

// NamedStatement is one statement of a repository.
type NamedStatement struct {
	// Name is what the statement is for: "select", "update".
	Name string
	// Text is its SQL.
	Text string
}

// Statements returns the SQL that the repository was compiled to, for reviews
// and for EXPLAIN.
func (r *Repository[T, K]) Statements() []NamedStatement {
	c := r.core
	insert, _ := c.inserts.Load(c.generated())
	list := []NamedStatement{
		{"select", c.sel.Text},
		{"select for update", c.lock.Text},
		{"insert", insert.(dialects.Statement).Text},
		{"update", c.update.Text},
		{"update, no triggers", c.update.Plain},
		{"touch", c.touch.Text},
		{"touch, no triggers", c.touch.Plain},
		{"delete", c.remove.Text},
	}
	return slices.DeleteFunc(list, func(st NamedStatement) bool { return st.Text == "" })
}

// subject names an operation on a key.
func (c *core[T, K]) subject(op string, key K) Subject {
	return Subject{Op: op, Table: c.tableName(), Key: key}
}

func (c *core[T, K]) tableName() string {
	if c.m.table.Schema != "" {
		return c.m.table.Schema + "." + c.m.table.Name
	}
	return c.m.table.Name
}

// usage makes an error of a call that cannot be right.
func (c *core[T, K]) usage(op, format string, args ...any) error {
	return &OpError{Subject: Subject{Op: op, Table: c.tableName()}, Kind: ErrUsage, Err: fmt.Errorf(format, args...)}
}

// columnNames renders columns for a message.
func (c *core[T, K]) columnNames(want func(dialects.Column) bool) string {
	var names []string
	for _, col := range c.m.table.Columns {
		if want(col) {
			names = append(names, col.Name)
		}
	}
	return strings.Join(names, ", ")
}
