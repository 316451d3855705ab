package liartest

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

// call is a call of the client that the liar may answer falsely.
type call struct {
	method string
	req    []byte
	ask    func(req []byte) ([]byte, error) // makes the call, with any request
}

// A lie answers a call. It returns the honest answer where it does not apply.
type lie struct {
	name string
	tell func(l *liar, c call) ([]byte, error)
}

// lies are all kinds of lies. Each is told of every method.
var lies = []lie{
	{"an old answer", func(l *liar, c call) ([]byte, error) {
		if old := l.old(c.method); old != nil {
			return old, nil
		}
		return c.ask(c.req)
	}},
	{"an old answer with a bit of it changed", func(l *liar, c call) ([]byte, error) {
		return flip(l.rnd, l.old(c.method)), nil
	}},
	{"an old answer with a field of it changed", func(l *liar, c call) ([]byte, error) {
		return edit(l.rnd, l.old(c.method), change), nil
	}},
	{"changed bits", onAnswer(flip)},
	{"a changed field", onAnswer(func(rnd *rand.Rand, msg []byte) []byte { return edit(rnd, msg, change) })},
	{"fields left out", onAnswer(func(rnd *rand.Rand, msg []byte) []byte { return edit(rnd, msg, omit) })},
	{"a field twice", onAnswer(func(rnd *rand.Rand, msg []byte) []byte { return edit(rnd, msg, repeat) })},
	{"fields exchanged", onAnswer(func(rnd *rand.Rand, msg []byte) []byte { return edit(rnd, msg, exchange) })},
	{"other words in the answer", func(l *liar, c call) ([]byte, error) {
		msg, err := c.ask(c.req)
		return l.replaceWords(msg), err
	}},
	{"the question with other words", func(l *liar, c call) ([]byte, error) { return c.ask(l.replaceWords(c.req)) }},
	{"another question of before", func(l *liar, c call) ([]byte, error) {
		if asked := l.asked[c.method]; len(asked) > 0 {
			return c.ask(asked[l.rnd.IntN(len(asked))])
		}
		return c.ask(c.req)
	}},
	{"the question with a field changed", func(l *liar, c call) ([]byte, error) { return c.ask(edit(l.rnd, c.req, change)) }},
	{"nothing at all", func(*liar, call) ([]byte, error) { return nil, nil }},
	{"noise", func(l *liar, c call) ([]byte, error) {
		noise := make([]byte, l.rnd.IntN(200))
		for i := range noise {
			noise[i] = byte(l.rnd.Uint32())
		}
		return noise, nil
	}},
	{"a refusal", func(l *liar, c call) ([]byte, error) { return nil, l.refusal() }},
	{"a refusal of what is done", func(l *liar, c call) ([]byte, error) {
		if _, err := c.ask(c.req); err != nil {
			return nil, err
		}
		return nil, l.refusal()
	}},
}

func onAnswer(f func(*rand.Rand, []byte) []byte) func(*liar, call) ([]byte, error) {
	return func(l *liar, c call) ([]byte, error) {
		msg, err := c.ask(c.req)
		return f(l.rnd, msg), err
	}
}

// liar decides for one session which calls are answered falsely, and how.
type liar struct {
	mu     sync.Mutex
	rnd    *rand.Rand
	lie    *lie // nil: an honest session
	from   int  // the first call that is lied about
	calls  int
	length int         // how many calls in a row are lied about
	told   int         // how many were answered falsely
	words  [][2]string // of equal length, for each other

	sessions        *sessions
	answered, asked map[string][][]byte // by method, of this session and the ones before
	trace           []string            // the calls, for the report
}

// handle is the [tamperproxy.Instead] of a session.
func (l *liar) handle(method string, req []byte, ask func([]byte) ([]byte, error)) ([]byte, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch method {
	case "KeepAlive":
		return nil, false, nil
	case "CloseSession":
		return nil, true, nil // another client takes it
	case "OpenSession":
		ask = l.sessions.opener(ask)
	}
	l.calls++
	lying := l.lie != nil && l.calls >= l.from && l.calls < l.from+l.length
	if !lying {
		l.asked[method] = remember(l.asked[method], req)
		l.trace = append(l.trace, method)
		if method == "OpenSession" {
			answer, err := ask(req)
			return answer, true, err
		}
		return nil, false, nil
	}
	// An answer that happens to be the honest one is no lie.
	var honest []byte
	known := false
	answer, err := l.lie.tell(l, call{method, req, func(sent []byte) ([]byte, error) {
		got, err := ask(sent)
		if err == nil && bytes.Equal(sent, req) {
			honest, known = bytes.Clone(got), true
		}
		return got, err
	}})
	if known && err == nil && bytes.Equal(answer, honest) {
		l.trace = append(l.trace, method)
		return answer, true, nil
	}
	l.told++
	l.trace = append(l.trace, method+" (lie)")
	return answer, true, err
}

// note remembers an honest answer.
func (l *liar) note(method string, msg []byte) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answered[method] = remember(l.answered[method], msg)
	return msg
}

