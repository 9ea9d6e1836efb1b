// Package emittest runs the files that migrations emits through the real goose
// and golang-migrate. It is a module of its own, so that their dependencies stay
// out of occkit's go.mod:
//
//	cd migrations/emittest && go test ./...
package emittest
