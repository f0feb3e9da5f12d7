//go:build !race

package blocklist_test

const raced = false
