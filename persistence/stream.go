package persistence

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// epochKey is where the stream keeps what identifies it: a random number that
// another stream of the same name does not have.
const epochKey = "tidings-epoch"

// logConfig is the shape of the log. Limits are of age and bytes, never per
// subject: what those drop cannot be noticed. Rollups are denied: with them
// any emitter could erase the log by a header. Events can be deleted one by one,
// by whoever may use the API of the server: emitters may not.
func (o Options) logConfig() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              o.Stream,
		Subjects:          []string{logPrefix + ">"},
		Retention:         jetstream.LimitsPolicy,
		Storage:           jetstream.FileStorage,
		Discard:           jetstream.DiscardOld,
		MaxAge:            o.MaxAge,
		MaxBytes:          o.MaxBytes,
		MaxMsgs:           -1,
		MaxMsgsPerSubject: -1,
		MaxMsgSize:        -1,
		Duplicates:        duplicates,
		Replicas:          o.Replicas,
		DenyPurge:         true,
		// Of several replicas one may be behind, and must not be asked.
		AllowDirect: o.Replicas == 1,
		AllowMsgTTL: true,
	}
}

// rejectedAge is how long what could not be read is kept.
const rejectedAge = 30 * 24 * time.Hour

// rejectedConfig is the shape of what could not be read.
func (o Options) rejectedConfig() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:      o.Stream + "_REJECTED",
		Subjects:  []string{rejectedPrefix + ">"},
		Retention: jetstream.LimitsPolicy,
		Storage:   jetstream.FileStorage,
		Discard:   jetstream.DiscardOld,
		MaxAge:    rejectedAge,
		Replicas:  o.Replicas,
	}
}

// stateWindow is the time in which a change that is published again is stored
// once. It is longer than an append may take.
const stateWindow = 30 * time.Second

// stateConfig is the shape of what users have done and set. Nothing in it grows
// old by itself, because the state of a user is the fold of all of it; see
// [States] for what is purged.
func (o Options) stateConfig() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        o.Stream + "_STATE",
		Subjects:    []string{statePrefix + ">"},
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardOld,
		Duplicates:  stateWindow,
		Replicas:    o.Replicas,
		AllowDirect: o.Replicas == 1,
	}
}

// scheduledConfig is the shape of what waits for its time. The server demands
// rollups with schedules, so nobody but nodes may publish here.
func (o Options) scheduledConfig() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              o.Stream + "_SCHEDULED",
		Subjects:          []string{scheduledPrefix + ">", duePrefix + ">"},
		Retention:         jetstream.LimitsPolicy,
		Storage:           jetstream.FileStorage,
		Discard:           jetstream.DiscardOld,
		MaxMsgsPerSubject: 1,
		Replicas:          o.Replicas,
		AllowDirect:       o.Replicas == 1,
		AllowRollup:       true,
		AllowMsgTTL:       true,
		AllowMsgSchedules: true,
	}
}

// auditConfig is the shape of the audit.
func (o Options) auditConfig() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        o.Stream + "_AUDIT",
		Subjects:    []string{auditPrefix + ">"},
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardOld,
		MaxAge:      o.AuditAge,
		MaxBytes:    o.AuditBytes,
		Duplicates:  min(duplicates, o.AuditAge),
		Replicas:    o.Replicas,
		AllowDirect: o.Replicas == 1,
	}
}

// visitsConfig is the shape of the visits: the newest state of each is kept.
func (o Options) visitsConfig() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              o.Stream + "_CONNECTIONS",
		Subjects:          []string{visitPrefix + ">"},
		Retention:         jetstream.LimitsPolicy,
		Storage:           jetstream.FileStorage,
		Discard:           jetstream.DiscardOld,
		MaxAge:            o.MaxAge,
		MaxBytes:          o.VisitBytes,
		MaxMsgsPerSubject: 1,
		Replicas:          o.Replicas,
		AllowDirect:       o.Replicas == 1,
	}
}

// ensureStreams creates what is missing and checks what is there.
func (n *NATS) ensureStreams(ctx context.Context, o Options) (jetstream.Stream, uint64, error) { //nolint:ireturn // the library's type
	stream, err := n.ensure(ctx, o.logConfig())
	if err != nil {
		return nil, 0, err
	}
	if _, err = n.ensure(ctx, o.rejectedConfig()); err != nil {
		return nil, 0, err
	}
	epoch, err := epochOf(stream.CachedInfo())
	return stream, epoch, err
}

