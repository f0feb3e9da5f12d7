//go:build !race

package unusual_test

const raceEnabled = false
