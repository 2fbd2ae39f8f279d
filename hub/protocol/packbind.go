package protocol

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
)

// Bind implements Values. An integer comes from an integer only, bytes from
// bin, a time from a timestamp, a number of floating point from any number; a
// type that reads JSON gets the value transcoded to it.
func (packCodec) Bind(raw Raw, into any) error {
	v, err := variable(into)
	if err != nil {
		return err
	}
	r := reader{data: raw}
	if err := r.bind(v, maxDepth); err != nil {
		return err
	}
	if r.left() > 0 {
		return fmt.Errorf("%w: bytes after a value", ErrMalformed)
	}
	return nil
}

// variable is what into points to.
func variable(into any) (reflect.Value, error) {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return v, fmt.Errorf("bind to %T: not a pointer to a variable", into)
	}
	return v.Elem(), nil
}

// bind reads a value that nests at most levels deep into v.
func (r *reader) bind(v reflect.Value, levels int) error {
	v, isNull, err := r.target(v)
	if err != nil || isNull {
		return err
	}
	s := shapeOf(v.Type())
	reads := s.reads
	if !v.CanInterface() { // an embedded struct that is not exported: its methods are out of reach
		reads = byKind
	}
	switch {
	case reads == byJSON:
		return r.bindJSON(v, levels)
	case reads == asValue:
		return r.bindValue(v, levels)
	case v.Kind() == reflect.Interface:
		return r.bindInterface(v, levels)
	}
	t, err := r.next()
	switch {
	case err != nil:
		return err
	case t.kind == kindNil && nullable(v.Type()):
		v.SetZero()
		return nil
	case reads == byText:
		return bindText(v, t)
	case reads == byKind:
		return r.bindKind(v, t, s, levels)
	default:
		return bindSpecial(v, t, reads)
	}
}

// target follows pointers to the variable, and makes what they point to. Nil
// for a pointer is read and is all there is.
func (r *reader) target(v reflect.Value) (target reflect.Value, isNull bool, err error) {
	for range maxDepth {
		switch {
		case v.Kind() != reflect.Pointer:
			return v, false, nil
		case !v.CanSet():
			return v, false, fmt.Errorf("the embedded pointer %s is not exported", v.Type())
		case r.null():
			v.SetZero()
			return v, true, nil
		case v.IsNil():
			v.Set(reflect.New(v.Type().Elem()))
		}
		v = v.Elem()
	}
	return v, false, fmt.Errorf("bind to %s: a pointer that leads nowhere", v.Type())
}

// misfit says that a value is of another kind than the variable.
func misfit(t token, v reflect.Value) error { return fmt.Errorf("%s for %s", t.kind, v.Type()) }

func (r *reader) bindJSON(v reflect.Value, levels int) error {
	raw, err := r.raw(levels)
	if err != nil {
		return err
	}
	text, err := transcodePack(nil, raw)
	if err != nil {
		return err
	}
	m, ok := reflect.TypeAssert[json.Unmarshaler](v.Addr())
	if !ok {
		return fmt.Errorf("bind to %s: its methods cannot be called", v.Type())
	}
	return m.UnmarshalJSON(text)
}

func (r *reader) bindValue(v reflect.Value, levels int) error {
	raw, err := r.raw(levels)
	if err == nil {
		v.Set(reflect.ValueOf(Value{form{packName, bytes.Clone(raw)}}))
	}
	return err
}

func bindText(v reflect.Value, t token) error {
	m, ok := reflect.TypeAssert[encoding.TextUnmarshaler](v.Addr())
	if !ok || t.kind != kindString {
		return misfit(t, v)
	}
	return m.UnmarshalText(t.data)
}

func bindSpecial(v reflect.Value, t token, reads way) error {
	at, isTime := t.time()
	switch {
	case reads == asTime && isTime:
		v.Set(reflect.ValueOf(at))
	case reads == asExtension && t.kind == kindExtension:
		v.Set(reflect.ValueOf(Extension{t.extension, bytes.Clone(t.data)}))
	case reads == asNumber && kindInt <= t.kind && t.kind <= kindFloat64:
		text, err := t.appendScalar(nil)
		v.SetString(string(text))
		return err
	default:
		return misfit(t, v)
	}
	return nil
}

// bindKind reads what begins with t into a value of a type without methods of
// its own for it.
func (r *reader) bindKind(v reflect.Value, t token, s *shape, levels int) error {
	switch k := v.Kind(); {
	case k == reflect.Bool && t.kind == kindBool:
		v.SetBool(t.number == 1)
	case k == reflect.String && t.kind == kindString:
		v.SetString(string(t.data))
	case v.CanInt():
		return bindInt(v, t)
	case v.CanUint():
		return bindUint(v, t)
	case v.CanFloat():
		return bindFloat(v, t)
	case s.bytes && t.kind == kindBytes:
		return bindBytes(v, t)
	case levels == 0 && (t.kind == kindArray || t.kind == kindMap):
		return errDepth()
	case k == reflect.Slice && t.kind == kindArray && !s.bytes:
		return r.bindSlice(v, t.count, levels-1)
	case k == reflect.Array && t.kind == kindArray:
		return r.bindArray(v, t.count, levels-1)
	case k == reflect.Map && t.kind == kindMap:
		return r.bindMap(v, t.count, levels-1)
	case k == reflect.Struct && t.kind == kindMap:
		return r.bindStruct(v, t.count, s.fields, levels-1)
	default:
		return misfit(t, v)
	}
	return nil
}

