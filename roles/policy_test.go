package roles_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"tidings/roles"
)

func caller(held ...string) roles.Principal { return roles.Principal{UserID: "ann", Roles: held} }

// parse is a policy that must be readable.
func parse(t *testing.T, text string) *roles.Policy {
	t.Helper()
	p, err := roles.ParsePolicy([]byte(text))
	if err != nil {
		t.Fatalf("policy %q: %v", text, err)
	}
	return p
}

// mayInvoke is a line of a table of invocations.
type mayInvoke struct {
	who         roles.Principal
	hub, method string
	want        bool
}

func (m mayInvoke) check(t *testing.T, p *roles.Policy) {
	t.Helper()
	if got := p.MayInvoke(m.who, m.hub, m.method); got != m.want {
		t.Errorf("%q with roles %v invokes %s of %s: got %v, want %v", m.who.UserID, m.who.Roles, m.method, m.hub, got, m.want)
	}
}

// mayEmit is a line of a table of emissions.
type mayEmit struct {
	who       roles.Principal
	kind, key string
	want      bool
}

func (m mayEmit) check(t *testing.T, p *roles.Policy) {
	t.Helper()
	if got := p.MayEmit(m.who, m.kind, m.key); got != m.want {
		t.Errorf("%q with roles %v emits to %s/%s: got %v, want %v", m.who.UserID, m.who.Roles, m.kind, m.key, got, m.want)
	}
}

func TestDefaultPolicy(t *testing.T) {
	const hub = "notifications"
	nobody, user, emitter, admin := roles.Principal{}, caller(), caller("emitter"), caller("admin")
	for _, test := range []mayInvoke{
		{user, hub, "SendPersonalNotification", false},
		{user, hub, "BroadcastToRole", false},
		{user, hub, "BroadcastToGroup", false},
		{user, hub, "BroadcastToAll", false},
		{user, hub, "JoinGroup", true},
		{user, hub, "AnythingElse", true},
		{emitter, hub, "SendPersonalNotification", true},
		{emitter, hub, "BroadcastToRole", true},
		{emitter, hub, "BroadcastToGroup", true},
		{emitter, hub, "BroadcastToAll", false},
		{admin, hub, "SendPersonalNotification", true},
		{admin, hub, "BroadcastToRole", true},
		{admin, hub, "BroadcastToGroup", true},
		{admin, hub, "BroadcastToAll", true},
		{caller("Admin", "EMITTER", "*"), hub, "BroadcastToAll", false},
		{caller("other", "admin"), hub, "BroadcastToAll", true},

		{user, hub, "broadcasttoall", false},
		{user, hub, "BROADCASTTOALL", false},
		{user, hub, "bRoAdCaStToRoLe", false},
		{admin, hub, "broadcasttoall", true},
		{admin, hub, "BROADCASTTOALL", true},

		{nobody, hub, "BroadcastToAll", false},
		{nobody, hub, "JoinGroup", false},
		{roles.Principal{Roles: []string{"admin"}}, hub, "BroadcastToAll", false},

		{user, "chat", "Anything", true},
		{nobody, "chat", "Anything", true},
	} {
		test.check(t, roles.DefaultPolicy())
	}
	for _, test := range []mayEmit{
		{user, "user", "ann", true},
		{user, "user", "Ann", false},
		{user, "user", "bob", false},
		{user, "role", "ann", false},
		{user, "group", "ops", false},
		{user, "everyone", "", false},
		{emitter, "user", "bob", true},
		{emitter, "role", "ops", true},
		{emitter, "group", "ops", true},
		{emitter, "everyone", "", false},
		{admin, "user", "bob", true},
		{admin, "role", "ops", true},
		{admin, "group", "ops", true},
		{admin, "everyone", "", true},
		{admin, "connection", "c1", false},
		{admin, "USER", "bob", false},
		{admin, "", "", false},
		{nobody, "user", "", false},
		{nobody, "user", "bob", false},
		{roles.Principal{Roles: []string{"admin"}}, "everyone", "", false},
	} {
		test.check(t, roles.DefaultPolicy())
	}
}

func TestAnonymousCallerMayNothing(t *testing.T) {
	p := parse(t, `{hubs: {notifications: {"*": ["*"], JoinGroup: ["*"]}}, emit: {user: ["*"], role: ["*"], group: ["*"], everyone: ["*"]}}`)
	rapid.Check(t, func(t *rapid.T) {
		nobody := roles.Principal{Roles: rapid.SliceOf(rapid.SampledFrom([]string{"*", "admin", "emitter", ""})).Draw(t, "roles")}
		method := rapid.SampledFrom([]string{"JoinGroup", "BroadcastToAll", "Other", ""}).Draw(t, "method")
		kind := rapid.SampledFrom([]string{"user", "role", "group", "everyone", "connection", ""}).Draw(t, "kind")
		key := rapid.SampledFrom([]string{"", "ann", "*"}).Draw(t, "key")
		if p.MayInvoke(nobody, "notifications", method) {
			t.Errorf("%+v may invoke %q", nobody, method)
		}
		if p.MayEmit(nobody, kind, key) {
			t.Errorf("%+v may emit to %s/%s", nobody, kind, key)
		}
	})
}

