package detect

// HasWords says whether words.go knows what a feature is about.
func HasWords(feature string) bool {
	t, ok := topics[feature]
	return ok && phrases[t] != nil
}

// Grounds says in words what contributions come to.
func Grounds(all []Contribution) []Ground { return grounds(all) }
