package hub

import (
	"errors"
	"fmt"
	"reflect"

	"tidings/hub/protocol"
)

// method is a function of the application, looked at once.
type method struct {
	name       string
	function   reflect.Value
	parameters []parameter // without the *Context
	arguments  int         // those that are no streams
	hasResult  bool
	hasError   bool
	streams    bool // the result is a stream
}

// parameter is an argument or, if it is a *Stream, a stream of the client.
type parameter struct {
	reflect.Type

	stream bool
}

func newMethod(name string, function any) (*method, error) {
	if err := validName(name); err != nil {
		return nil, err
	}
	f := reflect.ValueOf(function)
	if f.Kind() != reflect.Func || f.IsNil() {
		return nil, fmt.Errorf("want a function, got %T", function)
	}
	t := f.Type()
	if t.NumIn() == 0 || t.In(0) != reflect.TypeFor[*Context]() {
		return nil, fmt.Errorf("the first parameter must be *hub.Context: %s", t)
	}
	if t.IsVariadic() {
		return nil, fmt.Errorf("a variadic function has no number of arguments: %s", t)
	}
	m := &method{name: name, function: f}
	for i := 1; i < t.NumIn(); i++ {
		p := parameter{t.In(i), t.In(i).Implements(reflect.TypeFor[streamParameter]())}
		value := p.Type
		if stream, is := reflect.TypeAssert[streamParameter](reflect.Zero(p.Type)); is {
			value = stream.item()
		} else {
			m.arguments++
		}
		if err := usable(value); err != nil {
			return nil, fmt.Errorf("parameter %d: %w", i+1, err)
		}
		m.parameters = append(m.parameters, p)
	}
	return m, m.results(t)
}

func validName(name string) error {
	if name == "" {
		return errors.New("a method needs a name")
	}
	return nil
}

// usable tells whether a value of that type can come from a client.
func usable(t reflect.Type) error {
	if t == reflect.TypeFor[protocol.Encoded]() {
		return fmt.Errorf("a %s is for sending; take a protocol.Value", t)
	}
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.UnsafePointer, reflect.Complex64, reflect.Complex128:
		return fmt.Errorf("a %s cannot be sent by a client", t)
	case reflect.Interface:
		if t.NumMethod() > 0 {
			return fmt.Errorf("nobody knows which type a client would mean by %s", t)
		}
		return nil
	default:
		return nil
	}
}

func (m *method) results(t reflect.Type) error {
	isError := func(i int) bool { return t.Out(i) == reflect.TypeFor[error]() }
	switch {
	case t.NumOut() == 0:
	case t.NumOut() == 1 && isError(0):
		m.hasError = true
	case t.NumOut() == 1:
		m.hasResult = true
	case t.NumOut() == 2 && !isError(0) && isError(1):
		m.hasResult, m.hasError = true, true
	default:
		return fmt.Errorf("a method returns nothing, an error, a result, or a result and an error: %s", t)
	}
	if !m.hasResult {
		return nil
	}
	value := t.Out(0)
	if form, item := streamOf(value); form != noStream {
		m.streams, value = true, item
	}
	if err := usable(value); err != nil && value.Kind() != reflect.Interface {
		return fmt.Errorf("result: %w", err)
	}
	return nil
}

// bindError says that the arguments do not fit.
type bindError struct{ text string }

func (e *bindError) Error() string { return "InvalidDataException: " + e.text }

// bind makes the arguments of a call, strictly, and gives it its streams.
func (m *method) bind(codec protocol.Codec, raw []protocol.Raw, streams []*upload) ([]reflect.Value, error) {
	if len(raw) != m.arguments {
		return nil, &bindError{fmt.Sprintf("Invocation provides %d argument(s) but target expects %d.", len(raw), m.arguments)}
	}
	if want := len(m.parameters) - m.arguments; len(streams) != want {
		return nil, Error{Text: fmt.Sprintf("Client sent %d stream(s), Hub method expects %d.", len(streams), want)}
	}
	values := make([]reflect.Value, len(m.parameters))
	for i, p := range m.parameters {
		if p.stream {
			values[i] = reflect.New(p.Elem())
			values[i].Interface().(streamParameter).attach(streams[0]) //nolint:forcetypeassert // newMethod has looked
			streams = streams[1:]
			continue
		}
		into := reflect.New(p.Type)
		if err := codec.Bind(raw[0], into.Interface()); err != nil {
			return nil, &bindError{"Error binding arguments. Make sure that the types of the provided values match the types of the hub method being invoked."}
		}
		values[i], raw = into.Elem(), raw[1:]
	}
	return values, nil
}

// call runs the function.
func (m *method) call(c *Context, arguments []reflect.Value) (any, error) {
	results := m.function.Call(append([]reflect.Value{reflect.ValueOf(c)}, arguments...))
	var result any
	if m.hasResult {
		result = results[0].Interface()
	}
	if m.hasError {
		if err, failed := reflect.TypeAssert[error](results[len(results)-1]); failed {
			return nil, err
		}
	}
	return result, nil
}
