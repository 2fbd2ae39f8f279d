package connections

import "time"

// negotiated is a connection that has no transport yet.
type negotiated struct {
	id        string
	userID    string
	since     time.Time
	resumable bool   // the client has been told that it may come back
	early     []byte // what has been posted before its first poll or its stream
}

// lobby is where negotiated connections wait for their transport. Those that
// have waited too long leave when somebody comes, so no timer is needed. It is
// guarded by the lock of the Server.
type lobby struct {
	limit    int
	patience time.Duration
	waiting  map[string]negotiated // by connection token
	// order has the tokens, the oldest first. Some have left since: whoever is
	// served is not looked for here.
	order []string
}

func newLobby(limit int, patience time.Duration) lobby {
	return lobby{limit: limit, patience: patience, waiting: make(map[string]negotiated)}
}

// add is false when the lobby is full.
func (l *lobby) add(token string, n negotiated) bool {
	for len(l.order) > 0 {
		first, waits := l.waiting[l.order[0]]
		if waits && !l.late(first, n.since) {
			break
		}
		delete(l.waiting, l.order[0])
		l.order[0] = ""
		l.order = l.order[1:]
	}
	if len(l.waiting) >= l.limit {
		return false
	}
	l.waiting[token] = n
	l.order = append(l.order, token)
	return true
}

// find finds who still waits.
func (l *lobby) find(token string) (negotiated, bool) {
	n, waits := l.waiting[token]
	if waits && l.late(n, time.Now()) {
		delete(l.waiting, token)
		return negotiated{}, false
	}
	return n, waits
}

// keepEarly keeps what came before a transport. It does nothing for who does
// not wait any more.
func (l *lobby) keepEarly(token string, p []byte) (waits bool, err error) {
	n, waits := l.find(token)
	switch {
	case !waits:
		return false, nil
	case len(n.early)+len(p) > maxEarly:
		return true, errUnattached
	}
	n.early = append(n.early, p...)
	l.waiting[token] = n
	return true, nil
}

func (l *lobby) remove(token string) { delete(l.waiting, token) }

func (l *lobby) late(n negotiated, now time.Time) bool { return now.Sub(n.since) > l.patience }
