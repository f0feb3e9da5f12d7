// Package sandbox takes from the process what it does not need once it has
// bound its addresses: another user's rights, capabilities, most of the file
// system, and the system calls that a DNS server never makes, to run a program
// among them. A bug then reaches as far as weir does, and no further.
//
// What the kernel does not have is left out and said; it refuses nothing that
// the configuration names.
package sandbox

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"
)

// Config says how far it goes.
type Config struct {
	// Enabled restricts the process. Linux only. Default false.
	Enabled bool `yaml:"enabled"`
	// User to become, by name or number, where weir is started as root. Default
	// none: the user that it is started as.
	User string `yaml:"user"`
	// Read are files and folders that may be read beside those that the
	// configuration names. Default none.
	Read []string `yaml:"read"`
}

// Validate says everything that is wrong with c.
func (c *Config) Validate() error {
	if c.User == "" {
		return nil
	}
	if !c.Enabled {
		return errors.New("user: means nothing while enabled is false")
	}
	uid, _, err := c.ids()
	if err == nil && uid == 0 {
		err = errors.New("is root")
	}
	if err != nil {
		return fmt.Errorf("user: %q: %w", c.User, err)
	}
	return nil
}

// ids are the numbers of User and its group.
func (c *Config) ids() (uid, gid int, err error) {
	u, err := user.Lookup(c.User)
	if err != nil {
		if u, err = user.LookupId(c.User); err != nil {
			if n, aerr := strconv.Atoi(c.User); aerr == nil && n > 0 {
				return n, n, nil // nobody in /etc/passwd, as in containers
			}
			return 0, 0, err
		}
	}
	if uid, err = strconv.Atoi(u.Uid); err == nil {
		gid, err = strconv.Atoi(u.Gid)
	}
	return uid, gid, err
}

// Paths are what the process needs of the file system.
type Paths struct {
	Read []string // files and folders; of a file its folder, so that it can be replaced
	// Own are weir's own folders, which are written with all below them. Those
	// that are missing are made, and with Config.User they become that user's.
	Own []string
	// Write are folders of others that are written, with all below them. Whose
	// they are stays as it is.
	Write []string
}

// Applied is what was done.
type Applied struct {
	User, Landlock, Seccomp, Capabilities bool
	Missing                               []string // what the kernel does not have, or would not do
}
