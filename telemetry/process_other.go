//go:build !linux && !darwin && !freebsd

package telemetry

// ReadUsage knows nothing here.
func ReadUsage() Usage { return Usage{} }