func bindInt(v reflect.Value, t token) error {
	n, ok := t.signed()
	if !ok && t.kind != kindUint {
		return misfit(t, v)
	}
	if !ok || v.OverflowInt(n) {
		return fmt.Errorf("an integer out of the range of %s", v.Type())
	}
	v.SetInt(n)
	return nil
}

func bindUint(v reflect.Value, t token) error {
	switch {
	case t.kind != kindUint && t.kind != kindInt:
		return misfit(t, v)
	case t.kind == kindInt || v.OverflowUint(t.number):
		return fmt.Errorf("an integer out of the range of %s", v.Type())
	}
	v.SetUint(t.number)
	return nil
}

func bindFloat(v reflect.Value, t token) error {
	f, ok := t.float()
	if !ok {
		return misfit(t, v)
	}
	if v.OverflowFloat(f) {
		return fmt.Errorf("a number out of the range of %s", v.Type())
	}
	v.SetFloat(f)
	return nil
}

func bindBytes(v reflect.Value, t token) error {
	if v.Kind() == reflect.Slice {
		v.SetBytes(bytes.Clone(t.data))
		return nil
	}
	if v.Len() != len(t.data) {
		return errLength(v, len(t.data))
	}
	copy(v.Bytes(), t.data)
	return nil
}

func errLength(v reflect.Value, n int) error {
	return fmt.Errorf("%d elements for %s", n, v.Type())
}

func (r *reader) bindSlice(v reflect.Value, n int, levels int) error {
	v.Set(reflect.MakeSlice(v.Type(), 0, min(n, 16))) // more are only promised
	for i := range n {
		if i == v.Cap() {
			v.Grow(1)
		}
		v.SetLen(i + 1)
		if err := r.bind(v.Index(i), levels); err != nil {
			return within(fmt.Sprintf("[%d]", i), err)
		}
	}
	return nil
}

func (r *reader) bindArray(v reflect.Value, n int, levels int) error {
	if n != v.Len() {
		return errLength(v, n)
	}
	for i := range v.Len() {
		if err := r.bind(v.Index(i), levels); err != nil {
			return within(fmt.Sprintf("[%d]", i), err)
		}
	}
	return nil
}

func (r *reader) bindMap(v reflect.Value, n int, levels int) error {
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
	for range n {
		key.SetZero()
		value.SetZero()
		if err := r.bindKey(key); err != nil {
			return fmt.Errorf("key: %w", err)
		}
		if err := r.bind(value, levels); err != nil {
			return fmt.Errorf("[%v]: %w", key, err)
		}
		v.SetMapIndex(key, value)
	}
	return nil
}

// bindKey reads a key of a map. Objects of JavaScript have text for keys, so a
// decimal number is taken for an integer here, and only here.
func (r *reader) bindKey(v reflect.Value) error {
	t, err := r.next()
	switch {
	case err != nil:
		return err
	case reflect.PointerTo(v.Type()).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return bindText(v, t)
	case v.Kind() == reflect.String && t.kind == kindString:
		v.SetString(string(t.data))
		return nil
	case v.CanInt():
		return bindInt(v, decimal(t))
	case v.CanUint():
		return bindUint(v, decimal(t))
	default:
		return misfit(t, v)
	}
}

// decimal is the integer that a text stands for; anything else stays as it is.
func decimal(t token) token {
	if t.kind != kindString {
		return t
	}
	switch n, _ := number(string(t.data)); n := n.(type) {
	case int64:
		return integer(n)
	case uint64:
		return token{kind: kindUint, number: n}
	default:
		return t
	}
}

func (r *reader) bindStruct(v reflect.Value, n int, f *fields, levels int) error {
	for range n {
		start := r.at
		name, err := r.next()
		if err != nil {
			return err
		}
		field, known := f.find(string(name.data))
		if known && name.kind == kindString {
			err = r.bindField(v, field, levels)
		} else {
			r.at = start
			err = r.skipPair(levels)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// skipPair passes over a key, of any kind, and its value.
func (r *reader) skipPair(levels int) error {
	if err := r.skip(levels); err != nil {
		return err
	}
	return r.skip(levels)
}

func (r *reader) bindField(v reflect.Value, f *field, levels int) error {
	inner, err := f.open(v)
	if err == nil {
		err = r.bind(inner, levels)
	}
	return within(f.place, err)
}

func (r *reader) bindInterface(v reflect.Value, levels int) error {
	switch {
	case r.null():
		v.SetZero()
		return nil
	case v.Type().NumMethod() > 0:
		return fmt.Errorf("bind to %s: nobody knows which type is meant", v.Type())
	}
	value, err := r.any(levels)
	if err == nil {
		v.Set(reflect.ValueOf(value))
	}
	return err
}
