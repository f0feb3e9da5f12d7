package quicdns

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
)

// Of a batch only datagrams of those who are allowed are seen, whole, in order,
// each with its own sender, and each in the buffer of its place: the reader
// gives that back to where it took it from.
func TestOnlyAllowedDatagramsComeThroughTheDoor(t *testing.T) {
	server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	friend := netip.MustParseAddr("127.0.0.1")
	var from [2]*net.UDPConn
	for i := range from {
		from[i], err = net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, byte(i+1))}, server.LocalAddr().(*net.UDPAddr))
		if err != nil {
			t.Skip("no second loopback address: ", err)
		}
		defer from[i].Close()
	}
	const batch = 8
	// Strangers first, last, alone and in between; lengths differ.
	var want []string
	order := []int{1, 1, 0, 1, 0, 0, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1}
	for i, who := range order {
		text := fmt.Sprintf("%0*d of %d", 3+i%7, i, who)
		if _, err := from[who].Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if who == 0 {
			want = append(want, text)
		}
	}
	d := newDoor(server, func(a netip.Addr) bool { return a == friend })
	ms := make([]ipv4.Message, batch)
	first := make([]*byte, batch)
	for i := range ms {
		ms[i].Buffers, ms[i].OOB = [][]byte{make([]byte, 1500)}, make([]byte, 128)
		first[i] = &ms[i].Buffers[0][0]
	}
	_ = server.SetReadDeadline(time.Now().Add(30 * time.Second))
	var got []string
	for len(got) < len(want) {
		n, err := d.ReadBatch(ms, 0)
		if err != nil {
			t.Fatalf("%v after %q", err, got)
		}
		for i := range ms[:n] {
			if addrOf(ms[i].Addr) != friend || &ms[i].Buffers[0][0] != first[i] {
				t.Errorf("message %d is from %s, or in another's buffer", i, ms[i].Addr)
			}
			got = append(got, string(ms[i].Buffers[0][:ms[i].N]))
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
