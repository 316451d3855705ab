package faulttest

import (
	"errors"
	"strings"
	"time"

	"github.com/immudb-go/immudb/internal/faulttest/link"
)

// HostsFault is one kind of failure among several hosts.
type HostsFault struct {
	Name  string
	About string // for the report

	// Quiet: no call may fail because of it.
	Quiet bool
	// Lossy: what was acknowledged in the last moment before the fault may be lost.
	Lossy bool

	primary int // the server that is the primary at the end
	// inject makes the fault happen. It calls reachable when a primary can be reached again.
	inject func(h *hosts) error
	// check looks at the servers when the work has ended.
	check func(h *hosts) error
}

// plays reports whether a workload promises to go on after the fault with so many hosts.
func (f *HostsFault) plays(w *Workload, hosts int) bool {
	switch {
	case f.Lossy && strings.Contains(strings.Join(w.Options, " "), "verify"):
		return false // its trusted history may be lost
	case w.Name == "standby" && f.primary > 0 && hosts == 2:
		return false // the only replica is promoted
	case w.Name == "any" && f.check != nil:
		return false // it would write to the old primary
	}
	return true
}

// HostsFaults are all faults of several hosts, in the order of the report.
var HostsFaults = []*HostsFault{
	{Name: "primary-cut", inject: func(h *hosts) error { return h.cutOff(h.links[0]) },
		About: "The link to the primary alone is cut, and connections to it are refused for a while; the replicas can be reached, and follow."},
	{Name: "primary-silent", inject: primarySilent,
		About: "The link to the primary alone carries no more bytes, and new connections get no answer for a while."},
	{Name: "replica-cut", Quiet: true, inject: func(h *hosts) error { return h.cutOffReplica() },
		About: "The links of clients to the replicas are cut, one after the other, and connections are refused for a while."},
	{Name: "replica-silent", inject: replicaSilent,
		About: "The links of clients to all replicas carry no more bytes, and new connections get no answer for a while."},
	{Name: "lag", Quiet: true, inject: lagging,
		About: "The links between the primary and its replicas are cut for a while: clients reach all hosts, and the replicas are behind."},
	{Name: "lag-one", Quiet: true, inject: laggingOneByOne,
		About: "The same link of each replica alone, one after the other."},
	{Name: "primary-restart", inject: restarted(false),
		About: "The primary is shut down (SIGTERM) and restarted; no replica is promoted."},
	{Name: "primary-kill", inject: restarted(true),
		About: "The primary is killed (SIGKILL) and restarted; no replica is promoted."},
	{Name: "promotion", primary: 1, inject: promotion,
		About: "Clients are cut off the primary in the midst of their calls; when the first replica has all that the primary has, the primary is killed and the replica promoted, and the other one follows it."},
	{Name: "old-primary", primary: 1, inject: oldPrimary, check: nothingWasWrittenToTheOldPrimary,
		About: "After such a promotion the old primary comes back beside the new one; then the new one is gone for a while, so that the old one is the only primary."},
	{Name: "promotion-at-once", primary: 1, Lossy: true, inject: promotionAtOnce,
		About: "The primary is killed in the midst of its work, and a replica is promoted that lacks the newest commits."},
}

// down refuses and cuts all connections of a link.
func down(l *link.Link) error {
	err := l.Refuse()
	l.Cut()
	return err
}

func (h *hosts) cutOff(l *link.Link) error {
	if err := down(l); err != nil {
		return err
	}
	time.Sleep(h.set.Window)
	err := l.Accept()
	h.reachable()
	return err
}

func (h *hosts) cutOffReplica() error {
	for _, l := range h.links[1:] {
		if err := down(l); err != nil {
			return err
		}
		h.reachable() // the primary is there all the time
		time.Sleep(h.set.Window)
		if err := l.Accept(); err != nil {
			return err
		}
	}
	return nil
}

func primarySilent(h *hosts) error {
	h.links[0].Apply(silent, silent)
	time.Sleep(h.set.Window)
	err := h.links[0].Heal()
	h.reachable()
	return err
}

