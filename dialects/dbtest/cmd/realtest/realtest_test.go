package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects/dbtest"
)

func TestParse(t *testing.T) {
	t.Parallel()
	defaults := []string{"-count=1", "-timeout", "20m", "./..."}
	for line, want := range map[string]options{
		"":                            {install: true, args: defaults},
		"-race":                       {install: true, race: true, args: defaults},
		"--race -docker":              {install: true, race: true, docker: true, args: defaults},
		"-install=false":              {args: defaults},
		"-race -run Foo -v ./occ":     {install: true, race: true, args: []string{"-run", "Foo", "-v", "./occ"}},
		"./occ -race":                 {install: true, args: []string{"./occ", "-race"}},
		"-short -install=false ./occ": {install: true, args: []string{"-short", "-install=false", "./occ"}},
	} {
		o, err := parse(strings.Fields(line))
		require.NoError(t, err, line)
		require.Equal(t, want, o, line)
	}
	_, err := parse([]string{"-install=perhaps"})
	require.ErrorContains(t, err, `true or false, not "perhaps"`)
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, arg := range []string{"-h", "--help"} {
		var out, complaints bytes.Buffer
		require.Zero(t, run(t.Context(), []string{arg}, &out, &complaints))
		require.Contains(t, out.String(), "usage:")
		require.Empty(t, complaints.String())
	}
}

func TestBadFlagIsOneLine(t *testing.T) {
	t.Parallel()
	var out, complaints bytes.Buffer
	require.Equal(t, 1, run(t.Context(), []string{"-race=x"}, &out, &complaints))
	require.Equal(t, 1, strings.Count(complaints.String(), "\n"))
}

func TestRequired(t *testing.T) {
	t.Parallel()
	require.Equal(t, "postgres,mariadb", required(""))
	require.Equal(t, "mysql,mariadb,postgres", required("mysql, mariadb"))
}

func TestMissingTellsWhatToDo(t *testing.T) {
	t.Parallel()
	maria := engines[1]
	require.EqualError(t, maria.missing(options{install: true}),
		"no mariadb: set OCCKIT_MARIADB to a DSN, install mariadb-server-core and mariadb-client-core, "+
			"start Docker, or run this as root or with sudo that asks no password, on a system with apt-get")
	require.ErrorContains(t, maria.missing(options{}), "or leave out -install=false")
	require.ErrorContains(t, maria.missing(options{docker: true}), "leave out -docker")
}

func TestInstallCommand(t *testing.T) {
	t.Parallel()
	line := installCommand([]string{"sudo", "-n"}, []string{"a", "b"})
	require.Equal(t, []string{"sudo", "-n", "sh", "-c"}, line[:4])
	require.Equal(t, []string{"a", "b"}, line[len(line)-2:])
	check := exec.CommandContext(t.Context(), "sh", "-n", "-c", installScript)
	out, err := check.CombinedOutput()
	require.NoError(t, err, string(out))
}

func TestLastLine(t *testing.T) {
	t.Parallel()
	fallback := errors.New("exit status 100")
	require.EqualError(t, lastLine("W: hm\nE: no such package\n\n", fallback), "E: no such package")
	require.Equal(t, fallback, lastLine(" \n", fallback))
}

func TestCacheFolder(t *testing.T) {
	t.Parallel()
	folder, err := cacheFolder(0, []string{"/var/cache/occkit"})
	require.NoError(t, err)
	require.Equal(t, "/var/cache/occkit", folder)
	folder, err = cacheFolder(1000, []string{"/var/cache/occkit", "/home/me/.cache/occkit"})
	require.NoError(t, err)
	require.Equal(t, "/home/me/.cache/occkit", folder)
	_, err = cacheFolder(1000, []string{"/var/cache/occkit"})
	require.ErrorContains(t, err, "HOME")
}

// TestNpmIsPinned holds the lock to one version, by checksum, and to no host.
func TestNpmIsPinned(t *testing.T) {
	t.Parallel()
	require.NotContains(t, string(npmLock), "://")
	var lock struct {
		Packages map[string]struct{ Version, Integrity string }
	}
	require.NoError(t, json.Unmarshal(npmLock, &lock))
	require.Len(t, lock.Packages, 3)
	for name, locked := range lock.Packages {
		if name != "" {
			require.Equal(t, npmVersion, locked.Version, name)
			require.True(t, strings.HasPrefix(locked.Integrity, "sha512-"), name)
		}
	}
}

func TestReadable(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	program, text := filepath.Join(root, "bin", "p"), filepath.Join(root, "t")
	require.NoError(t, os.Mkdir(filepath.Join(root, "bin"), 0o700))
	require.NoError(t, os.WriteFile(program, nil, 0o600))
	require.NoError(t, os.WriteFile(text, nil, 0o600))
	require.NoError(t, os.Symlink("absent", filepath.Join(root, "link")))
	require.NoError(t, readable(root))
	for path, want := range map[string]os.FileMode{root: 0o755, filepath.Dir(program): 0o755, program: 0o755, text: 0o644} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, want, info.Mode().Perm(), path)
	}
}

