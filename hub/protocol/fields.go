package protocol

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// field is a field of a struct as JSON sees it, be it its own or one of an
// embedded struct.
type field struct {
	name   string
	packed []byte // the name in MessagePack
	place  string // the name in errors
	index  []int
	typ    reflect.Type
	tagged bool // the name comes from a tag
	// omit tells which values are left out; nil = none.
	omit func(reflect.Value) bool
}

// fields are those of a struct, in the order in which they are written.
type fields struct {
	list   []field
	exact  map[string]*field
	folded map[string]*field
}

// find is the field of that name, or else of one that differs only in case.
func (f *fields) find(name string) (*field, bool) {
	if found, ok := f.exact[name]; ok {
		return found, true
	}
	found, ok := f.folded[fold(name)]
	return found, ok
}

// fold maps names to one text if strings.EqualFold says they are equal.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		for {
			next := unicode.SimpleFold(r)
			if next <= r {
				return next // the smallest of those that are equal
			}
			r = next
		}
	}, name)
}

// fieldsOf finds the fields of a struct by the rules of encoding/json.
func fieldsOf(t reflect.Type) *fields {
	all := candidates(t)
	slices.SortFunc(all, func(a, b field) int {
		return cmp.Or(strings.Compare(a.name, b.name), rank(a, b), slices.Compare(a.index, b.index))
	})
	f := &fields{exact: map[string]*field{}, folded: map[string]*field{}}
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].name == all[0].name {
			n++
		}
		if n == 1 || rank(all[0], all[1]) != 0 { // else nobody knows which of the two is meant
			f.list = append(f.list, all[0])
		}
		all = all[n:]
	}
	slices.SortFunc(f.list, func(a, b field) int { return slices.Compare(a.index, b.index) })
	for i := range f.list {
		field := &f.list[i]
		f.exact[field.name] = field
		if _, taken := f.folded[fold(field.name)]; !taken {
			f.folded[fold(field.name)] = field
		}
	}
	return f
}

// rank orders fields of one name: the one less deep hides others, and of two
// equally deep the one with a tag.
func rank(a, b field) int {
	if c := cmp.Compare(len(a.index), len(b.index)); c != 0 || a.tagged == b.tagged {
		return c
	}
	if a.tagged {
		return -1
	}
	return 1
}

// embedded is a struct whose fields are still to be looked at.
type embedded struct {
	typ   reflect.Type
	index []int
}

// candidates are the fields of t and of the structs embedded in it, level by
// level, before some hide others.
func candidates(t reflect.Type) []field {
	var all []field
	seen := map[reflect.Type]bool{}
	for level := []embedded{{typ: t}}; len(level) > 0; {
		var next []embedded
		for _, e := range level {
			if seen[e.typ] {
				continue
			}
			seen[e.typ] = true
			own, deeper := membersOf(e)
			all = append(all, own...)
			if count(level, e.typ) > 1 {
				all = append(all, own...) // twice on one level: they hide each other
			}
			next = append(next, deeper...)
		}
		level = next
	}
	return all
}

func count(level []embedded, t reflect.Type) int {
	n := 0
	for _, e := range level {
		if e.typ == t {
			n++
		}
	}
	return n
}

// membersOf tells the fields of one struct and the structs embedded in it.
func membersOf(e embedded) (own []field, deeper []embedded) {
	for i := range e.typ.NumField() {
		sf := e.typ.Field(i)
		tag := sf.Tag.Get("json")
		if tag == "-" || !visible(sf) {
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		if !validName(name) {
			name = ""
		}
		index := append(slices.Clone(e.index), i)
		if inner := pointee(sf.Type); name == "" && sf.Anonymous && inner.Kind() == reflect.Struct {
			deeper = append(deeper, embedded{inner, index})
			continue
		}
		f := field{name: cmp.Or(name, sf.Name), index: index, typ: sf.Type, tagged: name != "", omit: omission(sf.Type, options)}
		f.packed, f.place = packString(nil, f.name), "."+f.name
		own = append(own, f)
	}
	return own, deeper
}

// visible tells whether JSON looks at a field. An embedded struct may have
// exported fields even if its own type is not exported.
func visible(sf reflect.StructField) bool {
	if sf.IsExported() {
		return true
	}
	inner := sf.Type
	if inner.Kind() == reflect.Pointer {
		inner = inner.Elem()
	}
	return sf.Anonymous && inner.Kind() == reflect.Struct
}

func pointee(t reflect.Type) reflect.Type {
	if t.Name() == "" && t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// validName tells whether encoding/json takes a name from a tag.
func validName(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool {
		return !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}

func omission(t reflect.Type, options string) func(reflect.Value) bool {
	all := strings.Split(options, ",")
	empty, zero := slices.Contains(all, "omitempty"), slices.Contains(all, "omitzero")
	switch isZero := zeroOf(t); {
	case empty && zero:
		return func(v reflect.Value) bool { return isEmpty(v) || isZero(v) }
	case empty:
		return isEmpty
	case zero:
		return isZero
	default:
		return nil
	}
}

func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct, reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer:
		return false
	default:
		return v.IsZero()
	}
}

// zeroOf is the IsZero method of a type, if it has one.
func zeroOf(t reflect.Type) func(reflect.Value) bool {
	type zeroer interface{ IsZero() bool }
	method := reflect.TypeFor[zeroer]()
	if !t.Implements(method) && !reflect.PointerTo(t).Implements(method) {
		return reflect.Value.IsZero
	}
	return func(v reflect.Value) bool {
		if !v.CanInterface() {
			return v.IsZero()
		}
		if isNil(v) {
			return true
		}
		if !t.Implements(method) {
			v = addressable(v).Addr()
		}
		z, ok := reflect.TypeAssert[zeroer](v)
		return ok && z.IsZero()
	}
}

// isNil tells whether v is a nil pointer, or an interface with one in it.
func isNil(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer:
		return v.IsNil()
	case reflect.Interface:
		return v.IsNil() || v.Elem().Kind() == reflect.Pointer && v.Elem().IsNil()
	default:
		return false
	}
}

func addressable(v reflect.Value) reflect.Value {
	if v.CanAddr() {
		return v
	}
	copied := reflect.New(v.Type()).Elem()
	copied.Set(v)
	return copied
}

// in is the field of the struct v, unless it is one of an embedded pointer that
// is nil.
func (f *field) in(v reflect.Value) (reflect.Value, bool) {
	for depth, i := range f.index {
		if depth > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return reflect.Value{}, false
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	return v, true
}

// open is in that allocates what is nil.
func (f *field) open(v reflect.Value) (reflect.Value, error) {
	for depth, i := range f.index {
		if depth > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() && !v.CanSet() {
				return reflect.Value{}, fmt.Errorf("the embedded pointer %s is not exported", v.Type())
			}
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	return v, nil
}
