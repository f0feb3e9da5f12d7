package capture

import (
	"testing"

	"golang.org/x/net/bpf"
)

// passes runs the filter on an Ethernet frame, in the machine of x/net/bpf: the
// kernel's own has the frame's type elsewhere, and its offsets begin behind it.
func passes(tb testing.TB, s filterSpec, frame []byte) bool {
	tb.Helper()
	raw, err := filter(s, bpf.LoadAbsolute{Off: 12, Size: 2}, 14)
	if err != nil {
		tb.Fatal(err)
	}
	ins, all := bpf.Disassemble(raw)
	if !all {
		tb.Fatal("not all of the filter is BPF")
	}
	vm, err := bpf.NewVM(ins)
	if err != nil {
		tb.Fatal(err)
	}
	n, err := vm.Run(frame)
	if err != nil {
		tb.Fatal(err)
	}
	return n > 0
}

// Passes and Decodes are for the tests outside of the package, which have the
// frames: whether the filter lets a frame through, and whether the decoder finds
// DNS in it.
func Passes(tb testing.TB, ports []uint16, tunnels, encrypted bool, frame []byte) bool {
	return passes(tb, filterSpec{ports: ports, tunnels: tunnels, encrypted: encrypted}, frame)
}

// The kernel takes 4096 instructions.
func TestTheLargestFilterFits(t *testing.T) {
	s := filterSpec{tunnels: true, encrypted: true}
	for p := range maxPorts {
		s.ports = append(s.ports, uint16(1000+p))
	}
	raw, err := filter(s, bpf.LoadExtension{Num: bpf.ExtProto}, 0)
	if err != nil || len(raw) > 4096 {
		t.Errorf("%d instructions, %v", len(raw), err)
	}
	if raw, err := spread(); err != nil || len(raw) > 4096 {
		t.Errorf("spread: %d instructions, %v", len(raw), err)
	}
}
