package main

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// The chart has a group of bars for each workload: the wall time of an operation, and the longest bar of each group
// is the slowest contender. Each group has its own scale; the figures are next to the bars.
const (
	chartWidth = 860
	labelWidth = 96  // contenders' names
	barWidth   = 560 // of the slowest
	barHeight  = 16
	barGap     = 3
	groupHead  = 24
	groupGap   = 18
)

const chartStyle = `
text { font: 12px system-ui, sans-serif; fill: #24292f }
.head { font-weight: 600; font-size: 13px }
.quiet { fill: #656d76 }
.immudb-go { fill: #1a7f4b } .official { fill: #9a6700 } .pgx { fill: #31688e } .floor { fill: #a0a7ae }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .quiet { fill: #9198a1 }
  .immudb-go { fill: #3fb97c } .official { fill: #d4a72c } .pgx { fill: #6cb0d9 } .floor { fill: #6e7681 }
}
`

// chart draws the results as a self-contained SVG image for light and dark pages.
func (r *results) chart() string {
	var b strings.Builder
	y := 0
	text := func(x, y int, class, s string) {
		fmt.Fprintf(&b, `<text x="%d" y="%d" class="%s">`, x, y, class)
		_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder does not fail
		b.WriteString("</text>\n")
	}
	y += 20
	text(8, y, "head", "Wall time of one operation: shorter is better")
	y += 18
	text(8, y, "quiet", "The floor is gRPC alone: requests encoded beforehand, answers not decoded. Each group has its own scale.")
	y += groupGap
	for _, o := range r.Outcomes {
		y += groupHead
		text(8, y-8, "head", o.Title)
		slowest := 0.0
		for _, e := range o.Entries {
			if len(e.Samples) > 0 {
				slowest = max(slowest, median(e.figures(wall)))
			}
		}
		for _, e := range o.Entries {
			middle := y + barHeight - 4
			text(8, middle, "quiet", e.Contender)
			if len(e.Samples) == 0 {
				text(labelWidth, middle, "quiet", "failed: "+shorten(e.Error, 110))
			} else {
				took := median(e.figures(wall))
				width := max(barWidth*took/slowest, 1)
				fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" rx="2" class="%s"/>`+"\n", labelWidth, y, width, barHeight, e.Contender)
				text(labelWidth+int(width)+8, middle, "", duration(took)+" per "+o.Unit)
			}
			y += barHeight + barGap
		}
		y += groupGap
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img" aria-label="Wall time of one operation by workload and contender">
<style>%s</style>
%s</svg>
`, chartWidth, y, chartStyle, b.String())
}

// shorten cuts s to n bytes or a little less.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
