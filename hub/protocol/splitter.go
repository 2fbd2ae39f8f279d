package protocol

import "fmt"

// DefaultLimit is the longest record a server accepts, in bytes.
const DefaultLimit = 32 << 10

// Splitter makes records of bytes that come in any pieces: a record may
// straddle frames, and a frame may hold many. The limit counts one record, with
// its framing.
// The zero value is ready for use.
type Splitter struct {
	// Limit is in bytes; 0 = DefaultLimit.
	Limit int

	pending []byte // not yet cut: own or borrowed from Feed
	own     []byte // keeps a partial record between two calls of Feed
}

// Feed adds what has arrived. It may keep a reference to data until Next has
// returned false.
func (s *Splitter) Feed(data []byte) {
	if len(s.pending) == 0 {
		s.pending = data
		return
	}
	s.own = append(s.own[:0], s.pending...)
	s.own = append(s.own, data...)
	s.pending = s.own
}

// Next cuts the next record, which is valid until the next call. It returns
// false when more bytes are needed; the error wraps [ErrTooLarge] or
// [ErrMalformed].
func (s *Splitter) Next(c Records) (record []byte, ok bool, err error) {
	limit := s.Limit
	if limit == 0 {
		limit = DefaultLimit
	}
	if len(s.pending) == 0 {
		s.keep()
		return nil, false, nil
	}
	record, rest, err := c.Split(s.pending, limit)
	switch {
	case err != nil:
		return nil, false, err
	case record != nil:
		s.pending = rest
		return record, true, nil
	}
	s.keep()
	return nil, false, nil
}

// keep copies a partial record away from the reader's buffer, and lets go of a
// large buffer of its own when there is nothing to keep.
func (s *Splitter) keep() {
	if len(s.pending) == 0 {
		s.pending, s.own = nil, nil
		return
	}
	if cap(s.own) == 0 || &s.own[:1][0] != &s.pending[0] {
		s.own = append(s.own[:0], s.pending...)
	}
	s.pending = s.own
}

// tooLarge is the error of a record that is longer than limit bytes.
func tooLarge(limit int) error { return fmt.Errorf("%w: over %d bytes", ErrTooLarge, limit) }
