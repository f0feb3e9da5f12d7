package inherit_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirdns/weir/internal/inherit"
)

// TestMain is also the child that sockets are handed to.
func TestMain(m *testing.M) {
	if os.Getenv("INHERIT_CHILD") != "" {
		child(os.Args[1:])
		return
	}
	os.Exit(m.Run())
}

// child takes the sockets of the addresses given, says what is left, answers one
// datagram and one connection of the first, and ends.
func child(addrs []string) {
	s, err := inherit.FromEnv(os.Getenv, os.Getpid())
	if err != nil {
		fmt.Println("error:", err)
		return
	}
	udp, tcp := s.UDP(addrs[0]), s.TCP(addrs[0])
	fmt.Println("left:", strings.Join(s.Left(), ", "))
	s.Close()
	if len(udp) != 1 || tcp == nil {
		fmt.Printf("took %d, %v\n", len(udp), tcp)
		return
	}
	buf := make([]byte, 100)
	if n, from, err := udp[0].ReadFrom(buf); err == nil {
		_, _ = udp[0].WriteTo(bytes.ToUpper(buf[:n]), from)
	}
	if c, err := tcp.Accept(); err == nil {
		_, _ = c.Write([]byte("HELLO"))
		c.Close()
	}
}

// files are a UDP and a TCP socket on one port.
func files(t *testing.T) (addr string, out []*os.File) {
	t.Helper()
	for {
		p, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		l, err := net.Listen("tcp4", p.LocalAddr().String())
		if err != nil {
			continue // the port is somebody's, over TCP
		}
		defer l.Close()
		u, err1 := p.(*net.UDPConn).File()
		f, err2 := l.(*net.TCPListener).File()
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		t.Cleanup(func() { u.Close(); f.Close() })
		return p.LocalAddr().String(), []*os.File{u, f}
	}
}

// run starts the child as a service manager does. pid is what LISTEN_PID says,
// "$$" is the child.
func run(t *testing.T, pid string, env []string, fds []*os.File, args ...string) (out *bytes.Buffer, wait func()) {
	t.Helper()
	cmd := exec.Command("/bin/sh", append([]string{"-c", `LISTEN_PID=` + pid + ` exec "$0" "$@"`, os.Args[0]}, args...)...)
	cmd.Env = append(os.Environ(), append(env, "INHERIT_CHILD=1")...)
	cmd.ExtraFiles = fds
	out = new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return out, func() {
		t.Helper()
		if err := cmd.Wait(); err != nil {
			t.Errorf("child: %v\n%s", err, out)
		}
	}
}

// What a client sends before the process is there is answered by it.
func TestAChildServesTheSocketsThatItIsHanded(t *testing.T) {
	addr, fds := files(t)
	_, others := files(t)
	other, _ := net.FilePacketConn(others[0])
	defer other.Close()
	u, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := u.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	out, wait := run(t, "$$", []string{"LISTEN_FDS=3", "LISTEN_FDNAMES=dns:dns:odd"}, append(fds, others[0]), addr)
	_ = u.SetDeadline(time.Now().Add(time.Minute))
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	buf := make([]byte, 100)
	if n, err := u.Read(buf); string(buf[:n]) != "HELLO" {
		t.Errorf("over UDP: %q, %v", buf[:n], err)
	}
	if got, err := io.ReadAll(c); string(got) != "HELLO" {
		t.Errorf("over TCP: %q, %v", got, err)
	}
	wait()
	if want := "left: " + other.LocalAddr().String() + "/udp (odd)\n"; out.String() != want {
		t.Errorf("the child says %q, want %q", out, want)
	}
}

// Variables that are for another process are none of ours: whatever its
// descriptors are, they are not taken.
func TestNothingIsTakenThatIsForAnotherProcess(t *testing.T) {
	addr, fds := files(t)
	for _, env := range [][]string{{"LISTEN_FDS=2"}, {}} {
		pid := strconv.Itoa(os.Getpid())
		if len(env) == 0 {
			pid = "$$"
		}
		out, wait := run(t, pid, env, fds, addr)
		wait()
		if out.String() != "left: \ntook 0, <nil>\n" {
			t.Errorf("%v: the child says %q", env, out)
		}
	}
}

func TestWhatIsNoSocketIsAnError(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for env, want := range map[string]string{
		"LISTEN_FDS=1":    `inherited socket 0 "dns"`,
		"LISTEN_FDS=-1":   "LISTEN_FDS: must be 0 to 256",
		"LISTEN_FDS=257":  "LISTEN_FDS: must be 0 to 256",
		"LISTEN_FDS=many": "LISTEN_FDS: must be 0 to 256",
	} {
		out, wait := run(t, "$$", []string{env, "LISTEN_FDNAMES=dns"}, []*os.File{file}, "127.0.0.1:53")
		wait()
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s: %q, want %q in it", env, out, want)
		}
	}
}
