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
	"slices"
	"strings"
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
	stored reader // the same bucket, as the stream it is
	prefix string // of the subjects of its keys
	logger *slog.Logger
	urgent chan string // keys that have not been written for a while
	// writing is held while a device is written: two writers of one could
	// overtake each other, and the older state would stay.
	writing [64]sync.Mutex

	mu     sync.Mutex // guards all below
	dirty  map[string]*notifications.Device
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
	stream, err := n.js.Stream(ctx, "KV_"+kv.Bucket())
	if err != nil {
		return nil, fmt.Errorf("bucket of cursors: %w", err)
	}
	return &Cursors{
		kv: kv, stored: reader{n, stream}, prefix: "$KV." + kv.Bucket() + ".", logger: o.Logger, urgent: make(chan string, maxUrgent),
		dirty: make(map[string]*notifications.Device), recent: make(map[string]bool),
	}, nil
}

// owner names a user and key a device of a user, without telling anybody who it
// is: the keys of a user's devices begin with the user and a dot.
func owner(hub, user string) string { return hash(hub + "\x00" + user) }

func key(hub, user, device string) string { return owner(hub, user) + "." + hash(device) }

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

// Load implements notifications.Devices.
func (c *Cursors) Load(ctx context.Context, hub, user, device string) (notifications.Device, bool, error) {
	k := key(hub, user, device)
	c.mu.Lock()
	kept, known := c.dirty[k]
	c.mu.Unlock()
	if known {
		return clone(*kept), true, nil
	}
	entry, err := c.kv.Get(ctx, k)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return notifications.Device{}, false, nil
	}
	if err != nil {
		return notifications.Device{}, false, fmt.Errorf("load device: %w: %w", notifications.ErrUnavailable, err)
	}
	var d notifications.Device
	if err := json.Unmarshal(entry.Value(), &d); err != nil {
		return notifications.Device{}, false, fmt.Errorf("load device: %w", err)
	}
	return d, true, nil
}

// Of implements notifications.Devices. What Save has kept and nobody has written
// yet is among it.
func (c *Cursors) Of(ctx context.Context, hub, user string) ([]notifications.Device, error) {
	devices, err := c.written(ctx, owner(hub, user))
	if err != nil {
		return nil, fmt.Errorf("devices of %s: %w", user, err)
	}
	c.mu.Lock()
	for k, d := range c.dirty {
		if strings.HasPrefix(k, owner(hub, user)+".") {
			devices[k] = clone(*d)
		}
	}
	c.mu.Unlock()
	return slices.SortedFunc(maps.Values(devices), func(a, b notifications.Device) int {
		return strings.Compare(a.Name, b.Name)
	}), nil
}

// written returns what the bucket holds of an owner.
func (c *Cursors) written(ctx context.Context, owner string) (map[string]notifications.Device, error) {
	devices := make(map[string]notifications.Device)
	err := c.stored.lasts(ctx, c.prefix+owner+".*", func(raw *jetstream.RawStreamMsg) error {
		var d notifications.Device
		if err := json.Unmarshal(raw.Data, &d); err != nil {
			return err
		}
		devices[strings.TrimPrefix(raw.Subject, c.prefix)] = d
		return nil
	})
	return devices, err
}

// Erase implements notifications.Devices.
func (c *Cursors) Erase(ctx context.Context, hub, user string) error {
	prefix := owner(hub, user) + "."
	c.mu.Lock()
	maps.DeleteFunc(c.dirty, func(k string, _ *notifications.Device) bool { return strings.HasPrefix(k, prefix) })
	c.mu.Unlock()
	for i := range c.writing { // what is being written at this moment
		c.writing[i].Lock()
		c.writing[i].Unlock() //nolint:staticcheck // it is enough to have had it
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	if err := c.stored.stream.Purge(ctx, jetstream.WithPurgeSubject(c.prefix+prefix+"*")); err != nil {
		return fmt.Errorf("erase devices of %s: %w", user, unreachable(err))
	}
	return nil
}

// Save implements notifications.Devices.
func (c *Cursors) Save(hub, user, device string, d notifications.Device) {
	k := key(hub, user, device)
	d = clone(d)
	d.Name = device
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, known := c.dirty[k]; known && old.Cursor.Epoch == d.Cursor.Epoch {
		if old.Cursor.Position > d.Cursor.Position {
			d.Cursor, d.AckedAt = old.Cursor, old.AckedAt
		}
		d.Sent = max(d.Sent, old.Sent)
	}
	c.dirty[k] = &d
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
	if c.dirty[k] == d { // nothing was saved meanwhile
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
