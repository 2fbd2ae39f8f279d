//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a server under load.
type process struct {
	command *exec.Cmd
	ready   []string // the words of its first line, which says where it listens
}

// spawn starts a process on some cores and waits for its first line. It ends
// with the context.
func spawn(ctx context.Context, cpus []int, program string, args ...string) (*process, error) {
	command := exec.CommandContext(ctx, program, args...) //nolint:gosec // the user names the server
	command.Stderr = os.Stderr
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = patience
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err = startOn(command, cpus); err != nil {
		return nil, fmt.Errorf("start the server (has it been built?): %w", err)
	}
	p := &process{command: command}
	reader := bufio.NewReader(out)
	line, err := reader.ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: not ready: %w", program, err), p.stop())
	}
	go func() { _, _ = io.Copy(io.Discard, reader) }() // ends with the process
	p.ready = strings.Fields(line)
	return p, nil
}

// field is the value of name=value in the first line, or empty.
func (p *process) field(name string) string {
	for _, word := range p.ready {
		if value, ok := strings.CutPrefix(word, name+"="); ok {
			return value
		}
	}
	return ""
}

// stop ends the process. One that does not end by itself is killed, which is an
// error.
func (p *process) stop() error {
	late := time.AfterFunc(patience, func() { _ = p.command.Process.Kill() }) // Wait says so
	defer late.Stop()
	interrupted := p.command.Process.Signal(os.Interrupt)
	if errors.Is(interrupted, os.ErrProcessDone) {
		interrupted = errors.New("the server ended by itself")
	}
	return errors.Join(interrupted, p.command.Wait())
}

func (p *process) pid() int { return p.command.Process.Pid }

// cpuTime is what a process has used of its cores until now, in all its threads
// and those that have ended. It is read from the clock that the kernel keeps
// for it, in nanoseconds: /proc/<pid>/stat counts in steps of 10 ms, and
// /proc/<pid>/task/*/schedstat forgets a thread with its end.
func cpuTime(pid int) (time.Duration, error) {
	const schedClock = 2 // CPUCLOCK_SCHED of a whole process
	var used unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedClock), &used); err != nil { //nolint:gosec // a pid has 22 bits
		return 0, fmt.Errorf("cpu time of process %d: %w", pid, err)
	}
	return time.Duration(used.Nano()), nil
}

// memory is what a process has in RAM, in bytes: all of it, and what is not
// backed by a file.
type memory struct{ resident, anonymous float64 }

func memoryOf(pid int) (memory, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return memory{}, err
	}
	return parseStatus(status)
}

// parseStatus reads /proc/<pid>/status.
func parseStatus(status []byte) (memory, error) {
	const kibi = 1024
	resident, err := figure(status, "VmRSS:")
	if err != nil {
		return memory{}, err
	}
	anonymous, err := figure(status, "RssAnon:")
	return memory{resident * kibi, anonymous * kibi}, err
}

// figure is the number behind a text.
func figure(from []byte, text string) (float64, error) {
	_, rest, _ := bytes.Cut(from, []byte(text))
	fields := bytes.Fields(rest[:min(len(rest), 64)])
	if len(fields) == 0 {
		return 0, fmt.Errorf("no %q", text)
	}
	return strconv.ParseFloat(string(fields[0]), 64)
}

// raiseFiles lets this process and its children open as many files as they may.
// That Go raises the limit by itself counts for this process only.
func raiseFiles() (uint64, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("limit of open files: %w", err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("limit of open files: %w", err)
	}
	return limit.Cur, nil
}
