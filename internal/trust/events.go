package trust

import (
	"context"
	"log/slog"
)

// proved counts a proof that has succeeded.
func (p *Prover) proved(err error) {
	if err == nil {
		p.trust.Proofs.Add(1)
	}
}

// contradicted counts and logs that the server contradicts what is trusted.
func (p *Prover) contradicted(message string, attrs ...slog.Attr) {
	p.trust.Contradictions.Add(1)
	p.event(slog.LevelError, message, attrs...)
}

// firstTrusted logs the state that is trusted from now on only because the server has
// shown it.
func (p *Prover) firstTrusted(s State) {
	p.event(slog.LevelInfo, "immudb first trust: the state that the server shows is trusted from now on", slog.Uint64("tx", s.TxID))
}

func (p *Prover) event(level slog.Level, message string, attrs ...slog.Attr) {
	p.trust.Log.LogAttrs(context.Background(), level, message,
		append([]slog.Attr{slog.String("host", p.server.Host), slog.String("database", p.id.String())}, attrs...)...)
}
