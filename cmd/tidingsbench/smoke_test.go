//go:build linux

package main

import (
	"os"
	"testing"
	"time"
)

// TestSmoke runs every scenario for a moment. TIDINGSBENCH_SERVER names the
// server, TIDINGSBENCH_CONFORMANCE the example that invoke calls.
func TestSmoke(t *testing.T) {
	server := os.Getenv("TIDINGSBENCH_SERVER")
	if server == "" {
		t.Skip("TIDINGSBENCH_SERVER names no server")
	}
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			var o options
			if err := o.flags("smoke").Parse([]string{
				"-connections", "50", "-live", "10", "-seconds", "1", "-every", "0.5", "-away", "0.1", "-preload", "1000", "-users", "100", "-samples", "1",
			}); err != nil {
				t.Fatal(err)
			}
			o.tidings, o.conformance = server, os.Getenv("TIDINGSBENCH_CONFORMANCE")
			if s.name == "invoke" && o.conformance == "" {
				t.Skip("TIDINGSBENCH_CONFORMANCE names no server")
			}
			began := time.Now()
			l := o.measure(t.Context(), s)
			if l.Failed != "" {
				t.Fatal(l.Failed)
			}
			t.Logf("%v: %v", time.Since(began), l.Figures)
		})
	}
}
