package main

import (
	"fmt"
	"io"
	"strconv"
)

// report writes what the program shows.
type report struct{ out io.Writer }

func (r report) printf(format string, args ...any) { fmt.Fprintf(r.out, format, args...) }

func (r report) session(place, host, database, uuid, version string) {
	r.printf("A ledger on immudb\n\n")
	r.printf("   server    %s\n", place)
	r.printf("   address   %s, database %s\n", host, database)
	r.printf("   UUID      %s\n", uuid)
	if version != "" {
		r.printf("   version   %s\n", version)
	}
}

func (r report) loaded(b *book) {
	r.printf("\n1. Load %d accounts, all in one transaction\n\n", len(b.ledger.accounts))
	r.printf("   Transaction %d wrote them. They hold %s together.\n", b.opened.TxID, money(b.ledger.total()))
}

func (r report) transferred(b *book) {
	r.printf("\n2. Make %d transfers, %d at a time, each in a transaction of its own\n\n", len(b.ledger.transfers), workers)
	r.printf("   %d were booked. %d times one met another on the same account, and RunTx ran it again.\n",
		len(b.booked), b.reruns)
	for _, t := range b.refused {
		r.printf("   Number %d was refused and left no trace: %s cannot pay %s for %q.\n",
			t.id, b.ledger.account(t.debit).owner, money(t.amount), t.memo)
	}
}

func (r report) balances(b *book, balances map[int64]int64) {
	r.printf("\n3. Compare the balances\n\n")
	r.printf("   %-24s %12s %12s %12s\n", "account", "opening", "now", "change")
	var opening, now int64
	for _, a := range b.ledger.accounts {
		r.printf("   %-24s %12s %12s %12s\n", a.owner, money(a.opening), money(balances[a.id]), change(balances[a.id]-a.opening))
		opening, now = opening+a.opening, now+balances[a.id]
	}
	r.printf("   %-24s %12s %12s %12s\n\n", "together", money(opening), money(now), change(now-opening))
	r.printf("   No money was made or lost: the sum is the same after each of the %d transactions (UNTIL TX n).\n", len(b.booked)+1)
}

func (r report) history(b *book, versions []version) {
	a := b.ledger.account(watched)
	r.printf("\n4. Look back: every version of a row is kept (HISTORY OF quickstart_accounts)\n\n")
	r.printf("   %s\n", a.owner)
	r.printf("   %8s %12s %12s %12s  %s\n", "revision", "transaction", "change", "balance", "transfer")
	for _, v := range versions {
		if v.transfer == nil {
			r.printf("   %8d %12d %12s %12s  %s\n", v.revision, v.txID, "", money(v.balance), "opening balance")
			continue
		}
		t := v.transfer
		amount, other := t.amount, "from "+b.ledger.account(t.debit).owner
		if t.debit == a.id {
			amount, other = -t.amount, "to "+b.ledger.account(t.credit).owner
		}
		r.printf("   %8d %12d %12s %12s  %s, %s\n", v.revision, v.txID, change(amount), money(v.balance), other, t.memo)
	}
}

// money writes cents as 1,234.56.
func money(cents int64) string {
	if cents < 0 {
		return "-" + money(-cents)
	}
	euros := strconv.FormatInt(cents/100, 10)
	for i := len(euros) - 3; i > 0; i -= 3 {
		euros = euros[:i] + "," + euros[i:]
	}
	return fmt.Sprintf("%s.%02d", euros, cents%100)
}

// change is money with its sign.
func change(cents int64) string {
	if cents > 0 {
		return "+" + money(cents)
	}
	return money(cents)
}
