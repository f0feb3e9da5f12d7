//go:build !unix

package main

import "os"

// lockState does nothing where there is no flock(2).
func lockState(string) (*os.File, error) { return nil, nil }

func canMake(string) error { return nil }
