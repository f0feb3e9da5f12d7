package live

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// writeTimeout is what one write to a reader may take.
const writeTimeout = 10 * time.Second

// Handler answers GET with server-sent events (text/event-stream): "transaction"
// with a transaction in the form of the transaction log, and "skipped" with how
// many were left out since the last. ?only=detections leaves the others out.
// A stream that weir ends was read too slowly, or weir stops.
func (f *Feed) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		only := r.URL.Query().Get("only")
		if only != "" && only != "detections" {
			fail(w, http.StatusBadRequest, fmt.Errorf("only: must be detections or absent, got %q", only))
			return
		}
		reader, err := f.Watch(only != "")
		if err != nil {
			fail(w, http.StatusServiceUnavailable, err)
			return
		}
		defer reader.Close()
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		stream(w, r, reader)
	})
}

// stream writes until the reader goes, is cut off, or weir ends.
func stream(w http.ResponseWriter, r *http.Request, reader *Reader) {
	out := http.NewResponseController(w)
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	buf := []byte(": weir\n\n")
	for {
		if out.SetWriteDeadline(time.Now().Add(writeTimeout)) != nil {
			return
		}
		if _, err := w.Write(buf); err != nil || out.Flush() != nil {
			return
		}
		buf = buf[:0]
		select {
		case line, ok := <-reader.Lines:
			if !ok {
				return
			}
			buf = event(buf, line)
			buf = more(buf, reader)
		case <-beat.C:
			buf = append(buf, ": still here\n\n"...)
		case <-r.Context().Done():
			return
		}
		if n := reader.Skipped.Swap(0); n > 0 {
			buf = fmt.Appendf(buf, "event: skipped\ndata: %d\n\n", n)
		}
	}
}

// more adds what waits already: one write for many events.
func more(buf []byte, reader *Reader) []byte {
	for len(buf) < 64<<10 {
		select {
		case line, ok := <-reader.Lines:
			if !ok {
				return buf
			}
			buf = event(buf, line)
		default:
			return buf
		}
	}
	return buf
}

// event appends a line, which has no line breaks: it is JSON.
func event(buf, line []byte) []byte {
	buf = append(buf, "event: transaction\ndata: "...)
	return append(append(buf, line...), "\n\n"...)
}

func fail(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()}) // the client went away: nobody to tell
}
