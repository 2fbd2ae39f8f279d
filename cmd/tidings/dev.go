package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"runtime/metrics"
	"slices"
	"time"

	"tidings/roles"
	"tidings/web"
)

// demoUser is somebody to sign in as on the demo page.
type demoUser struct {
	ID    string   `json:"id"`
	Name  string   `json:"name"`
	Email string   `json:"email"`
	Roles []string `json:"roles"`
}

func demoUsers() []demoUser {
	return []demoUser{
		{"ann", "Ann Archer", "ann@example.com", []string{"emitter", "sales"}},
		{"bob", "Bob Brandt", "bob@example.com", []string{"emitter", "ops"}},
		{"cleo", "Cleo Costa", "cleo@example.com", []string{"sales"}},
		{"root", "Ruth Root", "root@example.com", []string{"admin", "ops"}},
	}
}

// demoTTL is how long a token of the demo page is good for.
const demoTTL = time.Hour

// developmentPages serves the demo page and what it needs to sign in. The
// tokens are handed to pages of this machine only: a name that somebody else
// points at it is refused.
func (n *node) developmentPages(mux *http.ServeMux) {
	mux.Handle("/", web.Handler())
	mux.Handle("GET /dev/users", local(http.HandlerFunc(n.listDemoUsers)))
	mux.Handle("GET /dev/trace/{id}", local(http.HandlerFunc(n.showDemoTrace)))
	mux.Handle("POST /dev/token", local(http.HandlerFunc(n.demoToken)))
}

func local(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !atThisMachine(r.Host) {
			http.Error(w, "Development pages are for this machine only.", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (*node) listDemoUsers(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, demoUsers())
}

// showDemoTrace leads from an alert to the console.
func (n *node) showDemoTrace(w http.ResponseWriter, r *http.Request) {
	to := url.URL{Scheme: "http", Host: n.operators.socket.Addr().String(), Path: consolePath, Fragment: "/trace/" + r.PathValue("id")}
	http.Redirect(w, r, to.String(), http.StatusFound)
}

func (n *node) demoToken(w http.ResponseWriter, r *http.Request) {
	var asked struct{ User string }
	body := http.MaxBytesReader(w, r.Body, 1<<10)
	if err := json.NewDecoder(body).Decode(&asked); err != nil {
		answer(w, http.StatusBadRequest, map[string]string{"error": `want {"user": "ann"}`})
		return
	}
	users := demoUsers()
	at := slices.IndexFunc(users, func(u demoUser) bool { return u.ID == asked.User })
	if at < 0 || n.secret == nil {
		answer(w, http.StatusNotFound, map[string]string{"error": "no such demo user"})
		return
	}
	token, err := n.demoGrant(users[at])
	if err != nil {
		answer(w, http.StatusInternalServerError, map[string]string{"error": "no token"})
		return
	}
	answer(w, http.StatusOK, map[string]any{"token": token, "user": users[at]})
}

func (n *node) demoGrant(u demoUser) (string, error) {
	return roles.Mint(n.secret, roles.Grant{UserID: u.ID, Email: u.Email, Roles: u.Roles, TTL: demoTTL, Now: time.Now()})
}

// banner tells a developer where everything is. It holds tokens, so it is not
// a part of the log, which goes to standard error.
func (n *node) banner(ctx context.Context, nats string) {
	out := n.env.Stdout
	show := func(format string, values ...any) { _, _ = fmt.Fprintf(out, format+"\n", values...) } // nobody to tell if it fails
	base := "http://" + n.public.socket.Addr().String()
	show("")
	show("  DEVELOPMENT MODE. The secret is in a file and the pages hand out tokens: NOT FOR PRODUCTION.")
	show("")
	show("  demo page   %s/", base)
	show("  console     http://%s/console/", n.operators.socket.Addr())
	show("  metrics     http://%s/metrics", n.operators.socket.Addr())
	if nats != off {
		show("  NATS        nats pub tidings.log.notifications.user.ann '{\"title\":\"Hello\"}' -s nats://%s", nats)
	}
	if n.secret == nil {
		show("")
		return
	}
	for _, u := range demoUsers() {
		token, err := n.demoGrant(u)
		if err != nil {
			n.logger.ErrorContext(ctx, "no token for a demo user")
			continue
		}
		show("  token       %s %v, one hour: %s", u.ID, u.Roles, token)
	}
	show("  more        tidings token --data %s --user ann --role emitter", n.s.Data)
	show("")
}

// collectEvery is how often the node sends figures of itself to the dashboard.
const collectEvery = 5 * time.Second

// collect sends figures of the process to the analytics hub until ctx ends.
func (n *node) collect(ctx context.Context) error {
	ticker := time.NewTicker(collectEvery)
	defer ticker.Stop()
	followed, since := n.log.Stats().Followed, time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			total := n.log.Stats().Followed
			figures := processFigures()
			figures["EventsPerSecond"] = float64(total-followed) / now.Sub(since).Seconds()
			figures["ActiveConnections"] = float64(n.notifications.Stats().Connections + n.analytics.Stats().Connections)
			followed, since = total, now
			for name, value := range figures {
				// While NATS is away the dashboard stands still.
				_ = n.analytics.Publish(ctx, name, value)
			}
		}
	}
}

func processFigures() map[string]float64 {
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/sched/goroutines:goroutines"}}
	metrics.Read(samples)
	return map[string]float64{
		"HeapBytes":  float64(samples[0].Value.Uint64()),
		"Goroutines": float64(samples[1].Value.Uint64()),
	}
}