// remember keeps the last messages only.
func remember(list [][]byte, msg []byte) [][]byte {
	const most = 24
	if len(list) == most {
		list = slices.Delete(list, 0, 1)
	}
	return append(list, bytes.Clone(msg))
}

func (l *liar) old(method string) []byte {
	list := l.answered[method]
	if len(list) == 0 {
		return nil
	}
	return bytes.Clone(list[l.rnd.IntN(len(list))])
}

// count returns how many lies were told.
func (l *liar) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.told
}

func (l *liar) replaceWords(msg []byte) []byte {
	w := l.words[l.rnd.IntN(len(l.words))]
	const hole = "\x00\x01\x02"
	msg = bytes.ReplaceAll(msg, []byte(w[0]), []byte(hole))
	msg = bytes.ReplaceAll(msg, []byte(w[1]), []byte(w[0]))
	return bytes.ReplaceAll(msg, []byte(hole), []byte(w[1]))
}

func (l *liar) refusal() error {
	texts := []string{"key not found", "table does not exist", "tx not found", "tx read conflict", "nothing of the kind"}
	return status.Error(codes.Unknown, texts[l.rnd.IntN(len(texts))])
}

func flip(rnd *rand.Rand, msg []byte) []byte {
	msg = bytes.Clone(msg)
	for range 1 + rnd.IntN(3) {
		if len(msg) > 0 {
			msg[rnd.IntN(len(msg))] ^= 1 << rnd.IntN(8)
		}
	}
	return msg
}

// field is a field of a message, with the fields within it, if its bytes may be a
// message.
type field struct {
	num    protowire.Number
	kind   protowire.Type
	n      uint64 // of a varint or fixed number
	bytes  []byte
	within []*field
}

// parse reads a message; ok is false if the bytes are none.
func parse(msg []byte, depth int) (fields []*field, ok bool) {
	for len(msg) > 0 {
		num, kind, n := protowire.ConsumeTag(msg)
		if n < 0 {
			return nil, false
		}
		msg = msg[n:]
		f := &field{num: num, kind: kind}
		switch kind {
		case protowire.VarintType:
			f.n, n = protowire.ConsumeVarint(msg)
		case protowire.Fixed64Type:
			f.n, n = protowire.ConsumeFixed64(msg)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(msg)
			if n >= 0 && depth < 8 && len(f.bytes) > 1 {
				f.within, _ = parse(f.bytes, depth+1)
			}
		default:
			return nil, false
		}
		if n < 0 {
			return nil, false
		}
		msg = msg[n:]
		fields = append(fields, f)
	}
	return fields, true
}

func encode(fields []*field) (msg []byte) {
	for _, f := range fields {
		msg = protowire.AppendTag(msg, f.num, f.kind)
		switch {
		case f.kind == protowire.VarintType:
			msg = protowire.AppendVarint(msg, f.n)
		case f.kind == protowire.Fixed64Type:
			msg = protowire.AppendFixed64(msg, f.n)
		case f.within != nil:
			msg = protowire.AppendBytes(msg, encode(f.within))
		default:
			msg = protowire.AppendBytes(msg, f.bytes)
		}
	}
	return msg
}

// edit changes a message at one of its lists of fields.
func edit(rnd *rand.Rand, msg []byte, how func(rnd *rand.Rand, fields []*field) []*field) []byte {
	root, ok := parse(msg, 0)
	if !ok || len(root) == 0 {
		return flip(rnd, msg)
	}
	lists := []*[]*field{&root}
	for i := 0; i < len(lists); i++ {
		for _, f := range *lists[i] {
			if f.within != nil {
				lists = append(lists, &f.within)
			}
		}
	}
	list := lists[rnd.IntN(len(lists))]
	*list = how(rnd, *list)
	return encode(root)
}

func change(rnd *rand.Rand, fields []*field) []*field {
	f := fields[rnd.IntN(len(fields))]
	switch {
	case f.kind != protowire.BytesType:
		f.n = []uint64{f.n + 1, f.n - 1, 0, 1, f.n ^ 1<<rnd.IntN(64), rnd.Uint64N(64)}[rnd.IntN(6)]
	case len(f.bytes) > 0:
		f.bytes, f.within = flip(rnd, f.bytes), nil
	default:
		f.bytes = []byte{1}
	}
	return fields
}

func omit(rnd *rand.Rand, fields []*field) []*field {
	at := rnd.IntN(len(fields))
	return slices.Delete(slices.Clone(fields), at, min(len(fields), at+1+rnd.IntN(2)))
}

func repeat(rnd *rand.Rand, fields []*field) []*field {
	at := rnd.IntN(len(fields))
	return slices.Insert(slices.Clone(fields), at, fields[at])
}

func exchange(rnd *rand.Rand, fields []*field) []*field {
	a, b := fields[rnd.IntN(len(fields))], fields[rnd.IntN(len(fields))]
	if a.num != b.num && a.kind == b.kind && rnd.IntN(2) == 0 { // the contents alone
		a.n, a.bytes, a.within, b.n, b.bytes, b.within = b.n, b.bytes, b.within, a.n, a.bytes, a.within
		return fields
	}
	*a, *b = *b, *a
	return fields
}
