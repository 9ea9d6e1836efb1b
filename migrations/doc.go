// Package migrations gives tables in use a version column, and a guard that keeps
// every other writer from leaving the version where it was. The command
// occmigrate is built on it.
//
// A [Migrator] looks at a table ([Migrator.Plan], [Migrator.Status]), brings it to
// what it is to be ([Migrator.Apply]), tries the result out ([Migrator.Verify]),
// takes it back ([Migrator.Revert]), or writes files for other tools
// ([Migrator.Emit]). What there is to do is data ([Plan]) that can be printed,
// compared and kept; [Migrator.ApplyPlan] does the one that was looked at, and no
// other.
//
// # The guard
//
// A version column is a promise that every write moves it. Code that knows
// nothing of versions breaks it, and updates get lost. The guard is a trigger:
// [dialects.GuardEnforce] moves the version by one where a write left it alone,
// lets a greater version pass (writes of occkit's own, also combined ones that
// move it by more than one), and refuses a smaller one. [dialects.GuardStrict]
// refuses every write that does not move the version up. [dialects.GuardNone] is
// no trigger.
//
// No trigger on UPDATE sees REPLACE INTO, a DELETE followed by an INSERT,
// TRUNCATE, a restore, or, on MySQL and MariaDB, what foreign keys do. Mass
// updates that must not move versions set occkit.bypass to 'on' (PostgreSQL, SET
// LOCAL) or @occkit_bypass to 1 (MySQL, MariaDB).
//
// # The lock
//
// The column is added in milliseconds; waiting for the lock is what stops a
// table, since all later comers queue behind who waits. So the lock is asked for
// without waiting, every 20 milliseconds, and after [Options.NowaitFor] with waits
// of 0.2 seconds at most, or a second on MySQL 8, which can wait for no less. Who
// is in the way is told ([Event]), and left alone.
//
// # Going on
//
// Every step shows in the catalog by itself. Apply looks, does the first step that
// is missing, and looks again; so an error, a Ctrl-C or a kill leaves nothing to
// repair, and any number of migrators may work at once. The table
// occkit_migrations is for people, and for one thing more: a version column that
// was dropped and is added again begins above all old versions.
//
// # Columns that exist
//
// A column of any name that holds 64-bit or 32-bit integers is kept together with
// its default. If it may be NULL, NULL stands for the default (or for
// [Table.Initial]); it gets that as its default, its rows are filled in short
// parts along the primary key, and it becomes NOT NULL before the guard is made.
// SQLite cannot do the last: there the column stays as it is, and a trigger fills
// new rows.
package migrations
