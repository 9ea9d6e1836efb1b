// Package migrations gives tables in use a version column, and a guard.
package migrations
