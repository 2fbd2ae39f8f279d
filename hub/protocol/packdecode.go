package protocol

import "fmt"

// Decode implements Records. It reads every byte of the record once: what it
// leaves raw is known to be well-formed.
func (packCodec) Decode(record []byte) (Message, error) { //nolint:ireturn // see jsonCodec.Decode
	p := openParts(record)
	m := p.message()
	p.close()
	if p.err != nil {
		return nil, p.err
	}
	return m, nil
}

// parts are the elements of the array that a message is, read one by one. The
// first error stays, and what is read after it is empty.
type parts struct {
	reader
	elements int // still to be read
	err      error
}

func openParts(record []byte) *parts {
	p := &parts{reader: reader{data: record}, elements: 1}
	p.elements = p.head(kindArray, "message").count
	return p
}

// message reads the elements that the type asks for. An unknown type is nil.
func (p *parts) message() Message { //nolint:ireturn // see jsonCodec.Decode
	switch p.integer("type") {
	case typeInvocation:
		return p.invocation(p.optionalID)
	case typeStreamInvocation:
		return (*StreamInvocation)(p.invocation(p.id))
	case typeStreamItem:
		return &StreamItem{Headers: p.headers(), InvocationID: p.id(), RawItem: p.value("item")}
	case typeCompletion:
		return p.completion()
	case typeCancelInvocation:
		return &CancelInvocation{Headers: p.headers(), InvocationID: p.id()}
	case typePing:
		return &Ping{}
	case typeClose:
		return &Close{Error: p.optionalString("error"), AllowReconnect: p.elements > 0 && p.bool("allowReconnect")}
	case typeAck:
		return &Ack{p.integer("sequenceId")}
	case typeSequence:
		return &Sequence{p.integer("sequenceId")}
	default:
		return nil
	}
}

func (p *parts) invocation(id func() string) *Invocation {
	m := &Invocation{Headers: p.headers(), InvocationID: id(), Target: p.string("target"), RawArguments: p.values("arguments")}
	if m.Target == "" {
		p.fail("invocation without target")
	}
	if p.elements > 0 { // the first clients knew no streams
		m.StreamIDs = p.strings("streamIds")
	}
	return m
}

func (p *parts) completion() *Completion {
	m := &Completion{Headers: p.headers(), InvocationID: p.id()}
	switch p.integer("kind of result") {
	case resultError:
		m.Error = p.string("error")
	case resultVoid:
	case resultValue:
		m.HasResult, m.RawResult = true, p.value("result")
	default:
		p.fail("unknown kind of result")
	}
	return m
}

// close skips the elements that later versions may have added.
func (p *parts) close() {
	for p.err == nil && p.elements > 0 {
		p.value("element")
	}
	if p.left() > 0 {
		p.fail("bytes after the message")
	}
}

func (p *parts) fail(text string) {
	if p.err == nil {
		p.err = fmt.Errorf("%w: %s", ErrMalformed, text)
	}
}

// ready counts an element off and tells whether it may be read.
func (p *parts) ready(name string) bool {
	if p.elements == 0 {
		p.fail("message without " + name)
	}
	if p.err != nil {
		return false
	}
	p.elements--
	return true
}

// head reads the token of an element, which must be of kind k.
func (p *parts) head(k kind, name string) token {
	if !p.ready(name) {
		return token{}
	}
	return p.token(k, name)
}

// token reads a token inside an element.
func (p *parts) token(k kind, name string) token {
	if p.err != nil {
		return token{}
	}
	t, err := p.next()
	switch {
	case err != nil:
		p.err = err
	case t.kind != k:
		p.fail(name + " is " + t.kind.String() + ", not " + k.String())
	default:
		return t
	}
	return token{}
}

func (p *parts) string(name string) string { return string(p.head(kindString, name).data) }

func (p *parts) bool(name string) bool { return p.head(kindBool, name).number == 1 }

func (p *parts) optionalString(name string) string {
	if p.elements > 0 && p.err == nil && p.null() {
		p.elements--
		return ""
	}
	return p.string(name)
}

func (p *parts) optionalID() string { return p.optionalString("invocationId") }

func (p *parts) id() string {
	id := p.string("invocationId")
	if id == "" {
		p.fail("message without invocationId")
	}
	return id
}

func (p *parts) integer(name string) int64 {
	if !p.ready(name) {
		return 0
	}
	t, err := p.next()
	n, ok := t.signed()
	switch {
	case err != nil:
		p.err = err
	case !ok:
		p.fail(name + " is no integer, or too large")
	}
	return n
}

func (p *parts) headers() Headers {
	n := p.head(kindMap, "headers").count
	if n == 0 {
		return nil
	}
	h := Headers{}
	for ; n > 0 && p.err == nil; n-- {
		name := string(p.token(kindString, "name of a header").data)
		h[name] = string(p.token(kindString, "header").data)
	}
	return h
}

func (p *parts) strings(name string) []string {
	var all []string
	for n := p.head(kindArray, name).count; n > 0 && p.err == nil; n-- {
		all = append(all, string(p.token(kindString, name).data))
	}
	return all
}

// value reads an element that stays raw.
func (p *parts) value(name string) Raw {
	if !p.ready(name) {
		return nil
	}
	return p.inner(maxDepth - 1)
}

func (p *parts) values(name string) []Raw {
	all := []Raw{}
	for n := p.head(kindArray, name).count; n > 0 && p.err == nil; n-- {
		all = append(all, p.inner(maxDepth-2))
	}
	return all
}

func (p *parts) inner(levels int) Raw {
	raw, err := p.raw(levels)
	if err != nil {
		p.err = err
	}
	return raw
}
