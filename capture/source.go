package capture

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
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
	magicPcapng    = 0x0a0d0d0a
	magicGzip      = 0x1f8b // two octets
	magicZstd      = 0x28b52ffd
	magicFrames    = 0 // the escape in front of a control frame
)

const (
	pcapHeader       = 24
	pcapRecordHeader = 16
	readBuffer       = 64 << 10
	// maxPacket is the largest packet that is believed: the largest snap length
	// that tcpdump and Wireshark use. More is a damaged file.
	maxPacket = 256 << 10
	// maxBetween bounds what a pcapng file may hold from one packet to the next
	// (interfaces, names, keys, blocks of others), and so what pcapgo may keep.
	maxBetween = 8 << 20
	// maxNgInterfaces bounds what pcapgo keeps over a whole section. Machines
	// with many containers have thousands.
	maxNgInterfaces = 1 << 16
	// maxZstdWindow is what zstd itself takes without being asked for more; a
	// file from it needs 8 MiB at most unless it was told --long.
	maxZstdWindow = 128 << 20
)

// ErrFormat means that a file is no capture.
var ErrFormat = errors.New("neither pcap nor pcapng nor dnstap")

// openSource looks at the magic number, below gzip or
// zstd if need be.
func openSource(r io.Reader) (source, error) {
	b := bufio.NewReaderSize(r, readBuffer)
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
	}
	head, err := b.Peek(4)
	if err != nil {
		if errors.Is(err, io.EOF) {
			return nil, ErrFormat
		}
		return nil, err
	}
	switch magic := binary.BigEndian.Uint32(head); magic {
	case magicMicro, magicNano:
		return newPcap(b, binary.BigEndian, magic == magicNano)
	case magicMicroSwap, magicNanoSwap:
		return newPcap(b, binary.LittleEndian, magic == magicNanoSwap)
	case magicPcapng:
		return newPcapng(b)
	case magicFrames:
		return newTapFile(b)
	}
	return nil, ErrFormat
}

// pcap reads the classic format. It is not pcapgo's reader because that refuses
// minor versions other than 4 and ends at a record that claims to be longer
// than the packet was, where tcpdump and Wireshark read on.
type pcap struct {
	r     *bufio.Reader
	order binary.ByteOrder
	unit  time.Duration // of the fraction of a second
	link  uint32
	buf   []byte
}

func newPcap(r *bufio.Reader, order binary.ByteOrder, nano bool) (*pcap, error) {
	var header [pcapHeader]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, fmt.Errorf("pcap header: %w", err)
	}
	p := &pcap{r: r, order: order, unit: time.Microsecond, buf: make([]byte, maxPacket)}
	if nano {
		p.unit = time.Nanosecond
	}
	p.link = order.Uint32(header[20:]) & 0x03ffffff // the upper bits tell of frame check sequences
	return p, nil
}

func (p *pcap) next() (packet, error) {
	header := p.buf[:pcapRecordHeader]
	if _, err := io.ReadFull(p.r, header); err != nil {
		return packet{}, err
	}
	at := time.Unix(int64(p.order.Uint32(header)), int64(p.order.Uint32(header[4:]))*int64(p.unit)).UTC()
	captured := p.order.Uint32(header[8:])
	if captured > maxPacket {
		return packet{}, fmt.Errorf("record of %d octets: the file is damaged", captured)
	}
	data := p.buf[:captured]
	if _, err := io.ReadFull(p.r, data); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return packet{}, err
	}
	return packet{time: at, link: p.link, data: data}, nil
}

// pcapng reads the newer format by pcapgo. That believes lengths and keeps what
// it reads of interfaces and names, so a bound stands below it and one beside.
type pcapng struct {
	r     *pcapgo.NgReader
	limit *limited
	last  time.Time
}

func newPcapng(b *bufio.Reader) (*pcapng, error) {
	l := &limited{r: b, left: maxBetween}
	r, err := pcapgo.NewNgReader(bufio.NewReaderSize(l, readBuffer), pcapgo.NgReaderOptions{WantMixedLinkType: true, SkipUnknownVersion: true})
	if err != nil {
		return nil, fmt.Errorf("pcapng header: %w", err)
	}
	return &pcapng{r: r, limit: l, last: time.Unix(0, 0).UTC()}, nil
}

func (p *pcapng) next() (packet, error) {
	p.limit.left = maxBetween
	data, info, err := p.r.ZeroCopyReadPacketData()
	if err != nil {
		return packet{}, err
	}
	if p.r.NInterfaces() > maxNgInterfaces || p.r.NNames() > maxNgInterfaces {
		return packet{}, errors.New("more than 65536 interfaces or names: the file is damaged")
	}
	if len(data) > maxPacket {
		return packet{}, fmt.Errorf("record of %d octets: the file is damaged", len(data))
	}
	link, _ := info.AncillaryData[0].(layers.LinkType)
	if !info.Timestamp.IsZero() { // a simple packet block has no time: it came after the one before
		p.last = info.Timestamp
	}
	return packet{time: p.last, link: uint32(link), data: data}, nil
}

// limited ends with an error after left octets.
type limited struct {
	r    io.Reader
	left int
}

var errNoPacket = errors.New("no packet in 8 MiB: the file is damaged")

func (l *limited) Read(b []byte) (int, error) {
	if l.left <= 0 {
		return 0, errNoPacket
	}
	n, err := l.r.Read(b[:min(len(b), l.left)])
	l.left -= n
	return n, err
}
