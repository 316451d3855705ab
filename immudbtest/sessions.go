package immudbtest

import (
	"fmt"
	"sync"
	"time"

	"github.com/codenotary/immudb/pkg/auth"
	"github.com/codenotary/immudb/pkg/database"
	"github.com/codenotary/immudb/pkg/server/sessions"
)

// Sessions returns how many sessions are open. After a client that leaks no session it is 0. It is 0 while the server is
// stopped.
func (s *Server) Sessions() int {
	run, err := s.running()
	if err != nil {
		return 0
	}
	return run.imm.SessManager.SessionCount()
}

// DropSessions ends every session of the administrator at once, with its open transactions, as if it had expired. The
// connections stay up: the next call of each client fails because its session is not found.
func (s *Server) DropSessions() error {
	run, err := s.running()
	if err != nil {
		return err
	}
	if err := run.imm.SessManager.CloseSessionsForUser(adminUser); err != nil {
		return fmt.Errorf("immudbtest: dropping sessions: %w", err)
	}
	return nil
}

func sessionOptions(c config, o *sessions.Options) {
	shortest := time.Duration(0)
	if c.maxSessions > 0 {
		o.WithMaxSessions(c.maxSessions)
	}
	if c.idle > 0 {
		o.WithTimeout(c.idle).WithMaxSessionInactivityTime(c.idle)
		shortest = c.idle
	}
	if c.maxAge > 0 {
		o.WithMaxSessionAgeTime(c.maxAge)
		if shortest == 0 || c.maxAge < shortest {
			shortest = c.maxAge
		}
	}
	if shortest > 0 {
		o.WithSessionGuardCheckInterval(min(max(shortest/4, 25*time.Millisecond), time.Minute))
	}
}

// quietSessions refuses sessions beyond the limit, with the same error as the server's session manager. The manager would
// also print to standard output, with every logger.
type quietSessions struct {
	sessions.Manager
	max int
	mu  sync.Mutex // makes the limit exact
}

func newQuietSessions(m sessions.Manager, max int) *quietSessions {
	return &quietSessions{Manager: m, max: max}
}

func (q *quietSessions) NewSession(user *auth.User, db database.DB) (*sessions.Session, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.SessionCount() >= q.max {
		return nil, sessions.ErrMaxSessionsReached
	}
	return q.Manager.NewSession(user, db)
}
