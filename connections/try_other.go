//go:build !unix

package connections

// prepare has nothing to do: writes cannot be tried on this system and go
// through Drain.
func (s *socket) prepare() {}
