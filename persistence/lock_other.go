//go:build !unix

package persistence

import "os"

// flock has no equivalent here: two servers on one directory are up to the
// operator.
func flock(*os.File) error { return nil }