func TestEnvironmentWithoutCompiler(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("CC", "")
	environment, err := testEnvironment([]string{"A=1"}, options{})
	require.NoError(t, err)
	require.Equal(t, []string{"A=1", "CGO_ENABLED=0"}, environment)
	for _, o := range []options{{race: true}, {args: []string{"-v", "-race"}}} {
		_, err = testEnvironment(nil, o)
		require.ErrorContains(t, err, "apt-get install gcc libc6-dev")
	}
}

func TestExitCodeIsGoTests(t *testing.T) {
	t.Parallel()
	var out, complaints bytes.Buffer
	err := goTest(t.Context(), options{args: []string{"-timeout"}}, os.Environ(), &out, &complaints)
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 2, exit.ExitCode())
	require.Contains(t, complaints.String(), "needs an argument")
}

func TestInterruptEndsChildren(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, "sh", "-c", "sleep 600 & echo started; wait")
	interruptible(cmd)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = out.Read(make([]byte, 8))
	require.NoError(t, err)
	cancel()
	require.Error(t, cmd.Wait())
}

func TestEnvironmentsServerIsAsked(t *testing.T) {
	dsn := dbtest.Postgres(t)
	t.Setenv("OCCKIT_POSTGRES", dsn)
	var said bytes.Buffer
	p := &provider{out: &said}
	settings, err := p.settle(t.Context(), engines[0])
	require.NoError(t, err)
	require.Empty(t, settings)
	require.Regexp(t, `^realtest: postgres \d+\.\d+, from OCCKIT_POSTGRES\n$`, said.String())

	t.Setenv("OCCKIT_POSTGRES", "postgres://u:sesame@127.0.0.1:1/d?sslmode=disable")
	_, err = p.settle(t.Context(), engines[0])
	require.ErrorContains(t, err, "OCCKIT_POSTGRES: the server does not answer")
	require.NotContains(t, err.Error(), "sesame")
	require.NotContains(t, err.Error(), "\n")
}

func TestInstalledSettingNamesFolders(t *testing.T) {
	t.Parallel()
	found := []dbtest.Installation{{Server: "/a/postgres"}, {Server: "/b/postgres"}}
	require.Equal(t, []string{"OCCKIT_POSTGRES_BIN=/a:/b"}, installedSetting(engines[0], found))
	require.Empty(t, installedSetting(engines[1], found))
}

// TestDocker has a program called docker whose container is a server of dbtest
// that lets anybody in.
func TestDocker(t *testing.T) {
	hba := filepath.Join("/tmp", filepath.Base(t.TempDir())+secret()+".conf")
	require.NoError(t, os.WriteFile(hba, []byte("local all all trust\nhost all all 127.0.0.1/32 trust\n"), 0o644))
	t.Cleanup(func() { _ = os.Remove(hba) })
	server := dbtest.StartPostgres(t, "-c", "hba_file="+hba)
	db := dbtest.Open(t, "pgx", server.DSN())
	_, err := db.ExecContext(t.Context(), "CREATE ROLE postgres LOGIN")
	require.NoError(t, err)

	folder := t.TempDir()
	log := filepath.Join(folder, "log")
	script := fmt.Sprintf(`#!/bin/sh
echo "$*" >>%s
case $1 in
run) test -n "$POSTGRES_PASSWORD" && echo 4f5e ;;
port) echo %s ;;
esac
`, log, server.TCPAddr())
	require.NoError(t, os.WriteFile(filepath.Join(folder, "docker"), []byte(script), 0o755))
	t.Setenv("PATH", folder+string(filepath.ListSeparator)+os.Getenv("PATH"))
	t.Setenv("OCCKIT_POSTGRES", "")

	var said bytes.Buffer
	p := &provider{options: options{docker: true}, out: &said}
	settings, err := p.settle(t.Context(), engines[0])
	require.NoError(t, err)
	require.Len(t, settings, 1)
	require.Contains(t, settings[0], "OCCKIT_POSTGRES=postgres://postgres:")
	require.Contains(t, said.String(), "postgres "+server.Version()+", from Docker")
	p.close(t.Context())

	text, err := os.ReadFile(log)
	require.NoError(t, err)
	calls := strings.Split(strings.TrimSpace(string(text)), "\n")
	require.True(t, slices.Contains(calls, "rm --force --volumes 4f5e"), "the container stays: %v", calls)
	_, rest, _ := strings.Cut(settings[0], "postgres:")
	_, rest, _ = strings.Cut(rest, ":")
	password, _, _ := strings.Cut(rest, "@")
	require.NotContains(t, string(text), password, "the password is in a command line")
}
