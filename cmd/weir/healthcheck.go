package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/weirdns/weir/web"
)

type healthcheckCmd struct {
	Admin string `placeholder:"ADDR" help:"Admin address of the running weir. Default: that of the configuration file, or the built-in one."`
	Conf  string `short:"c" name:"config" placeholder:"FILE" help:"Configuration file to take the admin address from."`
}

// healthTimeout is how long a healthy weir may take.
const healthTimeout = 3 * time.Second

// Run exits 0 if weir answers that it is ready: for HEALTHCHECK in a container
// that holds no other program.
func (c *healthcheckCmd) Run(std stdio) error {
	addr := c.Admin
	if addr == "" && c.Conf != "" {
		cfg, err := loadConfig(c.Conf)
		if err != nil {
			return err
		}
		if addr = cfg.Admin.Listen; addr == "" {
			return fmt.Errorf("healthcheck: %s switches the admin listener off", c.Conf)
		}
	}
	if addr == "" {
		addr = web.DefaultConfig().Listen
	}
	if _, err := netip.ParseAddrPort(addr); err != nil {
		return exitWith(exitUsage, fmt.Errorf("healthcheck: --admin: must be IP:port, got %q", addr))
	}
	client := http.Client{Timeout: healthTimeout}
	resp, err := client.Get("http://" + addr + "/readyz")
	if err != nil {
		return fmt.Errorf("healthcheck: not healthy: %s", whyNoAnswer(addr, err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return fmt.Errorf("healthcheck: not healthy: %s", whyNoAnswer(addr, err))
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("healthcheck: not ready: %s (HTTP status %s)", strings.TrimSpace(string(body)), resp.Status)
	}
	fmt.Fprintln(std.out, "ok")
	return nil
}

// whyNoAnswer is a failed request in words.
func whyNoAnswer(addr string, err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("nobody listens at %s: no weir runs, or its admin listener is elsewhere (see --admin, --config)", addr)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Sprintf("no answer from %s in %v", addr, healthTimeout)
	}
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err
	}
	return fmt.Sprintf("%s: %v", addr, err)
}
