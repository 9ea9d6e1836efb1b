// Package sqlgen writes the statements that most databases share.
//
// A [Generator] is made of a [Syntax], plain data that says how the database
// spells what differs. A dialect embeds a Generator and overrides the methods
// whose statements differ by more than spelling, saying why:
//
//	type Dialect struct{ sqlgen.Generator }
//
// A dialect that embeds another dialect changes fields of its Syntax instead.
// Names never reach SQL text except through [Syntax.Quote]; values never reach
// it at all.
package sqlgen
