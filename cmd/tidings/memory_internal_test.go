package main

import "testing"

func TestGivesBack(t *testing.T) {
	t.Parallel()
	const mb = 1 << 20
	before := heap{allocated: 1000 * mb}
	for name, test := range map[string]struct {
		now  heap
		want bool
	}{
		"after a storm":      {heap{1010 * mb, 100 * mb, 50 * mb}, true},
		"amid a storm":       {heap{1030 * mb, 100 * mb, 50 * mb}, false},
		"nothing to give":    {heap{1001 * mb, 1000 * mb, 50 * mb}, false},
		"not worth the work": {heap{1000 * mb, 10 * mb, 10 * mb}, false},
	} {
		if got := givesBack(before, test.now); got != test.want {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
	if now := lookAtHeap(); now.allocated == 0 || now.live == 0 {
		t.Errorf("the runtime knows nothing: %+v", now)
	}
}
