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
// any emitter could erase the log by a header.
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
		DenyDelete:        true,
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
	if differences := compare(stream.CachedInfo().Config, want); len(differences) > 0 {
		return nil, fmt.Errorf("stream %s exists with another shape: %s; change it, or the settings, yourself",
			want.Name, strings.Join(differences, "; "))
	}
	return stream, nil
}

func epochOf(info *jetstream.StreamInfo) (uint64, error) {
	epoch, err := strconv.ParseUint(info.Config.Metadata[epochKey], 16, 64)
	if err != nil || epoch == 0 {
		return 0, fmt.Errorf("stream %s has no epoch in its metadata (%s): it was not made by tidings", info.Config.Name, epochKey)
	}
	return epoch, nil
}

// compare lists what differs in what matters.
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
	differ("deny_delete", is.DenyDelete, want.DenyDelete)
	differ("deny_purge", is.DenyPurge, want.DenyPurge)
	differ("allow_direct", is.AllowDirect, want.AllowDirect)
	differ("allow_msg_ttl", is.AllowMsgTTL, want.AllowMsgTTL)
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
