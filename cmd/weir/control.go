package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/weirdns/weir/web"
)

const (
	// socketName is the control socket's name in the state folder.
	socketName = "weir.sock"
	// sniffSocketName is that of a sniffer, which can be asked for its history alone.
	sniffSocketName = "sniff.sock"
)

// routes are the operations of the control API. Each area has its own file with
// the handlers and the commands that call them.
func (s *service) routes() []web.Route {
	return slices.Concat(
		[]web.Route{
			{Pattern: "GET /api/v1/status", Handler: web.Answer(s.status), Public: true},
			{Pattern: "GET /api/v1/reload", Handler: web.Answer(s.reloadState)},
			{Pattern: "POST /api/v1/cache/flush", Handler: web.Answer(s.flushCache)},
		},
		s.listRoutes(),
		s.allowRoutes(),
		s.clientRoutes(),
		s.suspectRoutes(),
		s.explainRoutes(),
		s.recordRoutes(),
		s.dashboardRoutes(),
		s.alertRoutes(),
		s.unusualRoutes(),
		s.incidentRoutes(),
		s.modelRoutes(),
	)
}

// socketPath is where the control socket belongs, "" without a state folder.
func (s *service) socketPath() string {
	if s.stateless != nil {
		return ""
	}
	return filepath.Join(s.started.StateDir, socketName)
}

// controlFlags say which running weir is meant. Commands embed them.
type controlFlags struct {
	Socket string `placeholder:"PATH" help:"Control socket of the running weir. Default: weir.sock in the state folder."`
	Conf   string `short:"c" name:"config" placeholder:"FILE" help:"Configuration file of the running weir, to find its state folder."`
	State  string `placeholder:"DIR" help:"State folder of the running weir."`
}

// paths are where the socket may be, the likeliest first.
func (f *controlFlags) paths() ([]string, error) {
	switch {
	case f.Socket != "":
		return []string{f.Socket}, nil
	case f.State != "":
		return []string{filepath.Join(f.State, socketName)}, nil
	case f.Conf != "":
		cfg, err := loadConfig(f.Conf)
		if err != nil {
			return nil, err
		}
		return []string{filepath.Join(cfg.StateDir, socketName)}, nil
	}
	var out []string
	if dir := defaultStateDir(); dir != "" {
		out = append(out, filepath.Join(dir, socketName))
	}
	if system := filepath.Join(systemStateDir, socketName); len(out) == 0 || out[0] != system {
		out = append(out, system) // a service's, asked by a user
	}
	return out, nil
}

// errNoDaemon is that there is no weir at the other end.
var errNoDaemon = errors.New("no weir is running")

// onlySniffs is that the weir at the other end is a sniffer, which can be asked for
// its history alone.
type onlySniffs struct{ dir string }

func (e onlySniffs) Error() string {
	return "the weir of " + e.dir + " is a sniffer: it can be asked for its history (weir query, investigate, stats); its log, metrics and records say the rest"
}

// Is says that there is no weir that takes all questions.
func (e onlySniffs) Is(target error) bool { return target == errNoDaemon }

// connect finds the running weir.
func (f *controlFlags) connect() (*controlClient, error) {
	paths, err := f.paths()
	if err != nil {
		return nil, err
	}
	client, err := dial(paths)
	if client != nil || err != nil {
		return client, err
	}
	for _, path := range paths {
		if dir := filepath.Dir(path); f.Socket == "" && watchesNow(dir) {
			return nil, onlySniffs{dir}
		}
	}
	return nil, fmt.Errorf("%w: nobody answers at %s; see --socket, --state and --config", errNoDaemon, strings.Join(paths, " or "))
}

// connectHistory finds the running weir whose history is asked for, a sniffer too.
func (f *controlFlags) connectHistory() (*controlClient, error) {
	client, err := f.connect()
	if !errors.Is(err, errNoDaemon) || f.Socket != "" {
		return client, err
	}
	paths, pathErr := f.paths()
	if pathErr != nil {
		return nil, pathErr
	}
	for i, path := range paths {
		paths[i] = filepath.Join(filepath.Dir(path), sniffSocketName)
	}
	client, dialErr := dial(paths)
	if client == nil && dialErr == nil {
		dialErr = err // of the one that everything can be asked of
	}
	return client, dialErr
}

// dial returns a client of the first socket at which somebody is; nil if nobody is
// at any.
func dial(paths []string) (*controlClient, error) {
	for _, path := range paths {
		conn, err := net.Dial("unix", path)
		switch {
		case err == nil:
			_ = conn.Close() // it only showed that somebody is there
			return newControlClient(path), nil
		case errors.Is(err, fs.ErrPermission):
			return nil, fmt.Errorf("control socket %s: permission denied; ask as the user that weir runs as, or as root", path)
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED):
			return nil, fmt.Errorf("control socket %s: %w", path, err)
		}
	}
	return nil, nil
}

// controlClient speaks to the control socket of a running weir.
type controlClient struct {
	path string
	http http.Client
}

func newControlClient(path string) *controlClient {
	return &controlClient{path: path, http: http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}}
}

// maxAnswer bounds what is read of an answer, in octets.
const maxAnswer = 64 << 20

// call asks for one operation. in goes as the body and the answer's comes back
// in out, both in JSON; each may be nil. What weir answers as an error is the
// error.
func (c *controlClient) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://weir"+path, body)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("control socket %s: %w", c.path, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return c.refusal(resp)
	}
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(out); err != nil {
		return fmt.Errorf("control socket %s: answer: %w", c.path, err)
	}
	return nil
}

// refusal is what weir says in an answer that is no success.
func (c *controlClient) refusal(resp *http.Response) error {
	var f struct{ Error string }
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&f); err != nil || f.Error == "" {
		return fmt.Errorf("control socket %s: %s", c.path, resp.Status)
	}
	return errors.New(f.Error)
}
