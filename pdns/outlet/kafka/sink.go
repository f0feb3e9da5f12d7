package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"github.com/weirdns/weir/pdns"
	"github.com/weirdns/weir/pdns/outlet"
	"github.com/weirdns/weir/pdns/privacy"

	"github.com/weirdns/weir/internal/dnsname"
)

// codecs are the words for compression.
var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

// leaderWait is the least time between two questions of who leads the partitions.
const leaderWait = 250 * time.Millisecond

// Sink produces to a topic.
type Sink struct {
	lines    *pdns.Lines
	suffixes *dnsname.Suffixes
	opts     []kgo.Opt
	client   *kgo.Client // nil until it is needed, and after a failure
}

// New reads the files that the configuration names. It connects to nobody.
func New(cfg Config, client *privacy.Guard) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(cfg.Brokers...), kgo.DefaultProduceTopic(cfg.Topic), kgo.AllowAutoTopicCreation(), kgo.ClientID("weir"),
		// A producer with an identity of its own, whose repetitions the broker knows:
		// within one connection's life nothing is there twice.
		kgo.RequiredAcks(kgo.AllISRAcks()),
		// What is cut short may be there: it is sent again, with the same weir_id.
		kgo.AllowIdempotentProduceCancellation(),
		kgo.ProducerBatchCompression(codecs[cfg.Compression], kgo.NoCompression()), kgo.ProducerBatchMaxBytes(int32(cfg.MaxMessageBytes)),
		kgo.MaxBufferedRecords(cfg.BatchRows), kgo.ProduceRequestTimeout(cfg.Timeout),
		// After a change of leaders new ones are asked for at once, not after 5 s.
		kgo.MetadataMinAge(leaderWait),
		// No RecordDeliveryTimeout: it counts from a record's timestamp, so that rows
		// which have waited in the spool would be too old at once.
	}
	if cfg.UseTLS {
		t, err := cfg.TLS.Load()
		if err != nil {
			return nil, fmt.Errorf("tls.%w", err)
		}
		opts = append(opts, kgo.DialTLSConfig(t))
	}
	password, err := outlet.ReadSecret("password_file", cfg.PasswordFile)
	if err != nil {
		return nil, err
	}
	if cfg.User != "" {
		switch cfg.Mechanism {
		case "plain":
			opts = append(opts, kgo.SASL(plain.Auth{User: cfg.User, Pass: password}.AsMechanism()))
		case "scram-sha-256":
			opts = append(opts, kgo.SASL(scram.Auth{User: cfg.User, Pass: password}.AsSha256Mechanism()))
		case "scram-sha-512":
			opts = append(opts, kgo.SASL(scram.Auth{User: cfg.User, Pass: password}.AsSha512Mechanism()))
		}
	}
	if err := kgo.ValidateOpts(opts...); err != nil {
		return nil, err
	}
	return &Sink{lines: pdns.NewLines(cfg.Format, client, nil), suffixes: dnsname.DefaultSuffixes(), opts: opts}, nil
}

// Send produces b and waits until all of it is acknowledged.
func (s *Sink) Send(ctx context.Context, b *outlet.Batch) error {
	if s.client == nil {
		c, err := kgo.NewClient(s.opts...)
		if err != nil {
			return err
		}
		s.client = c
	}
	records := make([]*kgo.Record, 0, b.Rows)
	err := b.Each(func(r outlet.Row) error {
		id := r.ID.String()
		records = append(records, &kgo.Record{
			Key: s.key(r), Value: s.lines.AppendIdentified(nil, id, r.Transaction), Timestamp: r.Query.Time,
			Headers: []kgo.RecordHeader{{Key: "weir_id", Value: []byte(id)}},
		})
		return nil
	})
	if err != nil {
		return err
	}
	// A record's own end is looked at only when something else happens in the client:
	// closing it ends the wait for all of them.
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { defer close(closed); s.client.Close() })
	err = s.client.ProduceSync(ctx, records...).FirstErr()
	if !stop() {
		<-closed
		s.client = nil
		if err != nil {
			return ctx.Err()
		}
	}
	if err == nil {
		return nil
	}
	// What of the batch still waits in the client must not be sent beside the next
	// try, nor for ever.
	s.forget()
	if errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge) || errors.Is(err, kerr.InvalidRecord) {
		return &outlet.Refused{Err: err}
	}
	return err
}

// key is the registered domain, so that all rows of one are in one partition and
// in order; the name itself where it has none.
func (s *Sink) key(r outlet.Row) []byte {
	name := r.Verdict.Registered
	if name == nil && len(r.Query.Name) > 0 {
		name = s.suffixes.Split(r.Query.Name).Registered
	}
	if name == nil {
		name = r.Query.Name
	}
	if name == nil {
		return nil
	}
	return name.AppendText(nil)
}

func (s *Sink) forget() {
	if s.client != nil {
		s.client.Close()
		s.client = nil
	}
}

// Close lets go of the connections.
func (s *Sink) Close() error {
	s.forget()
	return nil
}
