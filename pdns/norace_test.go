//go:build !race

package pdns_test

const raceEnabled = false
