//go:build race

package notifications_test

// raceEnabled says that the race detector runs, which allocates.
const raceEnabled = true
