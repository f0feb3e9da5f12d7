package capture

// Ports of encrypted DNS: DoT and DoQ (RFC 7858, RFC 9250), DoH (RFC 8484).
const (
	portDoT = 853
	portDoH = 443
)

// The first octets of TLS records and of their messages (RFC 8446, sections 5.1
// and 4).
const (
	tlsHandshake   = 22
	tlsClientHello = 1
)
