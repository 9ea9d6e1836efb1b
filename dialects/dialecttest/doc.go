// Package dialecttest is the conformance suite of dialects and transports: what
// occ needs of them, as cases that run end to end on a real database.
//
// Whoever writes a [dialects.Dialect] or a transport ([dialects.DB]) describes
// one pair of them in a [Harness] and calls one of two functions. [Run] makes a
// subtest of each case, in the way of testing/slogtest. [Check] runs the same
// cases and returns the failed ones as an error, in the way of testing/fstest;
// it needs no test, and so can itself be tested: the package's own tests prove
// that it rejects dialects which are broken on purpose.
//
//	func TestConformance(t *testing.T) {
//		dialecttest.Run(t, dialecttest.Harness{
//			Name:      "mydb/sqldb",
//			Dialect:   mydb.New(),
//			Transport: sqldb.New(pool),
//			Exec:      func(ctx context.Context, text string) error { _, err := pool.ExecContext(ctx, text); return err },
//		})
//	}
//
// Every case has a table of its own with a random name and drops it afterwards,
// so any database will do, also one that is in use; the tables are small.
//
// What a database lacks is recorded as unsupported, what the harness gives no
// means to test as untested: neither fails, and neither is silent. The
// [Report] of a run is written as JSON to the directory that OCCKIT_CONFORMANCE_OUT
// names, and cmd/featuretable makes the table in the README of such files.
//
// This is the one package under dialects that imports occ: the contract is
// worth what a repository makes of it.
package dialecttest
