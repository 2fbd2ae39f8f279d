package roles

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Anyone is, in a policy, every authenticated caller.
const Anyone = "*"

// Policy says which roles may invoke which hub method and emit to which
// recipients, and which may act for other users. It is made once and read by all;
// there is no other place where such a decision is made.
type Policy struct {
	hubs   map[string]hubPolicy
	emit   map[string][]string // kind of recipient → roles
	manage []string
}

// hubPolicy holds the roles of methods, in lower case.
type hubPolicy struct {
	methods   map[string][]string
	otherwise []string
}

// policyFile is the YAML form.
type policyFile struct {
	// Hubs: hub → method → roles; the method "*" stands for all others.
	Hubs map[string]map[string][]string `yaml:"hubs"`
	// Emit: kind of recipient (user, role, group, everyone) → roles. Everybody
	// may emit to themselves.
	Emit map[string][]string `yaml:"emit"`
	// Manage: the roles that may act for other users.
	Manage []string `yaml:"manage"`
}

// DefaultPolicy lets emitters and admins emit, admins alone to everyone, and
// every authenticated caller do the rest.
func DefaultPolicy() *Policy {
	emitters, admins := []string{"emitter", "admin"}, []string{"admin"}
	return &Policy{
		hubs: map[string]hubPolicy{"notifications": {
			methods: map[string][]string{
				"sendpersonalnotification": emitters,
				"broadcasttorole":          emitters,
				"broadcasttogroup":         emitters,
				"broadcasttoall":           admins,
				"addtogroup":               admins,
				"removefromgroup":          admins,
			},
			otherwise: []string{Anyone},
		}},
		emit:   map[string][]string{"user": emitters, "role": emitters, "group": emitters, "everyone": admins},
		manage: admins,
	}
}

// ParsePolicy reads the YAML form. What it leaves out keeps its default;
// unknown keys are errors.
func ParsePolicy(text []byte) (*Policy, error) {
	var file policyFile
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("policy: %s", strings.Join(strings.Fields(err.Error()), " ")) // it has several lines
	}
	p := DefaultPolicy()
	for hub, methods := range file.Hubs {
		if err := p.setHub(strings.ToLower(hub), methods); err != nil {
			return nil, fmt.Errorf("policy: hub %s: %w", hub, err)
		}
	}
	for kind, allowed := range file.Emit {
		if _, known := p.emit[kind]; !known {
			return nil, fmt.Errorf("policy: emit: unknown kind of recipient %q, want one of %s",
				kind, strings.Join(slices.Sorted(maps.Keys(p.emit)), ", "))
		}
		p.emit[kind] = allowed
	}
	if file.Manage != nil {
		p.manage = file.Manage
	}
	return p, nil
}

// setHub changes the methods of a hub that a file names. Names that differ in
// case only would let chance decide.
func (p *Policy) setHub(hub string, methods map[string][]string) error {
	h, known := p.hubs[hub]
	if !known {
		h = hubPolicy{methods: map[string][]string{}, otherwise: []string{Anyone}}
	}
	seen := map[string]bool{}
	for method, allowed := range methods {
		method = strings.ToLower(method)
		if seen[method] {
			return fmt.Errorf("method %s is named twice, in another case", method)
		}
		seen[method] = true
		if method == "*" {
			h.otherwise = allowed
			continue
		}
		h.methods[method] = allowed
	}
	p.hubs[hub] = h
	return nil
}

// MayInvoke tells whether the caller may invoke a method of a hub. Methods are
// named without regard to case, as clients do.
func (p *Policy) MayInvoke(who Principal, hub, method string) bool {
	h, known := p.hubs[strings.ToLower(hub)]
	if !known {
		return true // a hub of the application: its own filters decide
	}
	allowed, known := h.methods[strings.ToLower(method)]
	if !known {
		allowed = h.otherwise
	}
	return permits(allowed, who)
}

// MayEmit tells whether the caller may emit an event to a recipient. Everybody
// may emit to themselves.
func (p *Policy) MayEmit(who Principal, kind, key string) bool {
	if kind == "user" && key == who.UserID && !who.Anonymous() {
		return true
	}
	return permits(p.emit[kind], who)
}

// MayEmitToOthers tells whether the caller may emit to anybody but themselves.
func (p *Policy) MayEmitToOthers(who Principal) bool {
	for _, allowed := range p.emit {
		if permits(allowed, who) {
			return true
		}
	}
	return false
}

// MayManage tells whether the caller may act for other users: look into their
// inboxes, set their memberships, explain, export and erase.
func (p *Policy) MayManage(who Principal) bool { return permits(p.manage, who) }

func permits(allowed []string, who Principal) bool {
	if who.Anonymous() {
		return false
	}
	return slices.Contains(allowed, Anyone) || who.HasAnyRole(allowed)
}
