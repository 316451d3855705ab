package liartest

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/immudb-go/immudb/internal/tamperproxy"
)

// sessions hands the server's sessions on from one client to the next: to check a
// password takes the server longer than all that follows.
type sessions struct {
	asked      string // what all clients ask
	used, free [][]byte
}

// opener answers the honest question with a session that is free.
func (s *sessions) opener(ask func([]byte) ([]byte, error)) func([]byte) ([]byte, error) {
	return func(req []byte) ([]byte, error) {
		if s.asked == "" {
			s.asked = string(req)
		}
		if string(req) != s.asked {
			return ask(req)
		}
		if len(s.free) == 0 {
			answer, err := ask(req)
			if err == nil {
				s.used = append(s.used, answer)
			}
			return answer, err
		}
		last := len(s.free) - 1
		answer := s.free[last]
		s.free, s.used = s.free[:last], append(s.used, answer)
		return answer, nil
	}
}

// freeAll is to be called when no client is left.
func (s *sessions) freeAll() { s.free, s.used = append(s.free, s.used...), nil }

// close ends the sessions on the server.
func (s *sessions) close(p *tamperproxy.Proxy) {
	s.freeAll()
	for _, answer := range s.free {
		_, _, n := protowire.ConsumeTag(answer)
		if id, m := protowire.ConsumeString(answer[n:]); m > 0 {
			_, _ = p.AskIn(id, "CloseSession", nil) // a session that has gone is closed
		}
	}
}
