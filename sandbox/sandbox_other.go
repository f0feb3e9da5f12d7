//go:build !linux

package sandbox

// Apply does nothing where there is nothing of the kind.
func Apply(Config, Paths) (Applied, error) {
	return Applied{Missing: []string{"a system with landlock and seccomp"}}, nil
}
