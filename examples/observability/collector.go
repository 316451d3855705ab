package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
)

// collector receives traces by OTLP, as the OpenTelemetry Collector does, and keeps them.
type collector struct {
	coltrace.UnimplementedTraceServiceServer
	addr   string
	server *grpc.Server

	mu    sync.Mutex
	spans []*span
}

// span is a received span.
type span struct {
	*tracepb.Span
	scope    string // who made it
	children []*span
}

// startCollector starts a collector on a port of this machine.
func startCollector() (*collector, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &collector{addr: listener.Addr().String(), server: grpc.NewServer()}
	coltrace.RegisterTraceServiceServer(c.server, c)
	go func() { _ = c.server.Serve(listener) }() // it returns when stop is called
	return c, nil
}

func (c *collector) stop() { c.server.Stop() }

// Export receives spans.
func (c *collector) Export(_ context.Context, request *coltrace.ExportTraceServiceRequest) (*coltrace.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range request.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			name := scope.GetScope().GetName()
			for _, s := range scope.GetSpans() {
				c.spans = append(c.spans, &span{Span: s, scope: name[strings.LastIndex(name, "/")+1:]})
			}
		}
	}
	return &coltrace.ExportTraceServiceResponse{}, nil
}

// trees are the traces of requests, in the order in which they began: their first spans, with those below them.
func (c *collector) trees() []*span {
	c.mu.Lock()
	defer c.mu.Unlock()
	byID := map[string]*span{}
	slices.SortStableFunc(c.spans, func(a, b *span) int { return cmp.Compare(a.StartTimeUnixNano, b.StartTimeUnixNano) })
	for _, s := range c.spans {
		byID[string(s.SpanId)] = s
		s.children = nil
	}
	var roots []*span
	for _, s := range c.spans {
		if parent := byID[string(s.ParentSpanId)]; parent != nil && bytes.Equal(parent.TraceId, s.TraceId) {
			parent.children = append(parent.children, s)
		} else if s.Kind == tracepb.Span_SPAN_KIND_SERVER {
			roots = append(roots, s)
		}
	}
	return roots
}

// attribute is the value of an attribute that is a text, or "".
func (s *span) attribute(name string) string {
	for _, a := range s.Attributes {
		if a.Key == name {
			return a.Value.GetStringValue()
		}
	}
	return ""
}

// print prints the span and those below it as a tree.
func (s *span) print(out io.Writer) {
	fmt.Fprintf(out, "\n%s\n", s.line(""))
	s.printChildren(out, "")
}

func (s *span) printChildren(out io.Writer, indent string) {
	for i, child := range s.children {
		branch, below := "├─ ", "│  "
		if i == len(s.children)-1 {
			branch, below = "└─ ", "   "
		}
		fmt.Fprintln(out, child.line(indent+branch))
		child.printChildren(out, indent+below)
	}
}

// line is a span in one line: its name, its duration, who made it, and its error.
func (s *span) line(indent string) string {
	took := time.Duration(s.EndTimeUnixNano - s.StartTimeUnixNano)
	text := fmt.Sprintf("%-44s %8.2f ms  %s", indent+s.Name, took.Seconds()*1000, s.scope)
	if code := cmp.Or(s.attribute("db.response.status_code"), s.attribute("error.type")); code != "" {
		text += "  error " + code
	}
	if cause := s.attribute("immudb.retry.cause"); cause != "" {
		text += "  because of " + cause
	}
	return text
}
