//go:build !race

package behaviour_test

// flooded is how many clients and names a flood has.
const flooded = 1_000_000
