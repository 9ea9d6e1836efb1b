package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/occkit/occkit/dialects/dbtest"
)

// engine is a server that the tests require.
type engine struct {
	name     string
	env      string   // the variable of its DSN
	packages []string // Debian's
	driver   string   // of database/sql
	version  string   // the query
}

var engines = []engine{
	{"postgres", "OCCKIT_POSTGRES", []string{"postgresql"}, "pgx", "SHOW server_version"},
	{"mariadb", "OCCKIT_MARIADB", []string{"mariadb-server-core", "mariadb-client-core"}, "mysql", "SELECT VERSION()"},
}

// provider finds, installs or starts servers.
type provider struct {
	options
	out        io.Writer
	containers []string
}

func (p *provider) say(format string, args ...any) {
	_, _ = fmt.Fprintf(p.out, "realtest: "+format+"\n", args...)
}

// provide makes sure that there is a server of every engine and returns the
// settings that lead the tests to them.
func (p *provider) provide(ctx context.Context) ([]string, error) {
	settings := []string{"OCCKIT_REQUIRE=" + required(os.Getenv("OCCKIT_REQUIRE"))}
	if p.install && !p.docker && os.Getenv("OCCKIT_POSTGRES") == "" {
		p.download(ctx)
	}
	if err := p.installMissing(ctx); err != nil {
		return nil, err
	}
	for _, e := range engines {
		setting, err := p.settle(ctx, e)
		if err != nil {
			return nil, err
		}
		settings = append(settings, setting...)
	}
	return settings, nil
}

// settle decides where an engine's server comes from and says so.
func (p *provider) settle(ctx context.Context, e engine) ([]string, error) {
	if dsn := os.Getenv(e.env); dsn != "" {
		version, err := ask(ctx, e, dsn)
		if err != nil {
			return nil, fmt.Errorf("%s: the server does not answer: %w", e.env, err)
		}
		p.say("%s %s, from %s", e.name, version, e.env)
		return nil, nil
	}
	if found := dbtest.Search(ctx, e.name); len(found) > 0 && !p.docker {
		for _, installation := range found {
			p.say("%s", installation)
		}
		return installedSetting(e, found), nil
	}
	if !dockerAnswers(ctx) {
		return nil, e.missing(p.options)
	}
	dsn, version, err := p.container(ctx, e)
	if err != nil {
		return nil, fmt.Errorf("docker: %w", err)
	}
	p.say("%s %s, from Docker", e.name, version)
	return []string{e.env + "=" + dsn}, nil
}

// installMissing installs the packages of the engines that cannot be had
// otherwise. Where it may not, Docker's turn comes.
func (p *provider) installMissing(ctx context.Context) error {
	var packages []string
	for _, e := range engines {
		if os.Getenv(e.env) == "" && len(dbtest.Search(ctx, e.name)) == 0 {
			packages = append(packages, e.packages...)
		}
	}
	if len(packages) == 0 || !p.install || p.docker {
		return nil
	}
	privilege, ok := installer(ctx)
	if !ok {
		return nil
	}
	return p.aptInstall(ctx, privilege, packages)
}

// missing tells what to do where every way is closed.
func (e engine) missing(o options) error {
	ways := []string{
		"set " + e.env + " to a DSN", "install " + strings.Join(e.packages, " and "), "start Docker",
	}
	switch {
	case o.docker:
		return errors.New("docker info does not answer: start Docker, or leave out -docker")
	case !o.install:
		ways = append(ways, "leave out -install=false")
	default:
		ways = append(ways, "run this as root or with sudo that asks no password, on a system with apt-get")
	}
	last := len(ways) - 1
	return fmt.Errorf("no %s: %s, or %s", e.name, strings.Join(ways[:last], ", "), ways[last])
}

// required adds the engines to a list as in OCCKIT_REQUIRE.
func required(list string) string {
	names := strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
	for _, e := range engines {
		if !strings.Contains(","+strings.Join(names, ",")+",", ","+e.name+",") {
			names = append(names, e.name)
		}
	}
	return strings.Join(names, ",")
}

// installedSetting passes on where PostgreSQL was found, so that the tests, with
// another user's cache folder perhaps, use what was announced.
func installedSetting(e engine, found []dbtest.Installation) []string {
	if e.name != "postgres" {
		return nil
	}
	var folders []string
	for _, installation := range found {
		folders = append(folders, filepath.Dir(installation.Server))
	}
	return []string{"OCCKIT_POSTGRES_BIN=" + strings.Join(folders, string(filepath.ListSeparator))}
}
