package sqlite

import "github.com/occkit/occkit/dialects"

var _ dialects.Looper = Dialect{}

// LoopUpdate leaves out RETURNING, which costs more than the update itself and
// tells nothing: no trigger can change what it returns.
// https://www.sqlite.org/lang_returning.html#limitations_and_caveats
func (d Dialect) LoopUpdate(t *dialects.Table) (dialects.Statement, error) {
	d.Syntax.UpdateReturning = false
	return d.Update(t)
}
