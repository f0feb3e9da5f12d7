package blocklist

import (
	"errors"
	"fmt"
)

// Results of loading a list, as the label of weir_list_reload_total has them.
const (
	resultOK          = "ok"
	resultNotModified = "not_modified"

	resultFile       = "file_error"    // a local file could not be read
	resultNoKey      = "no_key"        // auth_key_file could not be read
	resultNetwork    = "network_error" // no answer, or none in time
	resultStatus     = "http_status"
	resultTruncated  = "truncated" // the body ended early
	resultTooLarge   = "too_large" // more than max_bytes, or a compression bomb
	resultEmpty      = "empty"
	resultHTML       = "html"
	resultBinary     = "binary"
	resultMalformed  = "malformed" // too many lines refused
	resultShrunk     = "shrunk"    // fewer than half of the entries before
	resultGrown      = "grown"     // more than five times the entries before
	resultPin        = "pin_mismatch"
	resultSignature  = "bad_signature"
	resultExpired    = "expired" // a zone past its SOA's expire
	resultDamaged    = "damaged_copy"
	resultStoreError = "store_error" // serving, but no copy could be kept
)

// refusal is why new data for a list were not taken.
type refusal struct {
	result string
	err    error
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// refuse makes a refusal out of a format and its arguments.
func refuse(result, format string, args ...any) error {
	return &refusal{result, fmt.Errorf(format, args...)}
}

// resultOf is the label for err; what carries none is other's.
func resultOf(err error, other string) string {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.result
	}
	return other
}
