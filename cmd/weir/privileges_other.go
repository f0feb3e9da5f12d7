//go:build !linux

package main

// dropPrivileges has nothing to drop.
func dropPrivileges() error { return nil }
