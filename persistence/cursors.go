package persistence

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tidings/notifications"
)

// deviceTTL is how long a device that does not come back is remembered.
const deviceTTL = 180 * 24 * time.Hour

// saveEvery is how often what devices have acknowledged is written: a crash
// loses no more than that, and costs a client what it has seen already.
const saveEvery = 2 * time.Second

// Cursors keeps the state of devices in a key-value bucket. It implements
// notifications.Devices.
type Cursors struct {
	kv     jetstream.KeyValue
	logger *slog.Logger

	mu    sync.Mutex // guards dirty
	dirty map[string]notifications.Device
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
	return &Cursors{kv: kv, logger: o.Logger, dirty: make(map[string]notifications.Device)}, nil
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

// Run writes what Save has kept, every two seconds and once more when ctx
// ends, for as long as grace allows.
func (c *Cursors) Run(ctx context.Context) error {
	ticker := time.NewTicker(saveEvery)
	defer ticker.Stop()
	for {
		select {
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
	keys := make([]string, 0, len(c.dirty))
	for k := range c.dirty {
		keys = append(keys, k)
	}
	c.mu.Unlock()
	for _, k := range keys {
		if err := c.write(ctx, k); err != nil {
			c.logger.WarnContext(ctx, "cursors cannot be saved, will try again", slog.Any("error", err))
			return
		}
	}
}
