package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/note"

	"github.com/immudb-go/immudb"
)

// exchange is what is done with the checkpoint of an audit that has passed: it is
// compared with those of others, cosigned by witnesses, and published.
type exchange struct {
	keyFile            string
	publish            string
	compare, witnesses []peer
}

// peer is another auditor, or a witness.
type peer struct {
	at  string // a directory or a URL
	key string // as [note.NewVerifier] or a witness's key reads it
}

// parsePeer reads place,key. A key holds no comma.
func parsePeer(text string) (peer, error) {
	i := strings.LastIndexByte(text, ',')
	if i <= 0 || i == len(text)-1 {
		return peer{}, errors.New("want a directory or URL, a comma, and a key")
	}
	return peer{text[:i], text[i+1:]}, nil
}

func (x *exchange) flags(fs *flag.FlagSet) {
	add := func(list *[]peer) func(string) error {
		return func(text string) error {
			p, err := parsePeer(text)
			*list = append(*list, p)
			return err
		}
	}
	fs.StringVar(&x.keyFile, "key", "", "sign the checkpoint with the key in this `file`; see immudb-audit key -help")
	fs.StringVar(&x.publish, "publish", "", "write the checkpoint to this `dir` or URL")
	fs.Func("compare", "compare it with the checkpoint of another auditor: `dir,key` or URL,key", add(&x.compare))
	fs.Func("witness", "have a witness cosign it: `URL,key`", add(&x.witnesses))
}

func (x *exchange) wanted() bool { return x.publish != "" || len(x.compare)+len(x.witnesses) > 0 }

// check finds mistakes in the flags, before an audit that may take long.
func (x *exchange) check() error {
	if !x.wanted() {
		return nil
	}
	if x.keyFile == "" {
		return errors.New("-publish, -compare and -witness need -key")
	}
	if _, _, err := readKey(x.keyFile); err != nil {
		return err
	}
	for _, p := range x.compare {
		if _, err := note.NewVerifier(p.key); err != nil {
			return fmt.Errorf("-compare %s: the key is not that of an auditor: %w", redacted(p.at), err)
		}
	}
	for _, p := range x.witnesses {
		if _, err := witnessKey(p.key); err != nil {
			return fmt.Errorf("-witness %s: the key is not that of a witness: %w", redacted(p.at), err)
		}
	}
	return nil
}

// exchanged is what has come of an exchange.
type exchanged struct {
	Checkpoint string   `json:"checkpoint"` // the signed note
	Compared   []string `json:"compared,omitempty"`
	Cosigned   []string `json:"cosigned,omitempty"`
	Published  string   `json:"published,omitempty"`
	SplitView  []string `json:"split_view,omitempty"` // two signed notes that cannot both be right
}

// run makes the checkpoint of the trusted history. After a split view nothing is
// published. Auditors and witnesses that do not answer keep nothing from being published.
func (x *exchange) run(ctx context.Context, v *immudb.Verifier) (*exchanged, error) {
	signer, own, err := readKey(x.keyFile)
	if err != nil {
		return nil, err
	}
	c, err := v.Checkpoint(ctx, own.Name())
	if err != nil {
		return nil, err
	}
	signed, err := note.Sign(&note.Note{Text: c.String()}, signer)
	if err != nil {
		return nil, err
	}
	done := &exchanged{Checkpoint: string(signed)}
	// compare keeps the evidence of the first split view.
	compare := func(other []byte, key note.Verifier) error {
		own, err := compareWith(ctx, v, c, other, key)
		if !errors.Is(err, immudb.ErrSplitView) || done.SplitView != nil {
			return err
		}
		mine, failed := note.Sign(&note.Note{Text: own.String()}, signer)
		done.SplitView = []string{string(mine), string(other)}
		return errors.Join(err, failed)
	}
	if x.publish != "" {
		switch earlier, err := fetchCheckpoint(ctx, x.publish); {
		case errors.Is(err, os.ErrNotExist): // the first one
		case err != nil:
			return done, err
		default:
			if err := compare(earlier, own); err != nil {
				return done, fmt.Errorf("the checkpoint that was published before: %w", err)
			}
		}
	}
	var differ error // with each of them, so that one that cannot be read hides no split view
	for _, p := range x.compare {
		key, err := note.NewVerifier(p.key)
		if err != nil {
			return done, err
		}
		theirs, err := fetchCheckpoint(ctx, p.at)
		if err == nil {
			err = compare(theirs, key)
		}
		if err != nil {
			differ = both(differ, fmt.Errorf("the checkpoint of %s: %w", key.Name(), err))
			continue
		}
		done.Compared = append(done.Compared, key.Name())
	}
	if isRefused(differ) {
		return done, differ
	}
	silent := differ
	for _, p := range x.witnesses {
		lines, name, err := cosign(ctx, v, c, signed, p)
		switch {
		case isRefused(err):
			return done, both(silent, err)
		case err != nil:
			silent = both(silent, err)
		default:
			done.Checkpoint += lines
			done.Cosigned = append(done.Cosigned, name)
		}
	}
	if x.publish != "" {
		if err := store(ctx, x.publish, []byte(done.Checkpoint)); err != nil {
			return done, both(silent, err)
		}
		done.Published = redacted(x.publish)
	}
	return done, silent
}

