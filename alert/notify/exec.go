package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/weirdns/weir/alert"
)

// program runs a command for each notification.
type program struct{ argv []string }

// killWait is what a program that was killed, and its children, have to let go of
// their pipes.
const killWait = time.Second

// Send runs the program, in a process group that ends with the time-out, with n as JSON on its standard input, and without a
// shell. Its environment is empty but for a path; what it prints is not read.
func (p *program) Send(ctx context.Context, n *alert.Notification) error {
	data, err := json.Marshal(n)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, p.argv[0], p.argv[1:]...)
	cmd.Stdin = bytes.NewReader(append(data, '\n'))
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "WEIR_ALERT_ID=" + n.ID}
	cmd.Dir = "/"
	cmd.WaitDelay = killWait
	ownGroup(cmd)
	err = cmd.Run()
	if ctx.Err() != nil {
		return context.DeadlineExceeded
	}
	var status *exec.ExitError
	if errors.As(err, &status) {
		return fmt.Errorf("the program ends with %s", status)
	}
	return err
}
