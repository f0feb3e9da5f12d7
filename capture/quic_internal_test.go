package capture

import "testing"

// FuzzCryptoFrames: what a packet decrypts to is as hostile as the packet.
func FuzzCryptoFrames(f *testing.F) {
	f.Add([]byte("\x00\x00\x01\x02\x00\x00\x00\x00\x06\x00\x04\x01\x00\x00\x00\x06\x04\x02ab"))
	f.Add([]byte("\x03\x40\x7f\x00\x01\x00\x00\x00\x01\x01\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h := new(hello)
		total := 0
		cryptoFrames(b, func(off int, data []byte) {
			total += len(data)
			h.add(off, data)
		})
		if total > len(b) {
			t.Errorf("%d octets out of %d", total, len(b))
		}
		h.name()
	})
}
