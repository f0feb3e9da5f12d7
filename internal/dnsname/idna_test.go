package dnsname_test

import (
	"errors"
	"testing"

	"github.com/weirdns/weir/internal/dnsname"
)

func TestULabelsBecomeTheALabelsThatDNSAsksFor(t *testing.T) {
	for text, want := range map[string]string{
		"www.example":              "www.example",
		"bücher.example":           "xn--bcher-kva.example",
		"_Dmarc.BÜCHER.Example.":   "_Dmarc.xn--bcher-kva.Example.",
		"例え。テスト":                   "xn--r8jz45g.xn--zckzah",
		"faß.example":              "xn--fa-hia.example",
		"*.bücher.example":         "*.xn--bcher-kva.example",
		"b\xfccher.example":        "b\xfccher.example", // no UTF-8: octets
		`b\252cher.example`:        `b\252cher.example`,
		"xn--bcher-kva.bücher.com": "xn--bcher-kva.xn--bcher-kva.com",
	} {
		if got, err := dnsname.ToASCII(text); got != want || err != nil {
			t.Errorf("%q = %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"a\u200db.example", "bü cher.example", "\u0301.example", "bü/x.example"} {
		if got, err := dnsname.ToASCII(text); !errors.Is(err, dnsname.ErrNotIDN) {
			t.Errorf("%q = %q, %v; want ErrNotIDN", text, got, err)
		}
	}
	for name, want := range map[string]string{
		"xn--bcher-kva.example": "bücher.example", "www.example": "", "xn--a.example": "", "xn--.example": "", "xn--www-.example": "",
	} {
		if got := dnsname.MustParse(name).Unicode(); got != want {
			t.Errorf("%s in Unicode = %q, want %q", name, got, want)
		}
	}
}
