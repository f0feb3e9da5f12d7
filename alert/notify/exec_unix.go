//go:build unix

package notify

import (
	"os"
	"os/exec"
	"syscall"
)

// ownGroup has the program and all that it starts killed together, when its time
// is up: what a script waits for would go on without it, once for each try.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
			return os.ErrProcessDone // the group is gone
		}
		return nil
	}
}
