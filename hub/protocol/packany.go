package protocol

import (
	"bytes"
	"fmt"
	"reflect"
)

// any reads a value as the Go type that is nearest to it: nil, bool, int64
// (uint64 beyond it), float32, float64, string, []byte, time.Time, []any,
// map[string]any (map[any]any if a key is no string), [Extension].
func (r *reader) any(levels int) (any, error) {
	t, err := r.within(levels)
	if err != nil {
		return nil, err
	}
	switch t.kind {
	case kindArray:
		return r.anySlice(t.count, levels-1)
	case kindMap:
		return r.anyMap(t.count, levels-1)
	default:
		return t.any()
	}
}

// any is the value of a token that nothing belongs to but itself.
func (t token) any() (any, error) {
	switch t.kind {
	case kindNil:
		return nil, nil //nolint:nilnil // nil is a value here
	case kindBool:
		return t.number == 1, nil
	case kindInt, kindUint:
		if n, ok := t.signed(); ok {
			return n, nil
		}
		return t.number, nil
	case kindFloat32:
		return t.float32(), nil
	case kindFloat64:
		return t.float64(), nil
	case kindString:
		return string(t.data), nil
	case kindBytes:
		return bytes.Clone(t.data), nil
	default:
		return t.anyExtension()
	}
}

func (t token) anyExtension() (any, error) {
	if t.extension != timestamp {
		return Extension{t.extension, bytes.Clone(t.data)}, nil
	}
	at, ok := t.time()
	if !ok {
		return nil, errTimestamp()
	}
	return at, nil
}

func (r *reader) anySlice(n int, levels int) (any, error) {
	all := make([]any, 0, min(n, 16)) // more are only promised
	for range n {
		value, err := r.any(levels)
		if err != nil {
			return nil, err
		}
		all = append(all, value)
	}
	return all, nil
}

func (r *reader) anyMap(n int, levels int) (any, error) {
	named := map[string]any{}
	for ; n > 0; n-- {
		start := r.at
		key, value, err := r.anyPair(levels)
		if err != nil {
			return nil, err
		}
		name, ok := key.(string)
		if !ok {
			r.at = start
			return r.anyKeys(named, n, levels)
		}
		named[name] = value
	}
	return named, nil
}

// anyKeys goes on with n pairs of a map that has keys other than text.
func (r *reader) anyKeys(named map[string]any, n int, levels int) (any, error) {
	all := map[any]any{}
	for name, value := range named {
		all[name] = value
	}
	for range n {
		key, value, err := r.anyPair(levels)
		if err != nil {
			return nil, err
		}
		all[key] = value
	}
	return all, nil
}

// anyPair reads a key, which must be a value that Go can look up, and a value.
func (r *reader) anyPair(levels int) (key, value any, err error) {
	if key, err = r.any(0); err != nil {
		return nil, nil, err
	}
	if key != nil && !reflect.TypeOf(key).Comparable() {
		return nil, nil, fmt.Errorf("%T cannot be a key", key)
	}
	value, err = r.any(levels)
	return key, value, err
}
