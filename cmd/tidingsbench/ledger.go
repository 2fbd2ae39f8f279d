//go:build linux

package main

import (
	"strconv"
	"sync"
	"time"

	"tidings/cmd/tidingsbench/fleet"
)

// ledger is what the server was told, and has acknowledged, by recipient.
// Recipients are numbered from 1, in the order in which they are first named.
// What is told to one recipient is numbered from 1, without holes, so a
// recipient is one emitter's at a time.
type ledger struct {
	mu           sync.Mutex // guards all below
	numbers      map[string]uint32
	names        []string
	told         []uint64 // last number that was written
	acknowledged []uint64 // last number that was acknowledged
	audience     []uint64 // clients that have to hear it
	events       uint64   // acknowledged
	deliveries   uint64   // that they must make
}

// toEveryone is the number of the recipient everyone.
const toEveryone = 1

func newLedger() *ledger {
	l := &ledger{numbers: make(map[string]uint32)}
	l.grow("") // 0 is nobody
	l.number("everyone")
	return l
}

func (l *ledger) grow(name string) uint32 {
	n := uint32(len(l.names)) //nolint:gosec // far fewer
	l.names = append(l.names, name)
	l.told, l.acknowledged, l.audience = append(l.told, 0), append(l.acknowledged, 0), append(l.audience, 0)
	return n
}

// number is that of a recipient.
func (l *ledger) number(recipient string) uint32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, known := l.numbers[recipient]
	if !known {
		n = l.grow(recipient)
		l.numbers[recipient] = n
	}
	return n
}

// users are the numbers of some users.
func (l *ledger) users(from, n int) []uint32 {
	numbers := make([]uint32, n)
	for i := range numbers {
		numbers[i] = l.number(userName(from + i))
	}
	return numbers
}

func userName(i int) string { return "user/" + strconv.Itoa(i) }

// enlist counts one more client that has to hear a recipient, from now on. It
// returns the last number that came before.
func (l *ledger) enlist(recipient uint32) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.audience[recipient]++
	return l.acknowledged[recipient]
}

// The object that carries a mark.
const (
	dataBegins = `{"m":"`
	dataEnds   = `"}`
)

// write numbers an event for each of some recipients and appends them as an
// array. Field is what the server calls the recipient, size that of the data
// object in bytes.
func (l *ledger) write(field string, size int, when time.Time, to []uint32) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	body := make([]byte, 0, len(to)*(size+64))
	begins := byte('[')
	for _, n := range to {
		l.told[n]++
		body = append(append(body, begins, '{', '"'), field...)
		body = append(append(body, `":"`...), l.names[n]...)
		body = append(body, `","data":`+dataBegins...)
		body = fleet.AppendMark(body, n, l.told[n], when, size-len(dataBegins)-len(dataEnds))
		body = append(body, dataEnds+"}"...)
		begins = ','
	}
	return append(body, ']')
}

// note counts what the server has acknowledged.
func (l *ledger) note(to []uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range to {
		l.acknowledged[n]++
		l.deliveries += l.audience[n]
	}
	l.events += uint64(len(to))
}

// due is how many deliveries what was acknowledged must make in all.
func (l *ledger) due() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.deliveries
}

// lasts are the last acknowledged numbers, by recipient.
func (l *ledger) lasts() map[uint32]uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	lasts := make(map[uint32]uint64, len(l.acknowledged))
	for n, last := range l.acknowledged {
		if last > 0 {
			lasts[uint32(n)] = last
		}
	}
	return lasts
}

// count is how many events were acknowledged.
func (l *ledger) count() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.events
}
