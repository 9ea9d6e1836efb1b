package dialecttest_test

import (
	"slices"
	"strings"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/sqlite"
)

// The dialects here are sound but for one defect each. They change the text of
// SQLite's statements, so they quote with backquotes.

// sound is SQLite's dialect under a name of its own, so that a defect is one
// overridden method.
type sound struct{ sqlite.Dialect }

func newSound() sound { return sound{sqlite.New()} }

// versionOf is the quoted version column.
func versionOf(t *dialects.Table) string {
	return "`" + strings.ReplaceAll(t.Columns[t.VersionColumn()].Name, "`", "``") + "`"
}

// unchecked takes the version predicate out of a statement.
func unchecked(t *dialects.Table, st dialects.Statement, err error) (dialects.Statement, error) {
	st.Text = strings.Replace(st.Text, " AND "+versionOf(t)+" = ?", "", 1)
	st.Args = slices.DeleteFunc(slices.Clone(st.Args), func(a dialects.Arg) bool { return a.Source == dialects.Expected })
	return st, err
}

// blindUpdate updates whatever the version is.
type blindUpdate struct{ sound }

func (d blindUpdate) Update(t *dialects.Table) (dialects.Statement, error) {
	st, err := d.sound.Update(t)
	return unchecked(t, st, err)
}

// blindDelete deletes whatever the version is.
type blindDelete struct{ sound }

func (d blindDelete) Delete(t *dialects.Table) (dialects.Statement, error) {
	st, err := d.sound.Delete(t)
	return unchecked(t, st, err)
}

// step moves counters by another step than one.
type step struct {
	sound
	by string
}

func (d step) Update(t *dialects.Table) (dialects.Statement, error) {
	st, err := d.sound.Update(t)
	v := versionOf(t)
	st.Text = strings.Replace(st.Text, v+" = "+v+" + 1", v+" = "+v+d.by, 1)
	return st, err
}

// still adds in place and leaves the version where it is.
type still struct{ sound }

func (d still) InPlaceUpdate(t *dialects.Table, in dialects.InPlace) (dialects.Statement, error) {
	st, err := d.sound.InPlaceUpdate(t, in)
	v := versionOf(t)
	st.Text = strings.Replace(st.Text, ", "+v+" = "+v+" + 1", "", 1)
	return st, err
}

// unconditional changes in place whatever the conditions are.
type unconditional struct{ sound }

func (d unconditional) InPlaceUpdate(t *dialects.Table, in dialects.InPlace) (dialects.Statement, error) {
	return d.sound.InPlaceUpdate(t, dialects.InPlace{Changes: in.Changes})
}

// wrapping adds in place without a look at the sum.
type wrapping struct{ sound }

func newWrapping() wrapping {
	d := wrapping{newSound()}
	d.Syntax.IntegerTest = ""
	return d
}

// sameToken writes the version that was expected in place of the next one.
type sameToken struct{ sound }

func (d sameToken) Update(t *dialects.Table) (dialects.Statement, error) {
	st, err := d.sound.Update(t)
	st.Args = slices.Clone(st.Args)
	for i := range st.Args {
		if st.Args[i].Source == dialects.Next {
			st.Args[i].Source = dialects.Expected
		}
	}
	return st, err
}

// zeroUnchecked takes the version 0 for "no version given", as gorm's
// optimisticlock does.
type zeroUnchecked struct{ sound }

func (d zeroUnchecked) Update(t *dialects.Table) (dialects.Statement, error) {
	st, err := d.sound.Update(t)
	v := versionOf(t)
	st.Text = strings.Replace(st.Text, " AND "+v+" = ?", " AND ("+v+" = ? OR ? = 0)", 1)
	i := slices.IndexFunc(st.Args, func(a dialects.Arg) bool { return a.Source == dialects.Expected })
	if i >= 0 {
		st.Args = slices.Insert(slices.Clone(st.Args), i, st.Args[i])
	}
	return st, err
}

// wrongReturning returns another version than the one it wrote.
type wrongReturning struct{ sound }

func (d wrongReturning) Update(t *dialects.Table) (dialects.Statement, error) {
	st, err := d.sound.Update(t)
	if t.Columns[t.VersionColumn()].Version == dialects.Counter {
		st.Text = strings.Replace(st.Text, " RETURNING "+versionOf(t), " RETURNING "+versionOf(t)+" - 1", 1)
	}
	return st, err
}

// requoted changes how names are quoted in every statement.
type requoted struct {
	sound
	quote func(text string) string
}

func (d requoted) change(st dialects.Statement, err error) (dialects.Statement, error) {
	st.Text = d.quote(st.Text)
	return st, err
}

func (d requoted) Select(t *dialects.Table) (dialects.Statement, error) {
	return d.change(d.sound.Select(t))
}

func (d requoted) SelectForUpdate(t *dialects.Table) (dialects.Statement, error) {
	return d.change(d.sound.SelectForUpdate(t))
}

func (d requoted) Insert(t *dialects.Table) (dialects.Statement, error) {
	return d.change(d.sound.Insert(t))
}

func (d requoted) Update(t *dialects.Table) (dialects.Statement, error) {
	return d.change(d.sound.Update(t))
}

func (d requoted) Delete(t *dialects.Table) (dialects.Statement, error) {
	return d.change(d.sound.Delete(t))
}

func noQuotes(text string) string   { return strings.ReplaceAll(text, "`", "") }
func noDoubling(text string) string { return strings.ReplaceAll(text, "``", "`") }

// forgetful reads one key less than it was asked for.
type forgetful struct{ sound }

func (d forgetful) SelectMany(t *dialects.Table, n int) (dialects.Statement, error) {
	st, err := d.sound.SelectMany(t, n)
	st.Text = strings.Replace(st.Text, "(?, ", "(NULLIF(?, 0) + NULL, ", 1)
	return st, err
}

// misjudging classifies some errors as another class.
type misjudging struct {
	dialects.Dialect
	classes map[dialects.Class]dialects.Class
}

func (d misjudging) Classify(err error) dialects.Class {
	class := d.Dialect.Classify(err)
	if other, ok := d.classes[class]; ok {
		return other
	}
	return class
}

// misjudge keeps the abilities of SQLite's dialect.
type misjudge struct {
	sound
	classes map[dialects.Class]dialects.Class
}

func (d misjudge) Classify(err error) dialects.Class {
	return misjudging{d.sound, d.classes}.Classify(err)
}

// newReturning lets updates return the version that they wrote.
func newReturning() sound {
	d := newSound()
	d.Syntax.ReturnsStored = true
	return d
}