func (n *NATS) ensure(ctx context.Context, want jetstream.StreamConfig) (jetstream.Stream, error) { //nolint:ireturn // the library's type
	stream, err := n.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		var random [8]byte
		_, _ = rand.Read(random[:]) // never fails (crypto/rand)
		want.Metadata = map[string]string{epochKey: hex.EncodeToString(random[:])}
		if stream, err = n.js.CreateStream(ctx, want); err != nil {
			return nil, fmt.Errorf("create stream %s: %w", want.Name, err)
		}
		return stream, nil
	}
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", want.Name, err)
	}
	if err := check(stream.CachedInfo().Config, want); err != nil {
		return nil, err
	}
	return stream, nil
}

// ensureBounds is ensure for a stream whose age and bytes follow the settings:
// nobody has been promised what it holds.
func (n *NATS) ensureBounds(ctx context.Context, want jetstream.StreamConfig) (jetstream.Stream, error) { //nolint:ireturn // the library's type
	stream, err := n.js.Stream(ctx, want.Name)
	if err != nil {
		return n.ensure(ctx, want)
	}
	is := stream.CachedInfo().Config
	if is.MaxAge == want.MaxAge && unlimited(is.MaxBytes) == unlimited(want.MaxBytes) {
		return n.ensure(ctx, want)
	}
	is.MaxAge, is.MaxBytes = want.MaxAge, want.MaxBytes
	is.Duplicates = min(is.Duplicates, orForever(want.MaxAge))
	if want.Duplicates != 0 {
		is.Duplicates = want.Duplicates
	}
	if err = check(is, want); err != nil {
		return nil, err
	}
	if stream, err = n.js.UpdateStream(ctx, is); err != nil {
		return nil, fmt.Errorf("update stream %s: %w", want.Name, err)
	}
	return stream, nil
}

// check says what differs in what matters, as one error.
func check(is, want jetstream.StreamConfig) error {
	differences := compare(is, want)
	if len(differences) == 0 {
		return nil
	}
	return fmt.Errorf("stream %s exists with another shape: %s; change it, or the settings, yourself",
		want.Name, strings.Join(differences, "; "))
}

func epochOf(info *jetstream.StreamInfo) (uint64, error) {
	epoch, err := strconv.ParseUint(info.Config.Metadata[epochKey], 16, 64)
	if err != nil || epoch == 0 {
		return 0, fmt.Errorf("stream %s has no epoch in its metadata (%s): it was not made by tidings", info.Config.Name, epochKey)
	}
	return epoch, nil
}

// compare lists what differs in what matters. Whether messages may be deleted is
// not compared: a log that was made without that does without, and the server
// does not allow it to be changed.
func compare(is, want jetstream.StreamConfig) []string {
	var differences []string
	differ := func(name string, is, want any) {
		if is != want {
			differences = append(differences, fmt.Sprintf("%s is %v, want %v", name, is, want))
		}
	}
	differ("subjects", strings.Join(is.Subjects, " "), strings.Join(want.Subjects, " "))
	differ("retention", is.Retention, want.Retention)
	differ("storage", is.Storage, want.Storage)
	differ("discard", is.Discard, want.Discard)
	differ("max_age", is.MaxAge, want.MaxAge)
	differ("max_bytes", unlimited(is.MaxBytes), unlimited(want.MaxBytes))
	differ("max_msgs", unlimited(is.MaxMsgs), unlimited(want.MaxMsgs))
	differ("max_msgs_per_subject", unlimited(is.MaxMsgsPerSubject), unlimited(want.MaxMsgsPerSubject))
	differ("num_replicas", is.Replicas, want.Replicas)
	differ("allow_rollup_hdrs", is.AllowRollup, want.AllowRollup)
	differ("deny_purge", is.DenyPurge, want.DenyPurge)
	differ("allow_direct", is.AllowDirect, want.AllowDirect)
	differ("allow_msg_ttl", is.AllowMsgTTL, want.AllowMsgTTL)
	differ("allow_msg_schedules", is.AllowMsgSchedules, want.AllowMsgSchedules)
	differ("persist_mode", is.PersistMode, want.PersistMode)
	if want.Duplicates != 0 {
		differ("duplicate_window", is.Duplicates, min(want.Duplicates, orForever(want.MaxAge)))
	}
	return differences
}

// unlimited is one of the two ways to write that there is no limit.
func unlimited(n int64) int64 {
	if n <= 0 {
		return -1
	}
	return n
}

func orForever(d time.Duration) time.Duration {
	if d <= 0 {
		return 1<<63 - 1
	}
	return d
}
