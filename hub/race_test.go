//go:build race

package hub_test

// raceEnabled says that the race detector runs, which makes all slow.
const raceEnabled = true
