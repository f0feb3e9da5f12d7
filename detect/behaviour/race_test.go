//go:build race

package behaviour_test

// flooded is how many clients and names a flood has: the race detector makes a
// million take minutes.
const flooded = 100_000
