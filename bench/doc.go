// Package bench measures how ways of changing contended rows compare on a real
// database, and proves for every one of them whether an update was lost.
//
// [Run] lets clients change the rows of throw-away tables, one row at a time, in
// units of work that decide by several, or in bulk. It runs one strategy after the
// other, in repetitions that are interleaved so that a slow minute of the machine
// hits all of them. After each repetition every acknowledged commit is checked
// against the rows (package audit). One strategy, the control, is wrong on
// purpose; a run that does not catch it does not count.
package bench
