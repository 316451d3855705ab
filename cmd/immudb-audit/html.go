package main

import (
	"bytes"
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/immudb-go/immudb"
)

//go:embed report.html
var pageText string

var pageTemplate = template.Must(template.New("report").Parse(pageText))

// page is what report.html shows. Its texts may come from the server: none may be of
// a type that html/template does not escape.
type page struct {
	Database, Title, Tone, Finding string
	Tampering                      *immudb.Tampering
	Advice                         []string
	Facts                          []fact
	Period, Begin, End             string
	Plots                          []plot
	Rows, Served                   []fact
	Findings                       []immudb.AuditFinding
	Changes                        []immudb.SchemaChange
	NoChanges                      string
	Version                        string
	Status                         int
}

type fact struct {
	Name, Value string
	Code        bool // a hash
}

type plot struct {
	Name, Note string
	Bars       []bar
	Line       string // the points of a line, instead of bars
}

type bar struct {
	X, Y, Width, Height string
	Label               string
}

var titles = map[int]string{
	statusOK: "Nothing was altered", statusTampered: "TAMPERED", statusUnchecked: "Not checked",
	statusOlder: "The server is older than what is trusted", statusMissing: "Nothing is trusted yet",
}

var tones = map[int]string{statusOK: "good", statusTampered: "bad"}

var advice = map[int][]string{
	statusTampered: {
		"Do not trust the server any more. What is trusted was left as it was.",
		"Keep this page and the state_dir: the state in it is the evidence. Copy the server's files before the server is restarted.",
		"Then audit a replica, or a backup restored on another server, with -from-start and trusted_state of an earlier report instead of state_dir: if the audit passes, it has the original history.",
	},
	statusUnchecked: {"Nothing is known about what was not checked. Read the message, remove the cause, and run the command again."},
	statusOlder: {
		"If the server was restored from a backup, the transactions after the backup are lost. If that was intended, move the state's file out of state_dir and repeat the first run: from then on there is another history.",
		"A replica that lags has usually caught up at the next run.",
	},
	statusMissing: {"At a first run, set verify=trust-first-use. Otherwise the state was lost: restore it, or take trusted_state=tx:hash from the last report."},
}

// writePage replaces the file with the report of an audit that began at the time
// given. Whoever reads the file sees the old page or the new one, never a part.
func writePage(path string, began time.Time, r *immudb.AuditReport, err error) error {
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, newPage(began, r, err)); err != nil {
		return err
	}
	return replaceFile(path, b.Bytes())
}

func replaceFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // nothing is there once it is renamed
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func newPage(began time.Time, r *immudb.AuditReport, err error) page {
	status := statusOf(err)
	p := page{
		Database: cmp.Or(printable(r.Database), "a database"), Title: titles[status], Tone: cmp.Or(tones[status], "warn"),
		Advice: advice[status], Version: programVersion(), Status: status,
	}
	if err != nil {
		p.Finding = printable(err.Error())
	}
	var found *immudb.Tampering
	if errors.As(err, &found) {
		p.Finding = ""
		p.Tampering = &immudb.Tampering{Check: printable(found.Check), TxID: found.TxID, Expected: printable(found.Expected), Found: printable(found.Found)}
	}
	p.Facts = facts(began, r, err)
	for _, table := range slices.Sorted(maps.Keys(r.Rows)) {
		p.Rows = append(p.Rows, fact{Name: printable(table), Value: grouped(r.Rows[table])})
	}
	for _, table := range slices.Sorted(maps.Keys(r.Served)) {
		p.Served = append(p.Served, fact{Name: printable(table), Value: strconv.FormatInt(r.Served[table], 10)})
	}
	for _, f := range r.Findings {
		p.Findings = append(p.Findings, immudb.AuditFinding{Table: printable(f.Table), TxID: f.TxID, What: f.What})
	}
	for _, c := range r.SchemaChanges {
		p.Changes = append(p.Changes, immudb.SchemaChange{TxID: c.TxID, Table: printable(cmp.Or(c.Table, "not known")), What: printable(c.What)})
	}
	p.NoChanges = "None in what was checked."
	if err != nil {
		p.NoChanges = "The audit did not come to its end, and names none."
	}
	p.plot(r.Activity)
	return p
}

