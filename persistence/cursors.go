package persistence

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tidings/notifications"
)

// deviceTTL is how long a device that does not come back is remembered.
const deviceTTL = 180 * 24 * time.Hour

// saveEvery is how often the state of one device is written at most. The first
// change after a pause is written at once, so a crash loses only what a busy
// device has acknowledged since: it will hear that again.
const saveEvery = 2 * time.Second

// maxUrgent is how many devices may wait to be written at once; the others wait
// for the next round.
const maxUrgent = 1024

// Cursors keeps the state of devices in a key-value bucket. It implements
// notifications.Devices.
type Cursors struct {
	kv     jetstream.KeyValue
	logger *slog.Logger
	urgent chan string // keys that have not been written for a while
	// writing is held while a device is written: two writers of one could
	// overtake each other, and the older state would stay.
	writing [64]sync.Mutex

	mu     sync.Mutex // guards all below
	dirty  map[string]notifications.Device
	recent map[string]bool // written, or about to be, since the last round
}

// OpenCursors opens the bucket, which is made if it is missing.
func OpenCursors(ctx context.Context, n *NATS, o Options) (*Cursors, error) {
	o = o.withDefaults()
	kv, err := n.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: o.Stream + "_CURSORS", History: 1, TTL: deviceTTL, Storage: jetstream.FileStorage, Replicas: o.Replicas,
	})
	if err != nil {
		return nil, fmt.Errorf("bucket of cursors: %w", err)
	}
	return &Cursors{
		kv: kv, logger: o.Logger, urgent: make(chan string, maxUrgent),
		dirty: make(map[string]notifications.Device), recent: make(map[string]bool),
	}, nil
}

// key names a device without telling anybody who it is.
func key(hub, user, device string) string {
	sum := sha256.Sum256([]byte(hub + "\x00" + user + "\x00" + device))
	return hex.EncodeToString(sum[:16])
}

// Load implements notifications.Devices.
func (c *Cursors) Load(ctx context.Context, hub, user, device string) (notifications.Device, bool, error) {
	k := key(hub, user, device)
	c.mu.Lock()
	d, known := c.dirty[k]
	c.mu.Unlock()
	if known {
		return clone(d), true, nil
	}
	entry, err := c.kv.Get(ctx, k)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return notifications.Device{}, false, nil
	}
	if err != nil {
		return notifications.Device{}, false, fmt.Errorf("load device: %w: %w", notifications.ErrUnavailable, err)
	}
	if err := json.Unmarshal(entry.Value(), &d); err != nil {
		return notifications.Device{}, false, fmt.Errorf("load device: %w", err)
	}
	return d, true, nil
}

// Save implements notifications.Devices.
func (c *Cursors) Save(hub, user, device string, d notifications.Device) {
	k := key(hub, user, device)
	d = clone(d)
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, known := c.dirty[k]; known && old.Cursor.Epoch == d.Cursor.Epoch && old.Cursor.Position > d.Cursor.Position {
		d.Cursor = old.Cursor
	}
	c.dirty[k] = d
	if c.recent[k] {
		return
	}
	select {
	case c.urgent <- k:
		c.recent[k] = true
	default:
	}
}

func clone(d notifications.Device) notifications.Device {
	d.Groups = maps.Clone(d.Groups)
	return d
}

// Flush implements notifications.Devices.
func (c *Cursors) Flush(ctx context.Context, hub, user, device string) error {
	return c.write(ctx, key(hub, user, device))
}

// write stores what is kept for a key, and keeps it on failure.
func (c *Cursors) write(ctx context.Context, k string) error {
	turn := &c.writing[fnv1a(k)%uint32(len(c.writing))]
	turn.Lock()
	defer turn.Unlock()
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	c.mu.Lock()
	d, known := c.dirty[k]
	c.mu.Unlock()
	if !known {
		return nil
	}
	value, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("save device: %w", err)
	}
	if _, err := c.kv.Put(ctx, k, value); err != nil {
		return fmt.Errorf("save device: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.dirty[k]; now.Cursor == d.Cursor && maps.Equal(now.Groups, d.Groups) {
		delete(c.dirty, k)
	}
	return nil
}

// fnv1a spreads keys (Fowler–Noll–Vo, 32 bits).
func fnv1a(k string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(k)) // never fails
	return h.Sum32()
}

// Run writes what Save has kept, and once more when ctx ends.
func (c *Cursors) Run(ctx context.Context) error {
	ticker := time.NewTicker(saveEvery)
	defer ticker.Stop()
	for {
		select {
		case k := <-c.urgent:
			c.warn(ctx, c.write(ctx, k))
		case <-ticker.C:
			c.writeAll(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveEvery)
			defer cancel()
			c.writeAll(last)
			return nil
		}
	}
}

func (c *Cursors) writeAll(ctx context.Context) {
	c.mu.Lock()
	clear(c.recent)
	keys := make([]string, 0, len(c.dirty))
	for k := range c.dirty {
		keys = append(keys, k)
		c.recent[k] = true
	}
	c.mu.Unlock()
	for _, k := range keys {
		if err := c.write(ctx, k); err != nil {
			c.warn(ctx, err)
			return
		}
	}
}

func (c *Cursors) warn(ctx context.Context, err error) {
	if err != nil {
		c.logger.WarnContext(ctx, "cursors cannot be saved, will try again", slog.Any("error", err))
	}
}
