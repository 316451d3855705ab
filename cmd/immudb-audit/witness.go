package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/immudb-go/immudb"
)

// witnessKey reads the public key of a witness, whose signatures are those of
// c2sp.org/tlog-cosignature. A plain Ed25519 key is taken for the same key.
func witnessKey(text string) (note.Verifier, error) {
	if key, err := fnote.NewVerifierForCosignatureV1(text); err == nil {
		return key, nil
	}
	text, err := fnote.VKeyToCosignatureV1(text)
	if err != nil {
		return nil, err
	}
	return fnote.NewVerifierForCosignatureV1(text)
}

// cosign has a witness cosign the signed checkpoint c, by the protocol of
// c2sp.org/tlog-witness, and returns the signature lines that the witness adds and its
// name. The witness has a size of its own, the one that it cosigned last, and takes only
// a history that extends it.
func cosign(ctx context.Context, v *immudb.Verifier, c immudb.Checkpoint, signed []byte, p peer) (lines, name string, err error) {
	key, err := witnessKey(p.key)
	if err != nil {
		return "", "", err
	}
	fail := func(err error) (string, string, error) {
		return "", "", fmt.Errorf("the witness %s: %w", key.Name(), err)
	}
	for old, tries := uint64(0), 0; ; tries++ {
		body, size, err := addCheckpoint(ctx, v, c, signed, p.at, old)
		switch {
		case errors.Is(err, errOtherSize) && size > c.Size:
			return fail(fmt.Errorf("%w: it has seen %d transactions, and the server shows %d", immudb.ErrServerOlder, size, c.Size))
		case errors.Is(err, errOtherSize) && tries < 3: // others may have it cosign meanwhile
			old = size
			continue
		case err != nil:
			return fail(err)
		}
		n, err := note.Open(append(bytes.Clone(signed), body...), note.VerifierList(key))
		if err != nil || n.Text != c.String() {
			return fail(errors.New("its answer is no cosignature of the checkpoint by the key given"))
		}
		for _, s := range n.Sigs {
			lines += fmt.Sprintf("— %s %s\n", s.Name, s.Base64)
		}
		return lines, key.Name(), nil
	}
}

// errOtherSize: the witness has cosigned another size last.
var errOtherSize = errors.New("it has cosigned another size than the one that was asked for")

// What is read of others, in bytes, and how long they may take for an answer.
const (
	maxNote = 1 << 20
	maxWait = 30 * time.Second
)

// addCheckpoint makes the request of tlog-witness. With errOtherSize size is that of the
// witness.
func addCheckpoint(ctx context.Context, v *immudb.Verifier, c immudb.Checkpoint, signed []byte, at string, old uint64) (body []byte, size uint64, err error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "old %d\n", old)
	if old > 0 && old < c.Size {
		_, path, err := v.Consistency(ctx, old, c)
		if err != nil {
			return nil, 0, err
		}
		for _, d := range path {
			fmt.Fprintln(&b, base64.StdEncoding.EncodeToString(d[:]))
		}
	}
	fmt.Fprintf(&b, "\n%s", signed)
	status, kind, body, err := request(ctx, http.MethodPost, strings.TrimSuffix(at, "/")+"/add-checkpoint", b.Bytes())
	switch {
	case err != nil:
		return nil, 0, err
	case status == http.StatusOK:
		return body, 0, nil
	case status == http.StatusConflict && isSize(kind):
		if size, err = strconv.ParseUint(strings.TrimSpace(string(body)), 10, 64); err != nil {
			return nil, 0, errors.New("its answer has no size")
		}
		return nil, size, errOtherSize
	case status == http.StatusConflict, status == http.StatusUnprocessableEntity:
		return nil, 0, fmt.Errorf("%w: it has cosigned another history (%d)", splitView{}, status)
	case status == http.StatusNotFound:
		return nil, 0, fmt.Errorf("it does not know the history %s: its operator must add it", c.Origin)
	case status == http.StatusForbidden:
		return nil, 0, errors.New("it does not know the key of -key: its operator must add it")
	}
	return nil, 0, fmt.Errorf("it answers with status %d", status)
}

// isSize tells whether an answer is the size that the witness cosigned last.
func isSize(kind string) bool {
	kind, _, err := mime.ParseMediaType(kind)
	return err == nil && kind == "text/x.tlog.size"
}

// client does not wait for ever.
var client = &http.Client{Timeout: maxWait}

func request(ctx context.Context, method, at string, body []byte) (status int, kind string, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, method, at, bytes.NewReader(body))
	if err != nil {
		return 0, "", nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, maxNote))
	return resp.StatusCode, resp.Header.Get("Content-Type"), answer, err
}

// redacted is a place without the password in a URL.
func redacted(at string) string {
	if u, err := url.Parse(at); err == nil && isURL(at) {
		return u.Redacted()
	}
	return at
}

func isURL(at string) bool {
	return strings.HasPrefix(at, "https://") || strings.HasPrefix(at, "http://")
}

// checkpointName is the file of a checkpoint in a directory, as c2sp.org/tlog-tiles
// names it.
const checkpointName = "checkpoint"

// fetchCheckpoint reads a published checkpoint. If there is none the error matches
// [os.ErrNotExist].
func fetchCheckpoint(ctx context.Context, at string) ([]byte, error) {
	if !isURL(at) {
		return os.ReadFile(filepath.Join(at, checkpointName))
	}
	at = strings.TrimSuffix(at, "/") + "/" + checkpointName
	status, _, body, err := request(ctx, http.MethodGet, at, nil)
	switch {
	case err != nil:
		return nil, err
	case status == http.StatusNotFound:
		return nil, fmt.Errorf("%s: %w", redacted(at), os.ErrNotExist)
	case status != http.StatusOK:
		return nil, fmt.Errorf("%s answers with status %d", redacted(at), status)
	}
	return body, nil
}

// store publishes a checkpoint: it replaces the file in a directory, or is put to a URL.
func store(ctx context.Context, at string, text []byte) error {
	if !isURL(at) {
		if err := os.MkdirAll(at, 0o755); err != nil {
			return err
		}
		file := filepath.Join(at, checkpointName)
		if err := replaceFile(file, text); err != nil {
			return err
		}
		return os.Chmod(file, 0o644) // others are to read it
	}
	at = strings.TrimSuffix(at, "/") + "/" + checkpointName
	status, _, _, err := request(ctx, http.MethodPut, at, text)
	if err == nil && status/100 != 2 {
		err = fmt.Errorf("%s answers with status %d", redacted(at), status)
	}
	return err
}
