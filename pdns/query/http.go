package query

import (
	"bufio"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/weirdns/weir/pdns/store"
)

// Source lends a reader for the time of a call.
type Source func(func(*store.Reader) error) error

// TruncatedTrailer is set behind an answer that the limit cut.
const TruncatedTrailer = "Weir-Truncated"

// Handler answers GET /query/{what...}: what the draft of the Common Output
// Format asks of a server, and our parameters. Records go out as they are found.
// A failure after the first is a connection that ends early, so that nobody
// takes half an answer for a whole one.
func Handler(source Source, sensorID string, now func() time.Time) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := FromURL(r.PathValue("what"), r.URL.Query())
		if err == nil {
			_, err = p.Compile(now())
		}
		if err != nil {
			fail(w, http.StatusBadRequest, err)
			return
		}
		begun := false
		err = source(func(reader *store.Reader) error {
			begun = true
			w.Header().Set("Content-Type", formats[p.Format])
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("X-Content-Type-Options", "nosniff")
			w.Header().Set("Trailer", TruncatedTrailer)
			out := bufio.NewWriterSize(w, 16<<10)
			truncated, err := p.Run(r.Context(), reader, now(), NewWriter(out, p.Format, sensorID))
			if err == nil {
				err = out.Flush()
			}
			if truncated {
				w.Header().Set(TruncatedTrailer, "true")
			}
			return err
		})
		switch {
		case err == nil:
		case begun:
			panic(http.ErrAbortHandler)
		case errors.Is(err, store.ErrNotOpen):
			fail(w, http.StatusServiceUnavailable, err)
		default:
			fail(w, http.StatusInternalServerError, err)
		}
	})
}

func fail(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()}) // the client went away: nobody to tell
}
