package connections

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// FuzzPublicQuery: what reaches the application holds no secret, whatever the
// case of its name, and everything else.
func FuzzPublicQuery(f *testing.F) {
	for _, seed := range []string{
		"", "id=1&access_token=2&x=3", "ID=1&Access_Token=2", "i%64=1&access%5Ftoken=2", "x=1&x=2&X=3", "%", "a;b", "=&=&&", "ıd=1", "acceſſ_token=1",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://tidings.example/hub", http.NoBody)
		r.URL.RawQuery = query
		got := publicQuery(r)
		for key, values := range r.URL.Query() {
			_, kept := got[key]
			if secret := strings.EqualFold(key, "id") || strings.EqualFold(key, "access_token"); secret == kept {
				t.Errorf("%q: %q is kept: %v", query, key, kept)
			}
			if kept && len(got[key]) != len(values) {
				t.Errorf("%q: %q has %d values, want %d", query, key, len(got[key]), len(values))
			}
		}
		if value := queryValue(r, "id"); value != "" {
			found := false
			for key, values := range r.URL.Query() {
				found = found || strings.EqualFold(key, "id") && values[0] == value
			}
			if !found {
				t.Errorf("%q: id is %q", query, value)
			}
		}
	})
}

// FuzzOrigins: an origin is known when its host is that of the request, or
// when it is in the list, or when it is a page of this machine in development;
// nothing else is, however it is written.
func FuzzOrigins(f *testing.F) {
	for _, seed := range [][2]string{
		{"https://app.example", "tidings.example"},
		{"HTTPS://APP.example", "x"},
		{"http://tidings.example:80", "tidings.example:80"},
		{"null", ""},
		{"http://localhost:1", "x"},
		{"http://localhost.evil", "x"},
		{"http://localhost@evil", "x"},
		{"http://[::1]:1", "x"},
		{"http://", ""},
		{"//x", "x"},
		{"x://x", "X"},
	} {
		f.Add(seed[0], seed[1], true)
		f.Add(seed[0], seed[1], false)
	}
	f.Fuzz(func(t *testing.T, origin, host string, dev bool) {
		o := newOrigins([]string{"https://app.example", "https://other.example/"}, dev)
		if !o.knows(origin, host) {
			return
		}
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" {
			t.Fatalf("%q is known and has no host", origin)
		}
		name := u.Hostname()
		switch {
		case strings.EqualFold(u.Host, host):
		case strings.EqualFold(origin, "https://app.example"), strings.EqualFold(origin, "https://other.example"):
		case dev && (name == "localhost" || name == "127.0.0.1" || name == "::1") && (u.Scheme == "http" || u.Scheme == "https"):
		default:
			t.Errorf("%q is known to %q in development %v", origin, host, dev)
		}
	})
}

// FuzzEventFrame: a client that reads a frame as HTML ("Server-sent events")
// has it gets what was said, with its line ends made one kind, and nothing
// that it could take for a field of its own.
func FuzzEventFrame(f *testing.F) {
	for _, seed := range []string{
		"", "{\"type\":6}\x1e", "a\nb", "a\r\nb", "a\rb", "\n\r\n\r", "data: x\n\nevent: y\nid: 1\n\n", ":", " a", "\ufeffa", "\xff\x00",
	} {
		f.Add(seed, "b\x1e")
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		e := &events{}
		wire := string(e.Frame(e.Frame([]byte(":\r\n"), []byte(one)), []byte(two)))
		got := parseEvents(t, wire)
		normal := strings.NewReplacer("\r\n", "\n", "\r", "\n")
		if want := []string{normal.Replace(one), normal.Replace(two)}; !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", wire, got, want)
		}
	})
}

// parseEvents reads a stream as the parsing rules of HTML say.
func parseEvents(t *testing.T, wire string) (all []string) {
	t.Helper()
	var data []string
	lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(wire), "\n")
	for _, line := range lines[:len(lines)-1] {
		field, value, _ := strings.Cut(line, ":")
		switch {
		case line == "" && data != nil:
			all = append(all, strings.Join(data, "\n"))
			data = nil
		case field == "data":
			data = append(data, strings.TrimPrefix(value, " "))
		case field != "":
			t.Errorf("a line that is no data: %q", line)
		}
	}
	return all
}
