package store

import (
	"bytes"
	"context"
	"errors"
	"iter"

	"github.com/cockroachdb/pebble/v2"
	"github.com/weirdns/weir/internal/dnsname"
)

// Asked is a client and a name that it asked for.
type Asked struct {
	Client      string // as far as it is kept
	Name        dnsname.Name
	First, Last int64 // Unix seconds
	Count       uint64
}

// KeepsClients says whether any client is kept.
func (r *Reader) KeepsClients(ctx context.Context) (kept bool, err error) {
	low := []byte{kindClient}
	err = r.scan(ctx, low, after(low), func([]byte, *pebble.Iterator) error {
		kept = true
		return errStop
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return kept, err
}

// NamesOf finds what a client asked for. client is as it was written.
func (r *Reader) NamesOf(ctx context.Context, client string) iter.Seq2[Asked, error] {
	return func(yield func(Asked, error) bool) {
		low := append(append([]byte{kindClient}, client...), 0)
		err := r.scan(ctx, low, after(low), func(key []byte, it *pebble.Iterator) error {
			value, err := it.ValueAndErr()
			if err != nil {
				return err
			}
			return offerAsked(client, key[len(low):], value, yield)
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(Asked{}, err)
		}
	}
}

// ClientsOf finds who asked for a name, or with subtree for any below it.
func (r *Reader) ClientsOf(ctx context.Context, name dnsname.Name, subtree bool) iter.Seq2[Asked, error] {
	return func(yield func(Asked, error) bool) {
		low := []byte{kindAsker}
		if subtree {
			low = appendLabels(low, name)
		} else {
			low = appendPath(low, name)
		}
		err := r.scan(ctx, low, after(low), func(key []byte, _ *pebble.Iterator) error {
			_, path, client, err := cutPath(key[1:])
			if err != nil {
				return err
			}
			full := bytes.Join([][]byte{{kindClient}, client, {0}, path}, nil)
			value, closer, err := r.db.Get(full)
			if errors.Is(err, pebble.ErrNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			defer func() { _ = closer.Close() }() // it only gives memory back
			return offerAsked(string(client), path, value, yield)
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(Asked{}, err)
		}
	}
}

func offerAsked(client string, path, value []byte, yield func(Asked, error) bool) error {
	name, _, _, err := cutPath(path)
	if err != nil {
		return err
	}
	v, err := decodeSum(value)
	if err != nil {
		return err
	}
	if !yield(Asked{Client: client, Name: name, First: v.first, Last: v.last, Count: v.count}, nil) {
		return errStop
	}
	return nil
}
