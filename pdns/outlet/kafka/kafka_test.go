package kafka_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/weirdns/weir/internal/outlettest"
	"github.com/weirdns/weir/pdns/encode"
	"github.com/weirdns/weir/pdns/outlet"
	"github.com/weirdns/weir/pdns/outlet/kafka"
	"github.com/weirdns/weir/pdns/privacy"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func config(brokers ...string) kafka.Config {
	c := kafka.DefaultConfig()
	c.Name, c.Brokers, c.BatchInterval, c.BatchRows = "test", brokers, 10*time.Millisecond, 100
	return c
}

func sink(t *testing.T, cfg kafka.Config) *kafka.Sink {
	t.Helper()
	s, err := kafka.New(cfg, privacy.Kept(privacy.DefaultConfig()))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// consume reads topic until it has n different rows, and wants those of one key in
// one partition and in order.
func consume(t *testing.T, topic string, n int, brokers ...string) (total int) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), outlettest.Limit)
	defer cancel()
	ids, partitions := map[string]string{}, map[string]int32{}
	for len(ids) < n {
		fetches := cl.PollFetches(ctx)
		fetches.EachError(func(topic string, p int32, err error) { t.Logf("fetch of %s %d: %v", topic, p, err) })
		if ctx.Err() != nil {
			t.Fatalf("%d rows came, want %d", len(ids), n)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			var one struct {
				ID     string `json:"weir_id"`
				Qname  string `json:"qname"`
				Client string `json:"client"`
				Domain string `json:"registered_domain"`
			}
			if err := json.Unmarshal(r.Value, &one); err != nil {
				t.Errorf("%s: %v", r.Value, err)
				return
			}
			if one.Client != "192.0.2.0/24" || string(r.Key) != one.Domain || len(r.Headers) != 1 || string(r.Headers[0].Value) != one.ID || !r.Timestamp.Equal(outlettest.Begin) {
				t.Errorf("key %q, headers %v, time %v of %s", r.Key, r.Headers, r.Timestamp, r.Value)
			}
			if p, ok := partitions[one.Domain]; ok && p != r.Partition {
				t.Errorf("%s is in partitions %d and %d", one.Domain, p, r.Partition)
			}
			partitions[one.Domain] = r.Partition
			if old, ok := ids[one.Qname]; ok && old != one.ID {
				t.Errorf("%s came as %s and as %s", one.Qname, old, one.ID)
			}
			ids[one.Qname] = one.ID
			total++
		})
	}
	return total
}

func cluster(t *testing.T) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.SeedTopics(3, "weir-dns"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestRowsArriveOnceByRegisteredDomain(t *testing.T) {
	for _, compression := range []string{"none", "zstd"} {
		c := cluster(t)
		cfg := config(c.ListenAddrs()...)
		cfg.Compression = compression
		outlettest.Deliver(t, cfg.Config, sink(t, cfg), 500)
		if got := consume(t, "weir-dns", 500, c.ListenAddrs()...); got != 500 {
			t.Errorf("%s: %d rows came, want 500, each once", compression, got)
		}
	}
}

// A broker that is not there yet costs nothing but time.
func TestRowsWaitForABroker(t *testing.T) {
	cfg := config("127.0.0.1:1")
	cfg.Timeout = time.Second
	o := outlettest.Start(t, cfg.Config, sink(t, cfg), 10)
	for deadline := time.Now().Add(outlettest.Limit); o.Stats().Failed == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no failure is counted")
		}
	}
	if s := o.Stats(); !s.Failing || s.Sent != 0 {
		t.Errorf("%+v, want a failing outlet", s)
	}
}

// Rows larger than the brokers take are counted, and do not stop the outlet.
func TestRowThatIsTooLargeIsRefused(t *testing.T) {
	c := cluster(t)
	cfg := config(c.ListenAddrs()...)
	cfg.MaxMessageBytes, cfg.Compression = 1<<10, "none"
	cfg.Format = encode.OCSF
	st := outlettest.Deliver(t, cfg.Config, sink(t, cfg), 30)
	if st.Dropped["refused"] != 30 {
		t.Errorf("%+v, want 30 refused", st)
	}
}

func TestValidateNamesEveryField(t *testing.T) {
	c := kafka.Config{Brokers: []string{"x"}, Topic: "a b", Format: 1, Compression: "rar", Mechanism: "kerberos", User: "u", TLS: outlet.TLSConfig{CAFile: "x"}}
	err := c.Validate()
	for _, want := range []string{"name: ", "brokers[0]: ", "topic: ", "format: ", "compression: ", "max_message_bytes: ", "mechanism: ", "user: ", "tls: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
}

// With a real broker, behind a proxy that cuts connections in the middle of requests
// and of answers: testdata/integration/kafka.sh starts both.
func TestRealBrokers(t *testing.T) {
	addr := os.Getenv("WEIR_KAFKA")
	if addr == "" {
		t.Skip("no Kafka: set WEIR_KAFKA to a broker's address, or run testdata/integration/kafka.sh")
	}
	cfg := config(addr)
	cfg.Topic, cfg.BatchRows = fmt.Sprintf("weir-test-%d", time.Now().UnixNano()), 5000
	begin := time.Now()
	outlettest.Deliver(t, cfg.Config, sink(t, cfg), 50000)
	t.Logf("50,000 rows in %v", time.Since(begin))
	if got := consume(t, cfg.Topic, 50000, addr); got != 50000 {
		t.Errorf("%d messages, want 50000", got)
	}
}
