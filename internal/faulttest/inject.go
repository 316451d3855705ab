package faulttest

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/immudb-go/immudb/internal/faulttest/link"
)

var (
	silent = link.Rule{Silent: true}
	passes = link.Rule{}
)

func nothing(_ *scene, window time.Duration) (time.Time, error) {
	time.Sleep(window)
	return time.Now(), nil
}

func killed(s *scene, window time.Duration) (time.Time, error) {
	if err := s.server.Kill(); err != nil {
		return time.Time{}, err
	}
	time.Sleep(window)
	err := s.server.Restart()
	return time.Now(), err
}

func stopped(s *scene, window time.Duration) (time.Time, error) {
	if err := s.server.Stop(); err != nil {
		return time.Time{}, err
	}
	time.Sleep(window)
	err := s.server.Restart()
	return time.Now(), err
}

func paused(s *scene, window time.Duration) (time.Time, error) {
	if err := s.server.Pause(); err != nil {
		return time.Time{}, err
	}
	time.Sleep(window)
	err := s.server.Resume()
	return time.Now(), err
}

func cut(s *scene, window time.Duration) (time.Time, error) {
	const cuts = 4
	for range cuts - 1 {
		s.link.Cut()
		time.Sleep(window / (cuts - 1))
	}
	s.link.Cut()
	return time.Now(), nil
}

// cutWithin is enough bytes for the beginning of a connection, about 300, and a few calls.
const cutWithin = 2000

func cutSending(s *scene, window time.Duration) (time.Time, error) {
	return during(s, window, link.Rule{CutWithin: cutWithin}, passes)
}

func cutReceiving(s *scene, window time.Duration) (time.Time, error) {
	return during(s, window, passes, link.Rule{CutWithin: cutWithin})
}

// during applies rules to all flows, old and new, until the window ends.
func during(s *scene, window time.Duration, toServer, toClient link.Rule) (time.Time, error) {
	s.link.Apply(toServer, toClient)
	time.Sleep(window)
	err := s.link.Heal()
	return time.Now(), err
}

func refused(s *scene, window time.Duration) (time.Time, error) {
	if err := s.link.Refuse(); err != nil {
		return time.Time{}, err
	}
	s.link.Cut()
	time.Sleep(window)
	err := s.link.Accept()
	return time.Now(), err
}

func blackHole(s *scene, _ time.Duration) (time.Time, error) {
	s.link.ApplyExisting(silent, silent)
	return time.Now(), nil
}

func blackHoleAll(s *scene, window time.Duration) (time.Time, error) {
	return during(s, window, silent, silent)
}

func halfOpenSending(s *scene, _ time.Duration) (time.Time, error) {
	s.link.ApplyExisting(silent, passes)
	return time.Now(), nil
}

func halfOpenReceiving(s *scene, _ time.Duration) (time.Time, error) {
	s.link.ApplyExisting(passes, silent)
	return time.Now(), nil
}

func partition(s *scene, window time.Duration) (time.Time, error) {
	return during(s, window, link.Rule{Hold: true}, link.Rule{Hold: true})
}

func delayed(s *scene, window time.Duration) (time.Time, error) {
	slow := link.Rule{Delay: 50 * time.Millisecond}
	return during(s, window, slow, slow)
}

func jittered(s *scene, window time.Duration) (time.Time, error) {
	slow := link.Rule{Jitter: 100 * time.Millisecond}
	return during(s, window, slow, slow)
}

func throttled(s *scene, window time.Duration) (time.Time, error) {
	slow := link.Rule{Rate: 256 << 10}
	return during(s, window, slow, slow)
}

// The server returns an error for sessions that run a query ("readers not closed"), but has dropped them. If the server
// has died, that is found after the fault.
func dropSessions(s *scene, window time.Duration) (time.Time, error) {
	const drops = 5
	for range drops - 1 {
		_ = s.server.DropSessions()
		time.Sleep(window / (drops - 1))
	}
	_ = s.server.DropSessions()
	return time.Now(), nil
}

func flapping(s *scene, window time.Duration) (time.Time, error) {
	moment := func() { time.Sleep(100*time.Millisecond + rand.N(300*time.Millisecond)) }
	for end := time.Now().Add(window); time.Now().Before(end); moment() {
		switch rand.IntN(3) {
		case 0:
			s.link.Cut()
		case 1:
			if err := s.link.Refuse(); err != nil {
				return time.Time{}, err
			}
			s.link.Cut()
			moment()
			if err := s.link.Accept(); err != nil {
				return time.Time{}, err
			}
		case 2:
			if _, err := during(s, 200*time.Millisecond, silent, silent); err != nil {
				return time.Time{}, err
			}
		}
	}
	return time.Now(), nil
}

func moved(s *scene, window time.Duration) (time.Time, error) {
	const moves = 3
	var err error
	for range moves - 1 {
		err = errors.Join(err, s.link.Move())
		time.Sleep(window / (moves - 1))
	}
	err = errors.Join(err, s.link.Move())
	return time.Now(), err
}

func cancelled(s *scene, window time.Duration) (time.Time, error) {
	s.cancellers(window)
	return time.Now(), nil
}
