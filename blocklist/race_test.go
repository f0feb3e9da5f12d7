//go:build race

package blocklist_test

// raced: the race detector is on, under which sync.Pool forgets at random.
const raced = true
