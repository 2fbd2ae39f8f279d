package main

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"tidings/notifications"
	"tidings/roles"
)

// operatorsOnly lets in who sits at this machine, and from elsewhere who has the
// token of a manager (see roles.Policy.MayManage). A name that is not this
// machine's is elsewhere, too: a page in an operator's browser can give its own
// name this address (DNS rebinding).
func (n *node) operatorsOnly(next http.Handler) http.Handler {
	atHome := loopback(n.s.Ops)
	recorded := rate.NewLimiter(refusalsRecorded, refusalsBurst)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if atHome && atThisMachine(r.Host) {
			next.ServeHTTP(w, r)
			return
		}
		who, err := n.operator(r)
		if err == nil {
			next.ServeHTTP(w, r)
			return
		}
		if recorded.Allow() {
			n.audit.Record(notifications.AuditRecord{
				At: time.Now().UTC(), Action: notifications.AuditRefused, By: who.UserID, Issuer: who.Issuer, Via: "ops",
				Hub: notifications.DefaultHub, Reason: err.Error(), Note: attempt(r),
			})
		}
		if auth, is := errors.AsType[*roles.AuthError](err); is {
			w.Header().Set("WWW-Authenticate", auth.WWWAuthenticate())
			answer(w, http.StatusUnauthorized, health{Status: "refused", Reasons: []string{err.Error()}})
			return
		}
		answer(w, http.StatusForbidden, health{Status: "refused", Reasons: []string{err.Error()}})
	})
}

// How many refusals a second are put on record: who asks again and again must not
// push out what else is there.
const (
	refusalsRecorded = 1
	refusalsBurst    = 60
)

// attempt is what somebody tried, as far as it is worth keeping.
func attempt(r *http.Request) string {
	path := r.URL.EscapedPath()
	return r.Method + " " + path[:min(len(path), 200)]
}

var errNoOperator = errors.New("the token names nobody who may manage (see the policy)")

func (n *node) operator(r *http.Request) (roles.Principal, error) {
	read := roles.HeaderToken
	if strings.HasPrefix(r.URL.Path, consoleHubPath) {
		read = roles.BearerToken // browsers cannot set headers for its transports
	}
	token, err := read(r)
	if err != nil {
		return roles.Principal{}, err
	}
	who, err := n.verifier.Verify(r.Context(), token)
	if err == nil && !n.policy.MayManage(who) {
		err = errNoOperator
	}
	return who, err
}

// atThisMachine tells whether a Host header names this machine.
func atThisMachine(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	name = strings.Trim(name, "[]")
	ip := net.ParseIP(name)
	return strings.EqualFold(name, "localhost") || ip != nil && ip.IsLoopback()
}