func facts(began time.Time, r *immudb.AuditReport, err error) (list []fact) {
	add := func(name, value string) { list = append(list, fact{Name: name, Value: printable(value)}) }
	code := func(name string, s immudb.State) { list = append(list, fact{Name: name, Value: s.Pin(), Code: true}) }
	if r.ServerUUID != "" {
		add("Server", r.Host+" ("+r.ServerUUID+")")
	}
	add("Began", began.UTC().Format(time.RFC3339))
	add("Took", r.Elapsed.Round(time.Millisecond).String())
	switch {
	case r.Transactions > 0:
		add("Transactions", fmt.Sprintf("%d to %d: %s, with %s entries", r.First, r.First+uint64(r.Transactions)-1, grouped(r.Transactions), grouped(r.Entries)))
	case err == nil:
		add("Transactions", "nothing is new")
	default:
		add("Transactions", "none")
	}
	switch {
	case r.FirstUse && r.Trusted.TxID > 0:
		code("Trusted at first use", r.Trusted)
		add("First use", "nothing was trusted before: the audit trusts what the server said when it began")
	case r.FirstUse:
		add("First use", "nothing was trusted before")
	case r.Trusted.TxID > 0:
		code("Trusted before", r.Trusted)
	}
	if err != nil {
		return list
	}
	if r.Signed {
		add("Signature", "by the server's key")
	}
	if r.State.TxID > 0 {
		code("Trusted now", r.State)
	} else {
		add("Trusted now", "nothing: the database is empty, and the next run is a first one, too")
	}
	return list
}

// plot draws what was checked by time: bars of each period, and lines of the sums.
func (p *page) plot(periods []immudb.AuditPeriod) {
	if len(periods) == 0 {
		return
	}
	last := periods[len(periods)-1]
	const layout = "2006-01-02 15:04:05"
	p.Period = periodText(periods[0].Length)
	p.Begin, p.End = periods[0].Begin.Format(layout), last.Begin.Add(last.Length).Format(layout)+" UTC"
	for _, of := range []struct {
		name  string
		value func(immudb.AuditPeriod) int64
	}{
		{"transactions", func(p immudb.AuditPeriod) int64 { return p.Transactions }},
		{"entries", func(p immudb.AuditPeriod) int64 { return p.Entries }},
	} {
		var highest, sum int64
		for _, period := range periods {
			highest, sum = max(highest, of.value(period)), sum+of.value(period)
		}
		bars := plot{Name: "New " + of.name + " in each period", Note: "highest: " + grouped(highest)}
		line := plot{Name: "Sum of " + of.name, Note: "total: " + grouped(sum)}
		width, points, until := 640/float64(len(periods)), []string{"0,99"}, int64(0)
		for i, period := range periods {
			n := of.value(period)
			until += n
			height := 98 * part(n, highest)
			if n > 0 {
				bars.Bars = append(bars.Bars, bar{decimal(float64(i) * width), decimal(100 - height), decimal(width * 0.9), decimal(height),
					fmt.Sprintf("%s UTC: %s", period.Begin.Format(layout), grouped(n))})
			}
			points = append(points, decimal(float64(i+1)*width)+","+decimal(99-97*part(until, sum)))
		}
		line.Line = strings.Join(points, " ")
		p.Plots = append(p.Plots, bars, line)
	}
}

func part(n, of int64) float64 { return float64(n) / float64(max(of, 1)) }

func decimal(f float64) string { return strconv.FormatFloat(f, 'f', 2, 64) }

// periodText is a length of time in its largest unit.
func periodText(d time.Duration) string {
	for _, unit := range []struct {
		name   string
		length time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second}} {
		switch n := d / unit.length; {
		case n == 1 && d%unit.length == 0:
			return "1 " + unit.name
		case n > 1 && d%unit.length == 0:
			return fmt.Sprintf("%d %ss", n, unit.name)
		}
	}
	return d.String()
}

// grouped is a number with its digits in groups of three: 1,234,567.
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