// isRefused tells whether another party has seen something else than what the server
// shows here.
func isRefused(err error) bool {
	return errors.Is(err, immudb.ErrTampered) || errors.Is(err, immudb.ErrServerOlder)
}

// both is errors.Join in one line, as reports have it.
func both(a, b error) error {
	if a == nil || b == nil {
		return errors.Join(a, b)
	}
	return fmt.Errorf("%w; %w", a, b)
}

// compareWith proves that the signed checkpoint of another auditor is one of the
// history that c is of. After a split view it returns the checkpoint of that history
// that has the other one's size: the two cannot both be right.
func compareWith(ctx context.Context, v *immudb.Verifier, c immudb.Checkpoint, signed []byte, key note.Verifier) (own immudb.Checkpoint, err error) {
	n, err := note.Open(signed, note.VerifierList(key))
	if err != nil {
		return own, err
	}
	var theirs log.Checkpoint
	if rest, err := theirs.Unmarshal([]byte(n.Text)); err != nil || len(rest) > 0 {
		return own, fmt.Errorf("it is no checkpoint of a transparency log (%v)", err)
	}
	if theirs.Size == 0 {
		return own, nil
	}
	if theirs.Size > c.Size {
		return own, fmt.Errorf("%w: somebody has seen %d transactions, and the server shows %d", immudb.ErrServerOlder, theirs.Size, c.Size)
	}
	own = immudb.Checkpoint{Origin: c.Origin, Size: theirs.Size, Root: c.Root}
	if theirs.Size < c.Size {
		if own.Root, _, err = v.Consistency(ctx, theirs.Size, c); err != nil {
			return own, err
		}
	}
	if string(own.Root[:]) != string(theirs.Hash) {
		return own, fmt.Errorf("%w: its first %d transactions are others", splitView{}, theirs.Size)
	}
	return own, nil
}

// splitView is [immudb.ErrSplitView], and so a kind of tampering.
type splitView struct{}

func (splitView) Error() string { return immudb.ErrSplitView.Error() }

func (splitView) Is(target error) bool {
	return target == immudb.ErrSplitView || target == immudb.ErrTampered
}

const keyUsage = `usage: immudb-audit key -out file name

Makes a key pair of an auditor and writes it to the file, which must not exist yet. The
public key, for others' -compare, is printed. The name is that of the
history as this auditor sees it, such as auditor.example.com/ledger.
`

// makeKey runs "immudb-audit key".
func makeKey(args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("key", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	out := fs.String("out", "", "")
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stderr, keyUsage)
		return statusOK
	}
	if err != nil || *out == "" || fs.NArg() != 1 {
		fmt.Fprint(stderr, keyUsage)
		return statusUsage
	}
	private, public, err := note.GenerateKey(rand.Reader, fs.Arg(0))
	if err == nil {
		_, err = note.NewVerifier(public) // refuses names with spaces and plus signs
	}
	if err != nil {
		fmt.Fprintln(stderr, "immudb-audit: the name:", err)
		return statusUsage
	}
	if err := writeNew(*out, private+"\n"+public+"\n"); err != nil {
		fmt.Fprintln(stderr, "immudb-audit:", err)
		return statusUnchecked
	}
	fmt.Fprintln(stdout, public)
	return statusOK
}

func writeNew(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// readKey reads what makeKey has written. No error quotes the file.
func readKey(file string) (note.Signer, note.Verifier, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("-key: %w", err)
	}
	keys := strings.Fields(string(text))
	if len(keys) != 2 {
		return nil, nil, fmt.Errorf("-key: %s holds no keys as immudb-audit key makes them", file)
	}
	signer, err := note.NewSigner(keys[0])
	if err != nil {
		return nil, nil, fmt.Errorf("-key: the private key in %s is damaged", file)
	}
	own, err := note.NewVerifier(keys[1])
	if err != nil || own.Name() != signer.Name() || own.KeyHash() != signer.KeyHash() {
		return nil, nil, fmt.Errorf("-key: the public key in %s is not that of the private key", file)
	}
	return signer, own, nil
}
