package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"
)

// A storm of connections leaves memory that the runtime keeps for the next one:
// as much again as what lives. A node that has become quiet gives it back, at
// the price of one collection.
const (
	quietFor  = 10 * time.Second // how long a look back is
	quietMost = 4                // quiet: less than a quarter of what lives was allocated
	worthIt   = 8                // and so much: more than an eighth of what lives is free
	atLeast   = 16 << 20         // bytes, or it is not worth while
	notAgain  = time.Minute
)

// heap is a look at the memory of the process.
type heap struct{ allocated, live, free uint64 }

func lookAtHeap() heap {
	samples := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples)
	return heap{samples[0].Value.Uint64(), samples[1].Value.Uint64(), samples[2].Value.Uint64()}
}

// givesBack decides whether memory is given back.
func givesBack(before, now heap) bool {
	return now.allocated-before.allocated < now.live/quietMost && now.free > max(now.live/worthIt, atLeast)
}

// giveBack gives back memory when the node is quiet, until ctx ends.
func giveBack(ctx context.Context) error {
	look := time.NewTicker(quietFor)
	defer look.Stop()
	var last time.Time
	for before := lookAtHeap(); ; {
		select {
		case <-ctx.Done():
			return nil
		case at := <-look.C:
			now := lookAtHeap()
			if givesBack(before, now) && at.Sub(last) > notAgain {
				debug.FreeOSMemory()
				last, now = at, lookAtHeap()
			}
			before = now
		}
	}
}

// memoryLimits are what the control group of the process allows it, 0 = anything,
// and what the runtime believes (GOMEMLIMIT).
func memoryLimits() (limit, believed int64) {
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, err := os.ReadFile(file) //nolint:gosec // one of two
		if err != nil {
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n < unlimitedMemory {
			limit = n
		}
		break
	}
	return limit, debug.SetMemoryLimit(-1)
}

// unlimitedMemory and more is how the older control groups say that there is no
// limit.
const unlimitedMemory = 1 << 62
