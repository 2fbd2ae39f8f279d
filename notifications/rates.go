package notifications

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"tidings/roles"
)

// maxEmitters bounds the emitters a node keeps count of. Beyond, those that have
// been idle are forgotten first.
const maxEmitters = 10_000

// Rates bounds what one emitter may emit through this node. An emitter is a user
// of an issuer. The zero value, and nil, bound nothing. It is safe for
// concurrent use.
type Rates struct {
	// PerSecond is how many events an emitter may emit on the long run; 0 = any
	// number. Burst is how many at once; 0 = those of a second, at least one.
	PerSecond float64
	Burst     int
	// Quota is how many events an emitter may emit on a day (UTC). 0 = any number.
	Quota int

	mu       sync.Mutex // guards all below
	emitters map[string]*allowance
}

// allowance is what one emitter has left.
type allowance struct {
	bucket *rate.Limiter
	day    int64 // since 1970
	spent  int
}

// take takes n events off what the emitter may emit, all or none.
func (r *Rates) take(who roles.Principal, n int, now time.Time) error {
	if r == nil || r.PerSecond <= 0 && r.Quota <= 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.of(who.Issuer+"\x00"+who.UserID, now)
	switch {
	case r.PerSecond > 0 && n > r.burst():
		return invalid("", fmt.Sprintf("%d events at once, an emitter may emit %d", n, r.burst()))
	case r.Quota > 0 && n > r.Quota:
		return invalid("", fmt.Sprintf("%d events at once, an emitter may emit %d a day", n, r.Quota))
	case r.Quota > 0 && a.spent+n > r.Quota:
		tomorrow := now.UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
		return &RateError{After: tomorrow.Sub(now), Reason: fmt.Sprintf("the quota of %d events a day is used up", r.Quota)}
	}
	if r.PerSecond > 0 {
		reservation := a.bucket.ReserveN(now, n)
		if wait := reservation.DelayFrom(now); wait > 0 {
			reservation.CancelAt(now)
			wait = (wait + time.Millisecond - 1).Truncate(time.Millisecond) // the bucket rounds to nanoseconds
			return &RateError{After: wait, Reason: fmt.Sprintf("more than %g events a second", r.PerSecond)}
		}
	}
	a.spent += n
	return nil
}

func (r *Rates) burst() int {
	if r.Burst > 0 {
		return r.Burst
	}
	return max(1, int(r.PerSecond))
}

// of is what an emitter has left.
func (r *Rates) of(key string, now time.Time) *allowance {
	day := now.Unix() / 86400
	a := r.emitters[key]
	if a == nil {
		if r.emitters == nil {
			r.emitters = make(map[string]*allowance)
		}
		if len(r.emitters) >= maxEmitters {
			r.forget(now)
		}
		a = &allowance{bucket: rate.NewLimiter(rate.Limit(r.PerSecond), r.burst())}
		r.emitters[key] = a
	}
	if a.day != day {
		a.day, a.spent = day, 0
	}
	return a
}

// forget drops whoever has everything left, or else everybody: that is in favor
// of the emitters.
func (r *Rates) forget(now time.Time) {
	for key, a := range r.emitters {
		if a.day != now.Unix()/86400 || r.Quota <= 0 && a.bucket.TokensAt(now) >= float64(r.burst()) {
			delete(r.emitters, key)
		}
	}
	if len(r.emitters) >= maxEmitters {
		clear(r.emitters)
	}
}

// hashed stands for a text that is too long.
func hashed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}
