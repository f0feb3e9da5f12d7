package web

import (
	"embed"
	"errors"
	"io/fs"
	"net/http"
)

// ui is the dashboard: HTML, CSS and modules as browsers take them. It holds
// nothing that anybody may not see; what it shows it asks the operations for.
//
//go:embed ui
var ui embed.FS

// assets serves the files of the dashboard.
func assets() http.Handler {
	dir, err := fs.Sub(ui, "ui")
	if err != nil {
		panic("web: " + err.Error()) // the name is the one above
	}
	files := http.FileServerFS(dir)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			fail(w, &Error{http.StatusMethodNotAllowed, errors.New("files are read with GET")})
			return
		}
		files.ServeHTTP(w, r)
	})
}
