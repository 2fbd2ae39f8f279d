package notifications

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Verdict is the explanation in a sentence or two, for people: why the user has
// the event, or has not. It is about the newest one of that id.
func (x *Explanation) Verdict() string {
	switch x.Outcome {
	case "rejected":
		return fmt.Sprintf("It was rejected: %s. Nobody has heard it.", x.Reason)
	case "refused":
		return fmt.Sprintf("Its emitter was refused: %s. It was never stored.", x.Reason)
	case "scheduled":
		return "It is scheduled for " + x.ScheduledFor.UTC().Format(time.RFC3339) + " and has not been emitted yet."
	case "canceled":
		return "It was canceled before its time had come."
	case "stored":
		return x.Events[len(x.Events)-1].verdict(x.User)
	}
	return "Nothing became of it as far as is known: " + x.Reason + "."
}

func (o *StoredOutcome) verdict(user string) string {
	switch {
	case !o.Addressed:
		return fmt.Sprintf("It was not for %s: %s.", user, o.Why)
	case o.RecalledBy != 0:
		return fmt.Sprintf("It was recalled, by position %d. %s", o.RecalledBy, o.reached(user))
	case o.CollapsedInto != 0:
		return fmt.Sprintf("A later event with the same collapse key, position %d, has taken its place. %s", o.CollapsedInto, o.reached(user))
	case o.Muted != "":
		return fmt.Sprintf("It was muted for %s: %s. It is in the inbox, and raised no alert.", user, o.Muted)
	}
	return o.reached(user)
}

// reached says which connections and devices have it.
func (o *StoredOutcome) reached(user string) string {
	sent := o.visits(PartSent)
	acknowledged := slices.ContainsFunc(o.Devices, func(d DeviceOutcome) bool { return d.Acknowledged }) ||
		slices.ContainsFunc(sent, func(v ConnectionPart) bool { return v.Acknowledged })
	switch {
	case acknowledged:
		return user + " has it: it was sent, and a client has acknowledged it."
	case len(sent) > 0, slices.ContainsFunc(o.Devices, func(d DeviceOutcome) bool { return d.Sent }):
		return fmt.Sprintf("It was sent to %s; no client has acknowledged it yet.", user)
	}
	return o.unreached(user)
}

// unreached says why no connection has it.
func (o *StoredOutcome) unreached(user string) string {
	slow := slices.IndexFunc(o.Visits, func(v ConnectionPart) bool { return v.Outcome == PartNotSent && v.Connected })
	switch {
	case len(o.visits(PartPending)) > 0:
		return fmt.Sprintf("A connection of %s is too slow: it is behind, and is being sent it from the log.", user)
	case slow >= 0:
		return fmt.Sprintf("%s was connected, and the connection ended before it was sent%s. %s",
			user, because(o.Visits[slow].Reason), o.later())
	case o.Expired:
		return fmt.Sprintf("It expired at %s, before %s could be sent it.", o.ExpiresAt.UTC().Format(time.RFC3339), user)
	case len(o.visits(PartNoMember)) > 0:
		return fmt.Sprintf("The connections of %s were not among those who were told.", user)
	case len(o.visits(PartUnknown)) > 0:
		return fmt.Sprintf("%s is, or was, connected to a node that has not said how far it has come.", user)
	}
	return fmt.Sprintf("%s was offline and has not been sent it. %s", user, o.later())
}

func because(reason string) string {
	switch reason {
	case "":
		return ""
	case "slow":
		return ", because it was too slow"
	}
	return ", for the reason " + reason
}

// later says what is still to come.
func (o *StoredOutcome) later() string {
	if len(o.Pending) == 0 {
		return "It is in the inbox."
	}
	return "It is in the inbox, and " + strings.Join(o.Pending, "; ") + "."
}

func (o *StoredOutcome) visits(outcome string) []ConnectionPart {
	var all []ConnectionPart
	for _, v := range o.Visits {
		if v.Outcome == outcome {
			all = append(all, v)
		}
	}
	return all
}