func replicaSilent(h *hosts) error {
	for _, l := range h.links[1:] {
		l.Apply(silent, silent)
	}
	h.reachable()
	time.Sleep(h.set.Window)
	var errs []error
	for _, l := range h.links[1:] {
		errs = append(errs, l.Heal())
	}
	return errors.Join(errs...)
}

func lagging(h *hosts) error {
	var errs []error
	for _, l := range h.feeds {
		errs = append(errs, down(l))
	}
	h.reachable()
	time.Sleep(h.set.Window)
	for _, l := range h.feeds {
		errs = append(errs, l.Accept())
	}
	return errors.Join(errs...)
}

func laggingOneByOne(h *hosts) error {
	h.reachable()
	for _, l := range h.feeds {
		if err := down(l); err != nil {
			return err
		}
		time.Sleep(h.set.Window)
		if err := l.Accept(); err != nil {
			return err
		}
	}
	return nil
}

func restarted(kill bool) func(h *hosts) error {
	return func(h *hosts) error {
		end := h.servers[0].Stop
		if kill {
			end = h.servers[0].Kill
		}
		if err := end(); err != nil {
			return err
		}
		time.Sleep(h.set.Window)
		err := h.servers[0].Restart()
		h.reachable()
		return err
	}
}

// promote makes the second server the primary, and lets the others follow it.
func (h *hosts) promote() error {
	if err := h.servers[1].Promote(); err != nil {
		return err
	}
	h.reachable()
	h.after = func() error {
		for _, s := range h.servers[2:] {
			if err := s.Follow(h.servers[1].DSN()); err != nil {
				return err
			}
		}
		return nil
	}
	return nil
}

func promotion(h *hosts) error {
	if err := down(h.links[0]); err != nil {
		return err
	}
	// No client is told of another commit now. What it was told before, the replicas get.
	if err := h.caughtUp(h.servers[0], h.servers[1:]...); err != nil {
		return err
	}
	if err := h.servers[0].Kill(); err != nil {
		return err
	}
	return h.promote()
}

func oldPrimary(h *hosts) error {
	if err := promotion(h); err != nil {
		return err
	}
	for _, a := range h.acts { // they have seen the new primary, which the old one lacks
		if took, stuck := a.awaitSuccess(time.Now(), h.set.Patience); stuck > 0 {
			h.found.addf("%d workers of %s had not succeeded %.1f s after the promotion", stuck, a.workload.Name, took.Seconds())
		}
	}
	if err := errors.Join(h.after(), h.servers[0].Restart()); err != nil {
		return err
	}
	h.after = nil
	var err error
	if h.oldTx, err = newest(h.servers[0]); err != nil {
		return err
	}
	if err := h.links[0].Accept(); err != nil {
		return err
	}
	time.Sleep(max(h.set.Window, lookAround))
	for _, a := range h.acts {
		a.tally.fault()
	}
	if err := h.servers[1].Stop(); err != nil {
		return err
	}
	time.Sleep(h.set.Window)
	err = h.servers[1].Restart()
	h.reachable()
	return err
}

// lookAround is longer than the driver takes to look at a host that is back (2 s).
const lookAround = 3 * time.Second

func nothingWasWrittenToTheOldPrimary(h *hosts) error {
	tx, err := newest(h.servers[0])
	if err == nil && tx != h.oldTx {
		h.found.addf("%d transactions were written to the old primary", tx-h.oldTx)
	}
	return err
}

func promotionAtOnce(h *hosts) error {
	expose := func() {
		for _, a := range h.acts {
			a.work.(interface{ expose() }).expose()
		}
	}
	expose() // what is acknowledged before now must be there, what is acknowledged from now on may be lost
	if err := h.caughtUp(h.servers[0], h.servers[1]); err != nil {
		return err
	}
	if err := h.servers[0].Kill(); err != nil {
		return err
	}
	if err := h.servers[1].Promote(); err != nil {
		return err
	}
	expose()
	h.reachable()
	return nil
}
