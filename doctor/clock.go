package doctor

import (
	"context"
	"net/http"
	"time"
)

// Limits of a clock that is off.
const (
	clockWarn = 2 * time.Minute
	clockFail = time.Hour
)

// Date holds the clock against the Date of an HTTP server that weir asks anyhow,
// such as that of a list.
func Date(ctx context.Context, client *http.Client, url string, now func() time.Time) Result {
	const check = "clock"
	fix := "timedatectl set-ntp true"
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, url, nil)
	if err != nil {
		return result(check, Skip, "", "no server can be asked for the date")
	}
	resp, err := client.Do(req)
	if err != nil {
		return result(check, Skip, "", "%s does not answer, so it is not asked for the date", req.URL.Host)
	}
	_ = resp.Body.Close() // of a HEAD
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return result(check, Skip, "", "%s gives no date", req.URL.Host)
	}
	off := now().Sub(date)
	switch {
	case off.Abs() > clockFail:
		return result(check, Fail, fix, "it is %v off by the Date of %s: certificates may not be valid, and records have wrong times", off.Round(time.Second), req.URL.Host)
	case off.Abs() > clockWarn:
		return result(check, Warn, fix, "it is %v off by the Date of %s", off.Round(time.Second), req.URL.Host)
	}
	return result(check, OK, "", "it agrees with the Date of %s", req.URL.Host)
}
