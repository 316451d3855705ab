package trust

import (
	"context"
	"slices"
)

// serverKey is a server as far as it can be told from another one. It identifies
// nobody: a server can be replaced by one that says the same.
type serverKey struct{ host, uuid string }

// maxStanding bounds how many servers are remembered; one that was forgotten is
// asked again.
const maxStanding = 64

// Stands makes sure that the server has shown the trusted history, or one that
// extends it, before anything is written to it: what a wrong server answers to a
// commit is found out only after the commit. A server is asked once.
func (p *Prover) Stands(ctx context.Context) error {
	trusted, err := p.Establish(ctx)
	if err != nil || trusted.TxID == 0 || p.isStanding() {
		return err
	}
	head, err := p.head(ctx)
	if err != nil {
		return err
	}
	if err := p.leadsTo(ctx, trusted, head.state); err != nil {
		return p.Explain(ctx, trusted, err)
	}
	p.nowStanding()
	return nil
}

func (p *Prover) key() serverKey { return serverKey{p.server.Host, p.server.UUID} }

func (p *Prover) isStanding() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.standing, p.key())
}

// nowStanding remembers that the server has shown the trusted history.
func (p *Prover) nowStanding() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if slices.Contains(p.standing, p.key()) {
		return
	}
	if len(p.standing) == maxStanding {
		p.standing = p.standing[1:]
	}
	p.standing = append(p.standing, p.key())
}
