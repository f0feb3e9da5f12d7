package lookalike

import (
	_ "embed"
	"strings"
)

//go:embed brands.txt
var brandsText string

// Builtin are the names that forgers use most, worldwide. Your own come first:
// they are where this detector is at its best.
func Builtin() []Brand {
	var list []Brand
	for line := range strings.Lines(brandsText) {
		if f := strings.Fields(line); len(f) > 0 && !strings.HasPrefix(line, "#") {
			domain, everyday := strings.CutPrefix(f[0], "~")
			list = append(list, Brand{Domain: domain, Owned: f[1:], Everyday: everyday})
		}
	}
	return list
}
