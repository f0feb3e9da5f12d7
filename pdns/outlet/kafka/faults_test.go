package kafka_test

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/outlettest"
)

// behind is a listener that calls itself by the address of a proxy in front of it.
type behind struct {
	net.Listener
	proxy *outlettest.Proxy
}

func (b behind) Addr() net.Addr {
	a, _ := net.ResolveTCPAddr("tcp", b.proxy.Addr()) // it is numeric
	return a
}

// proxied is a broker that can be reached through a proxy alone.
func proxied(t *testing.T) (*kfake.Cluster, *outlettest.Proxy) {
	t.Helper()
	var p *outlettest.Proxy
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitionCount, "weir-dns"), kfake.ListenFn(func(network, addr string) (net.Listener, error) {
		l, err := net.Listen(network, addr)
		if err != nil {
			return nil, err
		}
		p = outlettest.NewProxy(t, "tcp", l.Addr().String(), 0)
		return behind{l, p}, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, p
}

// answers are what a broker may say to a request that brings rows, and that passes.
var answers = []*kerr.Error{
	kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend, kerr.RequestTimedOut,
	kerr.UnknownTopicOrPartition, kerr.UnknownProducerID, kerr.OutOfOrderSequenceNumber, kerr.InvalidProducerEpoch, kerr.InvalidProducerIDMapping,
	kerr.TopicAuthorizationFailed, kerr.KafkaStorageError, kerr.CorruptMessage, kerr.ThrottlingQuotaExceeded, kerr.UnknownServerError, kerr.PolicyViolation,
}

// Whatever a broker answers for a while, every row arrives, and none is dropped.
func TestErrorAnswersOfBrokersCostNoRow(t *testing.T) {
	for _, answer := range answers {
		t.Run(answer.Message, func(t *testing.T) {
			t.Parallel()
			c := cluster(t)
			// Some rows are there before, so that a producer's state is lost, and not new.
			h := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: answer, Count: 4, When: after(3)})
			cfg := config(c.ListenAddrs()...)
			cfg.RetryMax, cfg.Timeout = 500*time.Millisecond, 5*time.Second
			st := outlettest.Deliver(t, cfg.Config, sink(t, cfg), 600)
			got := consume(t, "weir-dns", 600, c.ListenAddrs()...)
			if st.Sent != 600 || h.Hits() == 0 {
				t.Errorf("%+v after %d answers, want 600 sent after some", st, h.Hits())
			}
			t.Logf("%d answers, %d tries failed, %d rows, %d of them repeated", h.Hits(), st.Failed, got, got-600)
		})
	}
}

// Rows that have waited for long, as after an outage, are not too old for a broker
// that has to be asked twice.
func TestOldRowsArrive(t *testing.T) {
	c := cluster(t)
	h := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotLeaderForPartition, Count: 2})
	var rows []*detect.Transaction
	for i := range 200 {
		r := outlettest.Row(i)
		r.Query.Time = r.Query.Time.Add(-48 * time.Hour)
		rows = append(rows, r)
	}
	cfg := config(c.ListenAddrs()...)
	outlettest.DeliverRows(t, cfg.Config, sink(t, cfg), rows...)
	if got := consume(t, "weir-dns", 200, c.ListenAddrs()...); got != 200 || h.Hits() == 0 {
		t.Errorf("%d rows came after %d answers, want 200 after some", got, h.Hits())
	}
}

// after lets so many requests pass.
func after(n int) func(kmsg.Request) bool {
	return func(kmsg.Request) bool { n--; return n < 0 }
}

