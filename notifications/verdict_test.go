package notifications_test

import (
	"strings"
	"testing"
	"time"

	"tidings/notifications"
)

// The gist of an explanation says the one thing that decided.
func TestVerdict(t *testing.T) {
	stored := func(o notifications.StoredOutcome) notifications.Explanation {
		return notifications.Explanation{User: "ann", Outcome: "stored", Events: []notifications.StoredOutcome{{Why: "an older one"}, o}}
	}
	visit := func(outcome string, connected bool, reason string) []notifications.ConnectionPart {
		return []notifications.ConnectionPart{{Connection: "c", Outcome: outcome, Connected: connected, Reason: reason}}
	}
	for _, test := range []struct {
		name string
		of   notifications.Explanation
		want string
	}{
		{"rejected", notifications.Explanation{Outcome: "rejected", Reason: "no JSON"}, "It was rejected: no JSON."},
		{"refused", notifications.Explanation{Outcome: "refused", Reason: "not allowed"}, "refused: not allowed"},
		{"scheduled", notifications.Explanation{Outcome: "scheduled", ScheduledFor: now}, "It is scheduled for " + now.UTC().Format(time.RFC3339)},
		{"canceled", notifications.Explanation{Outcome: "canceled"}, "canceled before its time"},
		{"unknown", notifications.Explanation{Outcome: "unknown", Reason: "nothing is kept of this id"}, "nothing is kept of this id."},
		{"not a member", stored(notifications.StoredOutcome{Why: "the user was no member of group/ops"}), "not for ann: the user was no member of group/ops."},
		{"recalled", stored(notifications.StoredOutcome{Addressed: true, RecalledBy: 9}), "recalled, by position 9"},
		{"replaced", stored(notifications.StoredOutcome{Addressed: true, CollapsedInto: 9}), "position 9, has taken its place"},
		{"muted", stored(notifications.StoredOutcome{Addressed: true, Muted: "type order.*", Visits: visit(notifications.PartMuted, true, "")}), "muted for ann: type order.*. It is in the inbox"},
		{"offline", stored(notifications.StoredOutcome{Addressed: true, Pending: []string{"device phone hears of it when it comes back"}}), "ann was offline and has not been sent it. It is in the inbox, and device phone hears of it when it comes back."},
		{"expired", stored(notifications.StoredOutcome{Addressed: true, Expired: true, ExpiresAt: now}), "It expired at " + now.UTC().Format(time.RFC3339)},
		{"slow, still here", stored(notifications.StoredOutcome{Addressed: true, Visits: visit(notifications.PartPending, true, "")}), "too slow: it is behind"},
		{"slow, cut", stored(notifications.StoredOutcome{Addressed: true, Visits: visit(notifications.PartNotSent, true, "slow")}), "ended before it was sent, because it was too slow"},
		{"gone first", stored(notifications.StoredOutcome{Addressed: true, Visits: visit(notifications.PartNotSent, true, "network")}), "before it was sent, for the reason network"},
		{"another node", stored(notifications.StoredOutcome{Addressed: true, Visits: visit(notifications.PartUnknown, true, "")}), "a node that has not said"},
		{"a token without the role", stored(notifications.StoredOutcome{Addressed: true, Visits: visit(notifications.PartNoMember, true, "")}), "not among those who were told"},
		{"sent", stored(notifications.StoredOutcome{Addressed: true, Visits: visit(notifications.PartSent, true, "")}), "sent to ann; no client has acknowledged"},
		{"acknowledged", stored(notifications.StoredOutcome{Addressed: true, Devices: []notifications.DeviceOutcome{{Sent: true, Acknowledged: true}}}), "ann has it"},
	} {
		if got := test.of.Verdict(); !strings.Contains(got, test.want) {
			t.Errorf("%s: got %q, want %q in it", test.name, got, test.want)
		}
	}
}
