package protocol

import (
	"cmp"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"
)

// packValue appends a Go value that nests at most levels deep. Where this file
// is silent it does what encoding/json does, so that a struct means the same in
// both encodings.
func packValue(b []byte, v reflect.Value, levels int) ([]byte, error) {
	v, err := settle(v)
	if err != nil {
		return nil, err
	}
	if !v.IsValid() {
		return packNil(b), nil
	}
	s := shapeOf(v.Type())
	writes := s.writes
	if v.CanAddr() {
		writes = s.writesAddressable
	}
	if writes == byKind || !v.CanInterface() {
		return packKind(b, v, s, levels)
	}
	if writes != s.writes {
		v = v.Addr()
	}
	switch value := v.Interface().(type) {
	case time.Time:
		return packTime(b, value), nil
	case json.Number:
		return packNumber(b, string(value))
	case Value:
		return value.form.appendPack(b, levels)
	case Encoded:
		return value.form(packName).appendPack(b, levels)
	case Extension:
		return packExtension(b, value.Type, value.Data), nil
	case json.Marshaler:
		return packMarshaler(b, value, levels)
	case encoding.TextMarshaler:
		return packText(b, value)
	default:
		return nil, fmt.Errorf("encode %s: its methods cannot be called", v.Type())
	}
}

// settle follows pointers and interfaces to a value; nil is the zero Value.
func settle(v reflect.Value) (reflect.Value, error) {
	for range maxDepth {
		switch v.Kind() {
		case reflect.Pointer, reflect.Interface:
			v = v.Elem()
		default:
			return v, nil
		}
	}
	return v, fmt.Errorf("encode %s: a pointer that leads nowhere", v.Type())
}

func packMarshaler(b []byte, m json.Marshaler, levels int) ([]byte, error) {
	text, err := m.MarshalJSON()
	if err == nil {
		b, err = transcodeJSON(b, text, levels)
	}
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", m, err)
	}
	return b, nil
}

func packText(b []byte, m encoding.TextMarshaler) ([]byte, error) {
	text, err := m.MarshalText()
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", m, err)
	}
	return packString(b, string(text)), nil
}

func packKind(b []byte, v reflect.Value, s *shape, levels int) ([]byte, error) {
	switch v.Kind() {
	case reflect.Bool:
		return packBool(b, v.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return packInt(b, v.Int()), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return packUint(b, v.Uint()), nil
	case reflect.Float32:
		return packFloat32(b, float32(v.Float())), nil
	case reflect.Float64:
		return packFloat64(b, v.Float()), nil
	case reflect.String:
		return packString(b, v.String()), nil
	case reflect.Slice, reflect.Array:
		return packList(b, v, s, levels)
	case reflect.Map:
		return packPairs(b, v, levels)
	case reflect.Struct:
		return packStruct(b, v, s.fields, levels)
	default:
		return nil, fmt.Errorf("encode %s: a value of that type cannot be sent", v.Type())
	}
}

func packList(b []byte, v reflect.Value, s *shape, levels int) ([]byte, error) {
	switch {
	case v.Kind() == reflect.Slice && v.IsNil():
		return packNil(b), nil
	case s.bytes && v.Kind() == reflect.Array:
		return packBytes(b, addressable(v).Bytes()), nil
	case s.bytes:
		return packBytes(b, v.Bytes()), nil
	case levels == 0:
		return nil, errDepth()
	}
	b = packArray(b, v.Len())
	for i := range v.Len() {
		var err error
		if b, err = packValue(b, v.Index(i), levels-1); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func packStruct(b []byte, v reflect.Value, f *fields, levels int) ([]byte, error) {
	if levels == 0 {
		return nil, errDepth()
	}
	start, n := len(b), 0
	b = append(b, 0)
	for i := range f.list {
		field := &f.list[i]
		value, ok := field.in(v)
		if !ok || field.omit != nil && field.omit(value) {
			continue
		}
		var err error
		if b, err = packValue(append(b, field.packed...), value, levels-1); err != nil {
			return nil, err
		}
		n++
	}
	return endMap(b, start, n), nil
}

// pair is an entry of a map.
type pair struct {
	order      string // pairs are sorted by it
	key, value reflect.Value
}

// packPairs writes a map, sorted, so that equal maps have equal bytes.
func packPairs(b []byte, v reflect.Value, levels int) ([]byte, error) {
	if v.IsNil() {
		return packNil(b), nil
	}
	if levels == 0 {
		return nil, errDepth()
	}
	pairs := make([]pair, 0, v.Len())
	for each := v.MapRange(); each.Next(); {
		order, err := keyOrder(each.Key())
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, pair{order, each.Key(), each.Value()})
	}
	slices.SortFunc(pairs, func(a, b pair) int { return cmp.Compare(a.order, b.order) })
	b = packMap(b, len(pairs))
	for _, p := range pairs {
		var err error
		if b, err = packValue(packKey(b, p), p.value, levels-1); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// keyOrder is the text that JSON would make of a key. A key of an interface
// type, which JSON does not know, is ordered by its bytes.
func keyOrder(k reflect.Value) (string, error) {
	switch k.Kind() {
	case reflect.String:
		return k.String(), nil
	case reflect.Interface:
		packed, err := packValue(nil, k, 0)
		return string(packed), err
	default:
		return plainKeyOrder(k)
	}
}

func plainKeyOrder(k reflect.Value) (string, error) {
	if m, ok := reflect.TypeAssert[encoding.TextMarshaler](k); ok {
		if isNil(k) {
			return "", nil
		}
		text, err := m.MarshalText()
		return string(text), err
	}
	switch {
	case k.CanInt():
		return strconv.FormatInt(k.Int(), 10), nil
	case k.CanUint():
		return strconv.FormatUint(k.Uint(), 10), nil
	default:
		return "", fmt.Errorf("encode a map: %s is no type of keys", k.Type())
	}
}

func packKey(b []byte, p pair) []byte {
	_, isText := reflect.TypeAssert[encoding.TextMarshaler](p.key)
	switch {
	case p.key.Kind() == reflect.Interface:
		return append(b, p.order...) // packed already
	case p.key.CanInt() && !isText:
		return packInt(b, p.key.Int())
	case p.key.CanUint() && !isText:
		return packUint(b, p.key.Uint())
	default:
		return packString(b, p.order)
	}
}
