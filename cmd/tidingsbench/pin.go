//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// freeVariable tells a bench that has pinned itself which cores it might use
// before: a server that is not pinned has those.
const freeVariable = "TIDINGSBENCH_CPUS"

// parseCPUs reads a list of cores such as "0", "0,2" or "0-3". Empty is none.
func parseCPUs(list string) ([]int, error) {
	var cpus []int
	if list == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(list, ",") {
		low, high, span := strings.Cut(part, "-")
		first, err := strconv.Atoi(low)
		last := first
		if err == nil && span {
			last, err = strconv.Atoi(high)
		}
		if err != nil || first < 0 || last < first || last >= maxCPUs {
			return nil, fmt.Errorf("cores %q: want a list such as 0,2 or 0-3", list)
		}
		for cpu := first; cpu <= last; cpu++ {
			cpus = append(cpus, cpu)
		}
	}
	slices.Sort(cpus)
	return slices.Compact(cpus), nil
}

// maxCPUs is what a set of cores of the kernel's interface holds.
const maxCPUs = 1024

func formatCPUs(cpus []int) string {
	texts := make([]string, len(cpus))
	for i, cpu := range cpus {
		texts[i] = strconv.Itoa(cpu)
	}
	return strings.Join(texts, ",")
}

// affinity are the cores that the calling thread may run on.
func affinity() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("affinity: %w", err)
	}
	var cpus []int
	for cpu := range maxCPUs {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

// pinThread keeps the calling thread on some cores.
func pinThread(cpus []int) error {
	var set unix.CPUSet
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("pin to cores %s: %w", formatCPUs(cpus), err)
	}
	return nil
}

// pinSelf starts this program anew on some cores: a program inherits the
// affinity of the thread that executes it, and the runtime of Go then counts
// those cores only. It returns when there is nothing to do, or after an error.
func pinSelf(list string) error {
	if _, pinned := os.LookupEnv(freeVariable); pinned || list == "" {
		return nil
	}
	cpus, err := parseCPUs(list)
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	free, err := affinity()
	if err != nil {
		return err
	}
	if err = pinThread(cpus); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(self, os.Args, append(os.Environ(), freeVariable+"="+formatCPUs(free))) //nolint:gosec // ourselves
}

// serverCPUs are the cores of a server: those asked for, else all that the
// bench had before it pinned itself.
func serverCPUs(list string) ([]int, error) {
	if list == "" {
		list = os.Getenv(freeVariable)
	}
	if list == "" {
		return affinity()
	}
	return parseCPUs(list)
}

// startOn starts a process on some cores. A child inherits the affinity of the
// thread that starts it.
func startOn(command *exec.Cmd, cpus []int) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the pinned thread ends with this goroutine
		err := pinThread(cpus)
		if err == nil {
			err = command.Start()
		}
		started <- err
	}()
	return <-started
}
