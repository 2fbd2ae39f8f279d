package connections

import "sync/atomic"

// Traffic is what clients have sent and been sent since the server was made, in
// bytes of the hub protocol and of what frames it on the way out; what HTTP and
// TLS add is not known here.
type Traffic struct{ Received, Sent int64 }

// counters are how many sums traffic is counted in: transports of different
// processors rarely meet at one.
const counters = 16

// counter fills a cache line.
type counter struct {
	received, sent atomic.Int64
	_              [48]byte
}

// traffic is counted where bytes come and go.
type traffic struct {
	next atomic.Uint32
	sums [counters]counter
}

// place is the number of the sum that a new transport counts in.
func (t *traffic) place() uint8 { return uint8(t.next.Add(1) % counters) }

// Traffic is a look at what has come and gone.
func (s *Server) Traffic() Traffic {
	var all Traffic
	for i := range s.traffic.sums {
		all.Received += s.traffic.sums[i].received.Load()
		all.Sent += s.traffic.sums[i].sent.Load()
	}
	return all
}
