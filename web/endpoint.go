package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"
)

// endpoint is a listener and what is served on it.
type endpoint struct {
	name     string // for errors
	listener net.Listener
	server   *http.Server
	socket   string // the file that goes when the listener does; "": none
}

func newEndpoint(name string, handler http.Handler, log *zap.Logger) *endpoint {
	return &endpoint{name: name, server: &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          zap.NewStdLog(log),
	}}
}

func (e *endpoint) listenTCP(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listen on %s for %s: %w", addr, e.name, err)
	}
	e.listener = l
	return nil
}

// listenSocket binds a Unix socket that only the user weir runs as, and root,
// can connect to. It is made in a folder of its own that nobody else can enter
// and then moved into place: there is no moment in which it has other
// permissions, and one that a killed weir left behind is replaced. The caller
// makes sure that no living weir has it.
func (e *endpoint) listenSocket(path string) (err error) {
	nest := filepath.Join(filepath.Dir(path), ".sock") // short: a socket's path has about 100 octets at most
	defer func() {
		err = errors.Join(err, os.RemoveAll(nest))
		if err != nil {
			err = fmt.Errorf("listen on %s for %s: %w", path, e.name, err)
		}
	}()
	if err := os.RemoveAll(nest); err != nil {
		return err
	}
	if err := os.Mkdir(nest, 0o700); err != nil {
		return err
	}
	made := filepath.Join(nest, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: made, Net: "unix"})
	if err != nil {
		return err
	}
	l.SetUnlinkOnClose(false) // it would look for the name that it was made with
	if err := errors.Join(os.Chmod(made, 0o600), os.Rename(made, path)); err != nil {
		_ = l.Close() // nothing was served
		return err
	}
	e.listener, e.socket = l, path
	return nil
}

// close releases the listener of an endpoint that will not run.
func (e *endpoint) close() {
	if e.listener != nil {
		_ = e.listener.Close() // nothing was served
		e.forget()
	}
}

func (e *endpoint) forget() {
	if e.socket != "" {
		_ = os.Remove(e.socket) // where it stays, the next start replaces it
	}
}

// shutdownTimeout is for requests under way; a scrape takes milliseconds, and
// operations that take long end with ctx.
const shutdownTimeout = 2 * time.Second

// run serves until ctx ends, lets requests under way finish, and returns when
// all that it started has ended.
func (e *endpoint) run(ctx context.Context) error {
	if e.listener == nil {
		<-ctx.Done()
		return nil
	}
	defer e.forget()
	e.server.BaseContext = func(net.Listener) context.Context { return ctx }
	served := make(chan error, 1)
	go func() { served <- e.server.Serve(e.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("%s: %w", e.name, err)
	case <-ctx.Done():
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := e.server.Shutdown(bounded); err != nil {
		_ = e.server.Close() // the polite way took too long
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("%s: %w", e.name, err)
	}
	return nil
}
