package protocol

import (
	"encoding"
	"encoding/json"
	"reflect"
	"sync"
	"time"
)

// way is how values of a type are read or written.
type way uint8

const (
	byKind way = iota // as its kind in Go says
	asTime
	asNumber // json.Number
	asValue
	asEncoded
	asExtension
	byJSON // by its own MarshalJSON or UnmarshalJSON
	byText // by its own MarshalText or UnmarshalText
)

// shape is what is known of a type. The precedence of its methods is that of
// encoding/json.
type shape struct {
	reads way
	// writes is for any value, writesAddressable for one whose address can be
	// taken, which has the methods of the pointer, too.
	writes, writesAddressable way

	bytes  bool           // a slice or an array of bytes
	fields *fields        // of a struct, else nil
	traits func() *traits // found when first asked for, because types may be recursive
}

// traits are what is somewhere in a type: itself, an element, a field.
type traits struct {
	any    bool // an interface that anything fits into
	picky  bool // an array, or bytes: encoding/json is too generous to both
	marked map[reflect.Type]bool
}

// shapes keeps what is known, by type. Types do not change.
var shapes sync.Map //nolint:gochecknoglobals // a cache, as encoding/json has one

func shapeOf(t reflect.Type) *shape {
	known, _ := shapes.Load(t)
	if s, ok := known.(*shape); ok {
		return s
	}
	s := newShape(t)
	shapes.Store(t, s)
	return s
}

func newShape(t reflect.Type) *shape {
	pointer := reflect.PointerTo(t)
	s := &shape{
		reads:             readingWay(t),
		writes:            writingWay(t, t),
		writesAddressable: writingWay(t, pointer),
		traits:            sync.OnceValue(func() *traits { return traitsOf(t) }),
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array:
		s.bytes = t.Elem().Kind() == reflect.Uint8 && writingWay(t.Elem(), reflect.PointerTo(t.Elem())) == byKind
	case reflect.Struct:
		s.fields = fieldsOf(t)
	default: // there is nothing to know
	}
	return s
}

// special is the way of the types that are known by name.
func special(t reflect.Type) way {
	switch t {
	case reflect.TypeFor[time.Time]():
		return asTime
	case reflect.TypeFor[json.Number]():
		return asNumber
	case reflect.TypeFor[Value]():
		return asValue
	case reflect.TypeFor[Encoded]():
		return asEncoded
	case reflect.TypeFor[Extension]():
		return asExtension
	default:
		return byKind
	}
}

// writingWay looks for methods of methods, which is t or a pointer to it.
func writingWay(t, methods reflect.Type) way {
	switch w := special(t); {
	case w != byKind:
		return w
	case methods.Implements(reflect.TypeFor[json.Marshaler]()):
		return byJSON
	case methods.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return byText
	default:
		return byKind
	}
}

func readingWay(t reflect.Type) way {
	pointer := reflect.PointerTo(t)
	switch w := special(t); {
	case w == asEncoded: // it is only for writing
		return byKind
	case w != byKind:
		return w
	case pointer.Implements(reflect.TypeFor[json.Unmarshaler]()):
		return byJSON
	case pointer.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return byText
	default:
		return byKind
	}
}

// nullable tells whether null is a value of the type: of what is nil or a text
// in Go, and of a type that reads JSON itself. For others null is an error,
// which the standard library passes over in silence.
func nullable(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		return true
	default:
		reads := shapeOf(t).reads
		return reads == byJSON || reads == asValue
	}
}

// open tells whether values of the type are read by its kind, so that what is
// in it matters.
func (s *shape) open() bool { return s.reads == byKind || s.reads == asExtension }

func traitsOf(t reflect.Type) *traits {
	tr := &traits{marked: map[reflect.Type]bool{}}
	tr.explore(t)
	tr.marked = nil
	return tr
}

func (tr *traits) explore(t reflect.Type) {
	s := shapeOf(t)
	if tr.marked[t] || !s.open() {
		return
	}
	tr.marked[t] = true
	switch t.Kind() {
	case reflect.Interface:
		tr.any = tr.any || t.NumMethod() == 0
	case reflect.Array:
		tr.picky = true
		tr.explore(t.Elem())
	case reflect.Slice:
		tr.picky = tr.picky || s.bytes
		tr.explore(t.Elem())
	case reflect.Pointer, reflect.Map:
		tr.explore(t.Elem())
	case reflect.Struct:
		for _, f := range s.fields.list {
			tr.explore(f.typ)
		}
	default: // nothing is in it
	}
}
