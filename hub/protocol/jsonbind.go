package protocol

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
)

// Bind implements Values. It is as strict as System.Text.Json, where the
// standard library is not: see fits and exact.
func (jsonCodec) Bind(raw Raw, into any) error {
	v, err := variable(into)
	if err != nil {
		return err
	}
	t := shapeOf(v.Type()).traits()
	if err := unmarshal(raw, into, t); err != nil {
		return err
	}
	if bytes.Contains(raw, []byte("null")) || t.picky && bytes.IndexByte(raw, '[') >= 0 {
		if err := fits(trim(raw), v.Type()); err != nil {
			return err
		}
	}
	if t.any {
		return exact(v)
	}
	return nil
}

// unmarshal leaves the numbers in interfaces undecoded, for exact.
func unmarshal(raw []byte, into any, t *traits) error {
	if !t.any {
		return json.Unmarshal(raw, into)
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if len(trim(raw[decoder.InputOffset():])) > 0 {
		return fmt.Errorf("%w: bytes after a value", ErrMalformed)
	}
	return nil
}

// fits refuses what the standard library passes over although it does not fit:
// null for a value that has none, an array that is too long or too short, and
// an array of numbers for bytes. raw is valid and has been decoded into a t.
func fits(raw []byte, t reflect.Type) error {
	if raw[0] == 'n' {
		if nullable(t) {
			return nil
		}
		return fmt.Errorf("null for %s", t)
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	s := shapeOf(t)
	if !s.open() {
		return nil
	}
	switch k := t.Kind(); {
	case k == reflect.Struct && raw[0] == '{':
		return walk(raw, func(name string, value []byte) error {
			f, ok := s.fields.find(name)
			if !ok {
				return nil
			}
			return within(f.place, fits(value, f.typ))
		})
	case k == reflect.Map && raw[0] == '{':
		return walk(raw, func(name string, value []byte) error {
			if err := fits(value, t.Elem()); err != nil {
				return within("["+name+"]", err)
			}
			return nil
		})
	case raw[0] == '[':
		return elementsFit(raw, t, s)
	default:
		return nil
	}
}

func elementsFit(raw []byte, t reflect.Type, s *shape) error {
	all, err := elements("value", raw)
	k := t.Kind()
	switch {
	case err != nil:
		return err
	case k == reflect.Slice && s.bytes:
		return fmt.Errorf("array for %s", t)
	case k == reflect.Array && len(all) != t.Len():
		return fmt.Errorf("%d elements for %s", len(all), t)
	case k != reflect.Slice && k != reflect.Array:
		return nil
	}
	for i, element := range all {
		if err := fits(element, t.Elem()); err != nil {
			return within(fmt.Sprintf("[%d]", i), err)
		}
	}
	return nil
}

// within says where an error is.
func within(place string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", place, err)
}

// exact makes numbers of the json.Number values that unmarshal has left in
// interfaces. encoding/json would make them float64, which cannot hold every
// integer.
func exact(v reflect.Value) error {
	s := shapeOf(v.Type())
	if !s.open() || !s.traits().any {
		return nil
	}
	switch v.Kind() {
	case reflect.Interface:
		return exactInterface(v)
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return exact(v.Elem())
	case reflect.Map:
		return exactMap(v)
	case reflect.Struct:
		return exactStruct(v, s.fields)
	default:
		return exactElements(v)
	}
}

func exactStruct(v reflect.Value, f *fields) error {
	for i := range f.list {
		inner, ok := f.list[i].in(v)
		if !ok {
			continue
		}
		if err := exact(inner); err != nil {
			return err
		}
	}
	return nil
}

func exactElements(v reflect.Value) error {
	for i := range v.Len() {
		if err := exact(v.Index(i)); err != nil {
			return err
		}
	}
	return nil
}

func exactInterface(v reflect.Value) error {
	if v.IsNil() {
		return nil
	}
	value, err := exactAny(v.Interface())
	if err == nil {
		v.Set(reflect.ValueOf(value))
	}
	return err
}

func exactMap(v reflect.Value) error {
	inner := reflect.New(v.Type().Elem()).Elem()
	for each := v.MapRange(); each.Next(); {
		inner.Set(each.Value())
		if err := exact(inner); err != nil {
			return err
		}
		v.SetMapIndex(each.Key(), inner)
	}
	return nil
}

// exactAny is exact for what encoding/json makes when it may choose.
func exactAny(value any) (_ any, err error) {
	switch value := value.(type) {
	case json.Number:
		return number(string(value))
	case []any:
		for i := range value {
			if value[i], err = exactAny(value[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for name := range value {
			if value[name], err = exactAny(value[name]); err != nil {
				return nil, err
			}
		}
	}
	return value, nil
}
