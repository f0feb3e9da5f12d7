package outlet

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// CheckStatus judges the answer of a service over HTTP: nil, a Refused, a Later,
// or an error that is worth another try. What the service says in words stays
// unsaid: it may quote what was sent.
func CheckStatus(r *http.Response) error {
	err := fmt.Errorf("the service answers %d", r.StatusCode)
	switch c := r.StatusCode; {
	case c >= 200 && c <= 299:
		return nil
	case c == http.StatusBadRequest, c == http.StatusRequestEntityTooLarge, c == http.StatusUnprocessableEntity:
		return &Refused{Err: err}
	case c == http.StatusTooManyRequests, c == http.StatusServiceUnavailable:
		return &Later{After: retryAfter(r.Header.Get("Retry-After")), Err: err}
	}
	return err
}

func retryAfter(text string) time.Duration {
	if n, err := strconv.Atoi(text); err == nil && n >= 0 && n <= 86400 {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return time.Until(at)
	}
	return 0
}