// A broker whose limit is lower than ours: batches are halved until they fit, and of
// what never fits alone is counted, without an end to it.
func TestBatchesThatBrokersCallTooLargeAreHalved(t *testing.T) {
	for _, c := range []struct {
		name    string
		rows    int
		most    int
		refused uint64
	}{{"some", 100, 20_000, 0}, {"all", 20, 10, 20}} {
		t.Run(c.name, func(t *testing.T) {
			k := cluster(t)
			k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.MessageTooLarge, Count: -1, When: func(r kmsg.Request) bool {
				for _, topic := range r.(*kmsg.ProduceRequest).Topics {
					for _, p := range topic.Partitions {
						if len(p.Records) > c.most {
							return true
						}
					}
				}
				return false
			}})
			cfg := config(k.ListenAddrs()...)
			cfg.Compression = "none"
			st := outlettest.Deliver(t, cfg.Config, sink(t, cfg), c.rows)
			if st.Dropped["refused"] != c.refused || st.Sent != uint64(c.rows)-c.refused {
				t.Errorf("%+v, want %d of %d refused", st, c.refused, c.rows)
			}
			if n := c.rows - int(c.refused); n > 0 {
				t.Logf("%d messages of %d rows", consume(t, "weir-dns", n, k.ListenAddrs()...), n)
			}
		})
	}
}

// A broker that throttles is left alone for as long, and no row is lost.
func TestThrottledRowsArrive(t *testing.T) {
	c := cluster(t)
	left := 3
	c.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		if left == 0 {
			return nil, nil, false
		}
		left--
		if left > 0 {
			c.KeepControl()
		}
		req := r.(*kmsg.ProduceRequest)
		resp := req.ResponseKind().(*kmsg.ProduceResponse)
		resp.ThrottleMillis = 300
		for _, in := range req.Topics {
			out := kmsg.NewProduceResponseTopic()
			out.Topic, out.TopicID = in.Topic, in.TopicID
			for _, p := range in.Partitions {
				one := kmsg.NewProduceResponseTopicPartition()
				one.Partition, one.ErrorCode = p.Partition, kerr.ThrottlingQuotaExceeded.Code
				out.Partitions = append(out.Partitions, one)
			}
			resp.Topics = append(resp.Topics, out)
		}
		return resp, nil, true
	})
	cfg := config(c.ListenAddrs()...)
	if st := outlettest.Deliver(t, cfg.Config, sink(t, cfg), 500); st.Sent != 500 {
		t.Errorf("%+v, want 500 sent", st)
	}
	consume(t, "weir-dns", 500, c.ListenAddrs()...)
	if left > 0 {
		t.Errorf("%d throttled answers were not given", left)
	}
}

// Whatever happens to a broker, every row arrives.
func TestFaults(t *testing.T) {
	c, p := proxied(t)
	cfg := config(p.Addr())
	cfg.BatchRows = 1000
	var h *kfake.FaultHandle
	outlettest.Faults(t, cfg.Config, sink(t, cfg), outlettest.Service{
		Name: "Kafka (kfake)", Proxy: p,
		Fail: func(on bool) {
			if !on {
				h.Remove()
				return
			}
			// One of them that kgo tries again by itself, and one that fails at once.
			n := 0
			h = c.Fault(
				kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1, When: func(kmsg.Request) bool { n++; return n%2 == 0 }},
				kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.PolicyViolation, Count: -1},
			)
		},
		Arrived: func() (map[string]string, int) { return read(t, "weir-dns", p.Addr()) },
	})
}

// The same with a real broker: testdata/integration/kafka.sh starts one, which calls
// itself by the address where the proxy listens: WEIR_KAFKA_FAULTS=PROXY,BROKER.
func TestFaultsOfRealBrokers(t *testing.T) {
	proxy, broker, ok := strings.Cut(os.Getenv("WEIR_KAFKA_FAULTS"), ",")
	if !ok {
		t.Skip("no Kafka: set WEIR_KAFKA_FAULTS, or run testdata/integration/kafka.sh")
	}
	p := outlettest.NewProxyAt(t, proxy, "tcp", broker, 0)
	cfg := config(p.Addr())
	cfg.BatchRows, cfg.Topic = 1000, fmt.Sprintf("weir-faults-%d", time.Now().UnixNano())
	outlettest.Faults(t, cfg.Config, sink(t, cfg), outlettest.Service{
		Name: "Kafka, a real broker", Proxy: p,
		Arrived: func() (map[string]string, int) { return read(t, cfg.Topic, p.Addr()) },
	})
}