func TestPolicyFileChangesWhatItNames(t *testing.T) {
	p := parse(t, `
hubs:
  notifications:
    BroadcastToAll: [admin, herald]
    SENDTOSELF: []
    "*": [member]
  chat:
    Kick: [moderator]
    Shout: ~
  quiet:
    "*": []
    Listen: ["*"]
emit:
  everyone: [herald]
  group: ["*"]
`)
	const hub = "notifications"
	for _, test := range []mayInvoke{
		{caller("herald"), hub, "broadcastToAll", true},
		{caller("admin"), hub, "BroadcastToAll", true},
		{caller("member"), hub, "BroadcastToAll", false},
		{caller("emitter"), hub, "BroadcastToRole", true}, // as by default
		{caller("member"), hub, "BroadcastToRole", false},
		{caller("admin"), hub, "SendToSelf", false}, // nobody
		{caller("member"), hub, "JoinGroup", true},
		{caller("admin"), hub, "JoinGroup", false},
		{caller("moderator"), "chat", "kick", true},
		{caller("admin"), "chat", "Kick", false},
		{caller("admin"), "chat", "Shout", false},
		{caller(), "chat", "Anything", true},
		{roles.Principal{}, "chat", "Anything", false}, // a hub of the policy knows its callers
		{caller("admin"), "quiet", "Anything", false},
		{caller(), "quiet", "listen", true},
	} {
		test.check(t, p)
	}
	for _, test := range []mayEmit{
		{caller("herald"), "everyone", "", true},
		{caller("admin"), "everyone", "", false},
		{caller(), "group", "ops", true},
		{roles.Principal{}, "group", "ops", false},
		{caller("emitter"), "role", "ops", true}, // as by default
		{caller(), "role", "ops", false},
		{caller(), "user", "ann", true},
	} {
		test.check(t, p)
	}
}

func TestPolicyFileCannotTakeOnesOwnUserAway(t *testing.T) {
	p := parse(t, "emit: {user: []}")
	mayEmit{caller(), "user", "ann", true}.check(t, p)
	mayEmit{caller("admin"), "user", "bob", false}.check(t, p)
}

func TestEmptyPolicyFileIsTheDefault(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "{}", "hubs:\nemit:\n"} {
		p := parse(t, text)
		mayInvoke{caller(), "notifications", "BroadcastToAll", false}.check(t, p)
		mayInvoke{caller("admin"), "notifications", "BroadcastToAll", true}.check(t, p)
		mayEmit{caller("emitter"), "role", "ops", true}.check(t, p)
	}
}

func TestPoliciesShareNothing(t *testing.T) {
	parse(t, "{hubs: {notifications: {BroadcastToAll: ['*']}}, emit: {everyone: ['*']}}")
	mayInvoke{caller(), "notifications", "BroadcastToAll", false}.check(t, roles.DefaultPolicy())
	mayEmit{caller(), "everyone", "", false}.check(t, roles.DefaultPolicy())
}

func TestUnreadablePolicyFileIsRefused(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"unknown key", "hub: {}", "field hub not found"},
		{"method twice", "hubs: {notifications: {JoinGroup: [admin], joinGroup: ['*']}}", "method joingroup is named twice"},
		{"unknown key beside known ones", "emit: {}\nroles: {}", "field roles not found"},
		{"unknown kind", "emit: {users: [admin]}", `policy: emit: unknown kind of recipient "users", want one of everyone, group, role, user`},
		{"kind that is never emitted to", "emit: {connection: [admin]}", `unknown kind of recipient "connection"`},
		{"one role instead of a list", "emit: {user: admin}", "cannot unmarshal"},
		{"list instead of methods", "hubs: {notifications: [admin]}", "cannot unmarshal"},
		{"key twice", "emit: {user: [a], user: [b]}", "already"},
		{"no YAML", "\tx", "policy: yaml: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := roles.ParsePolicy([]byte(test.text))
			if p != nil || err == nil || !strings.HasPrefix(err.Error(), "policy: ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("policy %q: got %v, error %v, want %q", test.text, p, err, test.want)
			}
		})
	}
}

func TestHubsOfAPolicyFileAreNamedWithoutRegardToCase(t *testing.T) {
	p := parse(t, "hubs: {Notifications: {JoinGroup: [admin]}}")
	if p.MayInvoke(roles.Principal{UserID: "ann"}, "notifications", "JoinGroup") {
		t.Error("ann may join a group, though the file keeps that for admins")
	}
}
