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
	"github.com/twmb/franz-go/pkg/kmsg"
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

// consume reads topic to its end, and wants n different rows there. It returns how
// many rows there are, with repetitions.
func consume(t *testing.T, topic string, n int, brokers ...string) (total int) {
	t.Helper()
	names, total := read(t, topic, brokers...)
	if len(names) != n {
		t.Errorf("%d rows are in %s, want %d", len(names), topic, n)
	}
	return total
}

// read reads topic to its end: the identities of its names, and how many rows it has.
// It wants those of one key in one partition.
func read(t *testing.T, topic string, brokers ...string) (names map[string]string, total int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), outlettest.Limit)
	defer cancel()
	names, partitions := map[string]string{}, map[string]int32{}
	ends := ends(t, topic, brokers)
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for len(ends) > 0 {
		fetches := cl.PollFetches(ctx)
		fetches.EachError(func(topic string, p int32, err error) { t.Logf("fetch of %s %d: %v", topic, p, err) })
		if ctx.Err() != nil {
			t.Fatalf("%d rows came; of partitions %v something is missing", len(names), ends)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset+1 >= ends[r.Partition] {
				delete(ends, r.Partition)
			}
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
			if one.Client != "192.0.2.0/24" || string(r.Key) != one.Domain || len(r.Headers) != 1 || string(r.Headers[0].Value) != one.ID || r.Timestamp.After(outlettest.Begin) || outlettest.Begin.Sub(r.Timestamp)%(48*time.Hour) != 0 {
				t.Errorf("key %q, headers %v, time %v of %s", r.Key, r.Headers, r.Timestamp, r.Value)
			}
			if p, ok := partitions[one.Domain]; ok && p != r.Partition {
				t.Errorf("%s is in partitions %d and %d", one.Domain, p, r.Partition)
			}
			partitions[one.Domain] = r.Partition
			if old, ok := names[one.Qname]; ok && old != one.ID {
				t.Errorf("%s came as %s and as %s", one.Qname, old, one.ID)
			}
			names[one.Qname] = one.ID
			total++
		})
	}
	return names, total
}

// partitions of a topic, with every broker of these tests.
const partitionCount = 3

// ends are the ends of the partitions that have rows.
func ends(t *testing.T, topic string, brokers []string) map[int32]int64 {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	req, one := kmsg.NewPtrListOffsetsRequest(), kmsg.NewListOffsetsRequestTopic()
	req.ReplicaID, one.Topic = -1, topic
	for i := range int32(partitionCount) {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp = i, -1 // the end
		one.Partitions = append(one.Partitions, p)
	}
	req.Topics = append(req.Topics, one)
	out := map[int32]int64{}
	for _, shard := range cl.RequestSharded(t.Context(), req) {
		if shard.Err != nil {
			t.Fatal(shard.Err)
		}
		for _, p := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions {
			if p.ErrorCode != 0 {
				t.Fatalf("partition %d: error %d", p.Partition, p.ErrorCode)
			}
			if p.Offset > 0 {
				out[p.Partition] = p.Offset
			}
		}
	}
	return out
}

func cluster(t *testing.T) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.SeedTopics(partitionCount, "weir-dns"))
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
