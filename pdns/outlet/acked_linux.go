package outlet

import (
	"context"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// ackPoll is how often it is looked whether the other side has what was sent.
const ackPoll = time.Millisecond

// acknowledged waits until the other side's system has taken all that was written to
// a TCP connection, its end included. One that was closed there meanwhile breaks it.
func acknowledged(ctx context.Context, conn *net.TCPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	for {
		left := 0
		var failed error
		err := raw.Control(func(fd uintptr) {
			if left, failed = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); failed != nil {
				return
			}
			var code int
			if code, failed = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR); failed == nil && code != 0 {
				failed = unix.Errno(code)
			}
		})
		switch {
		case err != nil:
			return err
		case failed != nil:
			return failed
		case left == 0:
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(ackPoll):
		}
	}
}
