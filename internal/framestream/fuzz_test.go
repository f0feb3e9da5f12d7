package framestream_test

import (
	"bytes"
	"testing"

	"github.com/weirdns/weir/internal/framestream"
)

// Whatever octets come, reading ends, takes no more than there are, and a control
// frame that is read as one of ours can be written again as one.
func FuzzReadControl(f *testing.F) {
	for _, kind := range []uint32{framestream.Accept, framestream.Start, framestream.Stop, framestream.Ready, framestream.Finish, 99} {
		f.Add(framestream.AppendControl(nil, kind, framestream.Dnstap)[4:])
		f.Add(framestream.AppendControl(nil, kind, "")[4:])
		f.Add(framestream.AppendControl(nil, kind, "protobuf:other")[4:])
	}
	f.Add([]byte{0, 0, 2, 1})
	f.Add([]byte{0, 0, 0, 12, 0, 0, 0, 2, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		kind, ours, err := framestream.ReadControl(r, framestream.Dnstap)
		if err != nil {
			return
		}
		content := ""
		if ours {
			content = framestream.Dnstap
		}
		again := bytes.NewReader(framestream.AppendControl(nil, kind, content))
		if n, err := framestream.ReadLength(again); n != 0 || err != nil {
			t.Fatalf("no escape: %d, %v", n, err)
		}
		if k, o, err := framestream.ReadControl(again, framestream.Dnstap); k != kind || !o || err != nil || again.Len() != 0 {
			t.Errorf("control frame %d reads as %d, %v, %v", kind, k, o, err)
		}
	})
}
