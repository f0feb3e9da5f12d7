package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/weirdns/weir/web"
)

type healthcheckCmd struct {
	Admin string `placeholder:"ADDR" help:"Admin address of the running weir. Default: that of the configuration file, or the built-in one."`
	Conf  string `short:"c" name:"config" placeholder:"FILE" help:"Configuration file to take the admin address from."`
}

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
	client := http.Client{Timeout: 3 * time.Second}
	resp, err := client.Get("http://" + addr + "/readyz")
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("healthcheck: %s: %s", resp.Status, strings.TrimSpace(string(body)))
	}
	fmt.Fprintln(std.out, "ok")
	return nil
}
