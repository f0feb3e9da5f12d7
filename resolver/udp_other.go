//go:build !linux

package resolver

import (
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
)

const (
	batchSize        = 1
	reusePortSpreads = false
)

func reusePort(_, _ string, _ syscall.RawConn) error { return nil }

func enlarge(*net.UDPConn) {}

func wantDestination(*net.UDPConn) error { return nil }

// batch is a batch of one, where the system has no call for more.
type batch struct {
	conn   *net.UDPConn
	buffer [maxQuery]byte
	n      int
	from   netip.AddrPort
}

func newBatch(conn *net.UDPConn) (*batch, error) { return &batch{conn: conn}, nil }

func (b *batch) read() (int, error) {
	n, from, err := b.conn.ReadFromUDPAddrPort(b.buffer[:])
	b.n, b.from = n, from
	return 1, err
}

// drain reads nothing: there is no read here that does not wait.
func (b *batch) drain() int { return 0 }

func (b *batch) message(int) []byte      { return b.buffer[:b.n] }
func (b *batch) control(int) []byte      { return nil }
func (b *batch) peer(int) netip.AddrPort { return b.from }

func (b *batch) write(ready []*request, failed *atomic.Uint64) {
	for _, r := range ready {
		if len(r.out) == 0 {
			continue
		}
		if _, err := b.conn.WriteToUDPAddrPort(r.out, r.peer); err != nil {
			failed.Add(1)
		}
	}
}
