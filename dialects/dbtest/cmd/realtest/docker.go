package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// image is how an engine runs in a container.
type image struct {
	name     string
	password string // the variable that sets the superuser's
	port     string
	dsn      func(addr, password string) string
}

var images = map[string]image{
	"postgres": {"postgres:18", "POSTGRES_PASSWORD", "5432", func(addr, password string) string {
		return "postgres://postgres:" + password + "@" + addr + "/postgres?sslmode=disable"
	}},
	"mariadb": {"mariadb:11.8", "MARIADB_ROOT_PASSWORD", "3306", func(addr, password string) string {
		return "root:" + password + "@tcp(" + addr + ")/?parseTime=true"
	}},
}

// dockerAnswers tells whether there is a Docker daemon for us.
func dockerAnswers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	return exec.CommandContext(ctx, "docker", "info").Run() == nil
}

// container starts a server and returns its DSN and version when it answers.
// The password goes by the environment: command lines are public.
func (p *provider) container(ctx context.Context, e engine) (dsn, version string, err error) {
	im := images[e.name]
	password := secret()
	p.say("starting %s in Docker (the first time, this downloads it)", im.name)
	id, err := docker(ctx, []string{im.password + "=" + password},
		"run", "--detach", "--rm", "--label=occkit", "--env="+im.password, "--publish=127.0.0.1::"+im.port, im.name)
	if err != nil {
		return "", "", err
	}
	p.containers = append(p.containers, id)
	ports, err := docker(ctx, nil, "port", id, im.port+"/tcp")
	if err != nil {
		return "", "", err
	}
	addr, _, _ := strings.Cut(ports, "\n")
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return "", "", fmt.Errorf("port of %s: %w", im.name, err)
	}
	dsn = im.dsn(addr, password)
	version, err = untilAnswer(ctx, e, dsn)
	return dsn, version, err
}

// close removes the containers, also when the context is over.
func (p *provider) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	for _, id := range p.containers {
		if _, err := docker(ctx, nil, "rm", "--force", "--volumes", id); err != nil {
			p.say("docker: %v", err)
		}
	}
	p.containers = nil
}

// docker runs a command of docker's and returns what it prints.
func docker(ctx context.Context, env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Env = append(os.Environ(), env...)
	var failure strings.Builder
	cmd.Stderr = &failure
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("docker %s: %w", args[0], lastLine(failure.String(), err))
	}
	return strings.TrimSpace(string(out)), nil
}

// untilAnswer asks until the server answers, for a minute.
func untilAnswer(ctx context.Context, e engine, dsn string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		version, err := ask(ctx, e, dsn)
		if err == nil {
			return version, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", fmt.Errorf("%s does not answer: %w", e.name, err)
		}
	}
}

// ask returns the version of the server that a DSN leads to.
func ask(ctx context.Context, e engine, dsn string) (version string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_ = mysql.SetLogger(&mysql.NopLogger{}) // refuses nil only
	db, err := sql.Open(e.driver, dsn)
	if err != nil {
		return "", err
	}
	defer func() { _ = db.Close() }()
	err = db.QueryRowContext(ctx, e.version).Scan(&version)
	version, _, _ = strings.Cut(version, " ")
	return version, oneLine(err)
}

func secret() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails: see crypto/rand
	return hex.EncodeToString(b)
}
