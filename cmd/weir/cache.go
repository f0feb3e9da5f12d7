package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/web"
)

// cacheName is the cache's snapshot in the state folder.
const cacheName = "cache.snapshot"

// cachePath is where the cache is kept, "" without a state folder.
func (s *service) cachePath() string {
	if s.stateless != nil {
		return ""
	}
	return filepath.Join(s.started.StateDir, cacheName)
}

type cacheCmd struct {
	Flush cacheFlushCmd `cmd:"" help:"Forget the answers for a name."`
}

type cacheFlushCmd struct {
	Name    string `arg:"" help:"Domain name; . with --subtree is everything."`
	Subtree bool   `help:"All names below it too."`
	controlFlags
}

// flushRequest is the body of POST /api/v1/cache/flush.
type flushRequest struct {
	Name    string `json:"name"`
	Subtree bool   `json:"subtree"`
}

// flushReply is its answer.
type flushReply struct {
	Flushed int `json:"flushed"`
}

// flushCache is POST /api/v1/cache/flush.
func (s *service) flushCache(r *http.Request) (any, error) {
	var req flushRequest
	if err := web.Decode(r, &req); err != nil {
		return nil, err
	}
	name, err := dnsname.Parse(req.Name)
	if err != nil || req.Name == "" {
		return nil, web.BadRequest("name: %q is not a domain name", req.Name)
	}
	return flushReply{s.resolver.FlushCache(name, req.Subtree)}, nil
}

// Run asks a running weir to forget.
func (c *cacheFlushCmd) Run(std stdio) error {
	client, err := c.connect()
	if err != nil {
		return err
	}
	var reply flushReply
	req := flushRequest{Name: c.Name, Subtree: c.Subtree}
	if err := client.call(context.Background(), http.MethodPost, "/api/v1/cache/flush", req, &reply); err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "%d answers forgotten\n", reply.Flushed)
	return err
}
