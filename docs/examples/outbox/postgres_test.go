//go:build unix

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

var errNoPostgres = errors.New("no PostgreSQL: install the Debian package postgresql, or put initdb and postgres into PATH, " +
	"or set TIDINGS_NO_POSTGRES=1 to skip these tests")

// cluster is a PostgreSQL server of these tests. It listens on a socket in its
// folder and nowhere else.
type cluster struct {
	dir    string
	server *exec.Cmd
	ended  chan struct{} // closed when the server has ended
	made   atomic.Int64  // databases
}

// postgres is started by the first test that needs it, and ended by TestMain.
var postgres = sync.OnceValues(startPostgres)

// atEnd removes what all tests share. These tests do not run at the same time.
var atEnd []func()

func TestMain(m *testing.M) {
	code := m.Run()
	for _, remove := range atEnd {
		remove()
	}
	os.Exit(code)
}

// database makes a database with the tables of the example and returns its URL,
// too.
func database(t *testing.T) (*sql.DB, string) {
	t.Helper()
	c, err := postgres()
	if errors.Is(err, errNoPostgres) && os.Getenv("TIDINGS_NO_POSTGRES") == "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	name := "test" + strconv.FormatInt(c.made.Add(1), 10)
	if err := c.exec(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	db, err := openDatabase(t.Context(), c.url(name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db, c.url(name)
}

func (c *cluster) url(name string) string {
	return "host=" + c.dir + " user=postgres sslmode=disable dbname=" + name
}

// exec is for the server itself, not for a database of a test.
func (c *cluster) exec(ctx context.Context, statement string) error {
	config, err := pgx.ParseConfig(c.url("postgres"))
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*config)
	_, err = db.ExecContext(ctx, statement)
	return errors.Join(err, db.Close())
}

func startPostgres() (*cluster, error) {
	bin, err := postgresPrograms()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "outbox-postgres-")
	if err != nil {
		return nil, err
	}
	c := &cluster{dir: dir, ended: make(chan struct{})}
	atEnd = append(atEnd, c.stop)
	if err := c.start(bin); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log")) // there may be none yet
		return nil, fmt.Errorf("start PostgreSQL: %w\n%s", err, log)
	}
	return c, nil
}

// postgresPrograms is the folder of initdb and postgres: one of PATH, or the
// newest one of Debian.
func postgresPrograms() (string, error) {
	folders := filepath.SplitList(os.Getenv("PATH"))
	debian, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // the pattern is good
	slices.SortFunc(debian, func(a, b string) int { return version(b) - version(a) })
	for _, folder := range append(folders, debian...) {
		_, err := exec.LookPath(filepath.Join(folder, "initdb"))
		_, err2 := exec.LookPath(filepath.Join(folder, "postgres"))
		if err == nil && err2 == nil {
			return folder, nil
		}
	}
	return "", errNoPostgres
}

func version(bin string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(bin))) // what is no number is old
	return n
}

func (c *cluster) start(bin string) error {
	as, err := unprivileged(c.dir)
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(c.dir, "log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the server has its own
	command := func(name string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(context.Background(), filepath.Join(bin, name), args...)
		cmd.Dir, cmd.SysProcAttr, cmd.Stdout, cmd.Stderr = c.dir, as, log, log
		return cmd
	}
	data := filepath.Join(c.dir, "data")
	if err := command("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync").Run(); err != nil {
		return err
	}
	c.server = command("postgres", "-D", data, "-k", c.dir, "-F", "-c", "listen_addresses=")
	if err := c.server.Start(); err != nil {
		return err
	}
	go func() { _ = c.server.Wait(); close(c.ended) }() // its log says why
	return c.ready()
}

func (c *cluster) ready() error {
	late := time.After(patience)
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		err := c.exec(context.Background(), "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-c.ended:
			return errors.New("it has ended")
		case <-late:
			return err
		}
	}
}

// stop ends the server at once: nobody needs the data any more.
func (c *cluster) stop() {
	if c.server != nil && c.server.Process != nil {
		_ = c.server.Process.Signal(syscall.SIGQUIT) // it may have ended
		<-c.ended
	}
	_ = os.RemoveAll(c.dir)
}

// unprivileged gives a folder to a user under whom PostgreSQL can run: it
// refuses to be root. nil = whoever runs the tests.
func unprivileged(dir string) (*syscall.SysProcAttr, error) {
	if os.Getuid() != 0 {
		return nil, nil //nolint:nilnil // as the zero value of exec.Cmd
	}
	var tried []string
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			tried = append(tried, err.Error())
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return nil, err
		}
		attributes := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		return attributes, os.Chown(dir, int(uid), int(gid))
	}
	return nil, errors.New(strings.Join(tried, "; "))
}
