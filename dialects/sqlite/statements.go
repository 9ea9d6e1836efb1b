package sqlite

// Begin returns the text that opens a transaction which is going to write. A
// plain BEGIN takes the write lock at the first write only; when another
// connection has written since the first read, that is SQLITE_BUSY_SNAPSHOT at
// once, without the busy timeout, and repeating the statement never helps.
// https://www.sqlite.org/isolation.html
func (Dialect) Begin() string { return "BEGIN IMMEDIATE" }
