package hub

import (
	"errors"
	"fmt"
	"reflect"

	"tidings/hub/protocol"
)

// method is a function of the application, looked at once.
type method struct {
	name      string
	function  reflect.Value
	arguments []reflect.Type // without the *Context
	hasResult bool
	hasError  bool
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
		if err := usable(t.In(i)); err != nil {
			return nil, fmt.Errorf("parameter %d: %w", i+1, err)
		}
		m.arguments = append(m.arguments, t.In(i))
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
	if m.hasResult {
		if err := usable(t.Out(0)); err != nil && t.Out(0).Kind() != reflect.Interface {
			return fmt.Errorf("result: %w", err)
		}
	}
	return nil
}

// bindError says that the arguments do not fit.
type bindError struct{ text string }

func (e *bindError) Error() string { return "InvalidDataException: " + e.text }

// bind makes the arguments of a call, strictly.
func (m *method) bind(codec protocol.Codec, raw []protocol.Raw) ([]reflect.Value, error) {
	if len(raw) != len(m.arguments) {
		return nil, &bindError{fmt.Sprintf("Invocation provides %d argument(s) but target expects %d.", len(raw), len(m.arguments))}
	}
	values := make([]reflect.Value, len(raw))
	for i, t := range m.arguments {
		into := reflect.New(t)
		if err := codec.Bind(raw[i], into.Interface()); err != nil {
			return nil, &bindError{"Error binding arguments. Make sure that the types of the provided values match the types of the hub method being invoked."}
		}
		values[i] = into.Elem()
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
