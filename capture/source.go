package capture

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// source yields packets: io.EOF at the end, io.ErrUnexpectedEOF if that comes
// inside of a packet, anything else where the bytes make no sense.
type source interface {
	next() (packet, error)
}

// Magic numbers, as the first octets read in big-endian order.
const (
	magicMicro     = 0xa1b2c3d4
	magicMicroSwap = 0xd4c3b2a1
	magicNano      = 0xa1b23c4d
	magicNanoSwap  = 0x4d3cb2a1
	magicModified  = 0xa1b2cd34 // Kuznetzov's, of some Linux systems of old
	magicModSwap   = 0x34cdb2a1
	magicPcapng    = 0x0a0d0d0a
	magicGzip      = 0x1f8b // two octets
	magicZstd      = 0x28b52ffd
	magicLZ4       = 0x04224d18
	magicFrames    = 0 // the escape in front of a control frame
)

const (
	// maxPacket is the largest packet that is believed: the largest snap length
	// that tcpdump and Wireshark use. More is a damaged file.
	maxPacket = 256 << 10
	// readBuffer has room for the largest packet and what is in front of it.
	readBuffer = 2 * maxPacket
	// maxZstdWindow is what zstd itself takes without being asked for more; a
	// file from it needs 8 MiB at most unless it was told --long.
	maxZstdWindow = 128 << 20
)

// ErrFormat means that a file is no capture, or of a format that is not read.
var ErrFormat = errors.New("neither pcap, pcapng, snoop, ERF nor dnstap")

// otherFormats are captures that are not read, by what they begin with.
var otherFormats = [...]struct{ magic, name string }{
	{"RTSS", "Microsoft's Network Monitor 1"},
	{"GMBU", "Microsoft's Network Monitor 2"},
	{"TRSNIFF data", "Network General's Sniffer for DOS"},
	{"XCP\x00", "Network General's Sniffer for Windows"},
	{"\x7fver", "WildPackets' EtherPeek"},
	{"btsnoop\x00", "btsnoop, of Bluetooth"},
	{"ObserverPktBuffer", "Network Instruments' Observer"},
	{"iptrace ", "AIX' iptrace"},
	{"NetS", "Citrix' NetScaler"},
	{"\xaa\xaa\xaa\xaa", "InfoVista's 5View"},
	{"\xfd7zXZ\x00", "xz"},
	{"BZh", "bzip2"},
}

// cutSource is a compressed file that ends before anything can be taken out of
// it: what it holds of a capture is cut off within the first packet.
type cutSource struct{}

func (cutSource) next() (packet, error) { return packet{}, io.ErrUnexpectedEOF }

// openSource looks at the magic number, below gzip, zstd or LZ4 if need be.
func openSource(r io.Reader) (source, error) {
	b := bufio.NewReaderSize(r, readBuffer)
	plain := b
	if head, err := b.Peek(2); err == nil && binary.BigEndian.Uint16(head) == magicGzip {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("gzip: %w", err)
		}
		b = bufio.NewReaderSize(z, readBuffer)
	} else if head, err := b.Peek(4); err == nil && binary.BigEndian.Uint32(head) == magicZstd {
		// One at a time: it decodes where it is read, and starts no goroutine.
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
		b = bufio.NewReaderSize(z, readBuffer)
	} else if err == nil && binary.BigEndian.Uint32(head) == magicLZ4 {
		b = bufio.NewReaderSize(lz4.NewReader(b), readBuffer)
	}
	head, err := b.Peek(4)
	if err != nil {
		switch {
		case errors.Is(err, io.EOF):
			return nil, ErrFormat
		case errors.Is(err, io.ErrUnexpectedEOF) && b != plain:
			return cutSource{}, nil
		}
		return nil, err
	}
	switch magic := binary.BigEndian.Uint32(head); magic {
	case magicMicro, magicNano, magicModified:
		return newPcap(b, binary.BigEndian, magic)
	case magicMicroSwap, magicNanoSwap, magicModSwap:
		return newPcap(b, binary.LittleEndian, bits.ReverseBytes32(magic))
	case magicPcapng:
		return newPcapng(b)
	case magicFrames:
		return newTapFile(b)
	}
	return otherSource(b)
}

// otherSource is one of the formats without a magic number of four octets.
func otherSource(b *bufio.Reader) (source, error) {
	const longest = 20
	head, _ := b.Peek(longest) // what there is of it
	if bytes.HasPrefix(head, []byte(magicSnoop)) {
		return newSnoop(b)
	}
	for _, f := range otherFormats {
		if bytes.HasPrefix(head, []byte(f.magic)) {
			return nil, fmt.Errorf("%w but %s: make it a pcapng first", ErrFormat, f.name)
		}
	}
	if isERF(b) {
		return &erfFile{r: b}, nil
	}
	return nil, ErrFormat
}

// whole is the next n octets, good until more are read: io.EOF if there is
// nothing, io.ErrUnexpectedEOF if there is less.
func whole(r *bufio.Reader, n int) ([]byte, error) {
	b, err := r.Peek(n)
	if errors.Is(err, io.EOF) && len(b) > 0 {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}
