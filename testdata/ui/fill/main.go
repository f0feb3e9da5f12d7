// Fill makes a state folder with a passive DNS database of made-up names, for
// measuring the dashboard on it: fill STATE_DIR NAMES.
package main

import (
	"fmt"
	"log"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
	"github.com/weirdns/weir/pdns/privacy"
	"github.com/weirdns/weir/pdns/store"
	"go.uber.org/zap"
)

// past is over how long the names were asked for.
const past = 7 * 24 * time.Hour

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: fill STATE_DIR NAMES")
	}
	n, err := strconv.Atoi(os.Args[2])
	if err != nil || n < 1000 {
		log.Fatal("NAMES: must be a number from 1000 on")
	}
	if err := fill(os.Args[1], n); err != nil {
		log.Fatal(err)
	}
}

func fill(dir string, n int) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	cfg := store.DefaultConfig()
	cfg.Dir, cfg.Clients, cfg.FoldNames = filepath.Join(dir, "pdns"), true, 1<<30
	cfg.MemoryBytes = 256 << 20 // what comes between two Tends is all taken
	s, err := store.New(cfg, store.Deps{Log: zap.NewNop(), Registry: prometheus.NewRegistry(), ClientText: privacy.Plain(privacy.Full).Append})
	if err != nil {
		return err
	}
	if err := s.Tend(); err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(1, 1))
	end := time.Now()
	for i := range n {
		s.Consume(transaction(rng, i, end.Add(-past+past*time.Duration(i)/time.Duration(n))))
		if i%10000 == 9999 {
			if err := s.Tend(); err != nil {
				return err
			}
		}
	}
	if lost := s.Dropped(); lost > 0 {
		return fmt.Errorf("%d of %d were not taken", lost, n)
	}
	fmt.Printf("%d names in %v\n", n, time.Since(end).Round(time.Second))
	return s.Close()
}

// transaction is number i of them: every tenth name is a subdomain of the same
// busy domain, and every twentieth is detected.
func transaction(rng *rand.Rand, i int, at time.Time) *detect.Transaction {
	text := fmt.Sprintf("www.site%d.example%d.com", i, i%50000)
	if i%10 == 0 {
		text = fmt.Sprintf("e%d.busy.net", i)
	}
	name := dnsname.MustParse(text)
	msg := dnswire.AppendHeader(nil, dnswire.Header{Flags: dnswire.FlagQR, QD: 1, AN: 1})
	msg = dnswire.AppendQuestion(msg, name, dnswire.TypeA, dnswire.ClassIN)
	addr := netip.AddrFrom4([4]byte{198, 18, byte(rng.Uint32()), byte(rng.Uint32())})
	t := &detect.Transaction{
		Query: detect.Query{
			Time: at, Client: netip.AddrFrom4([4]byte{192, 168, 7, byte(rng.IntN(200))}), Name: name, Type: dnswire.TypeA, Class: dnswire.ClassIN,
		},
		Source:   detect.FromUpstream,
		Response: dnswire.AppendAddress(msg, addr, dnswire.ClassIN, 60),
	}
	if i%20 == 0 {
		t.Verdict = detect.Verdict{Origin: detect.OriginModel, Action: detect.ZeroIP, Level: detect.LevelHigh, Score: 0.9 + rng.Float64()/10}
	}
	return t
}
