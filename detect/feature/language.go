package feature

import "slices"

// A byte is improbable if it costs more than this after the two before it, and
// expected if it costs less than that after the four before it.
const (
	improbable = 6 * costSteps
	expected   = 3 * costSteps
)

// languages fills in what the language models say.
func (x *Extractor) languages(v *[Count]float64, label []byte) {
	var popular, algorithmic costs
	x.tables.Popular.cost(&popular, label)
	x.tables.Algorithmic.cost(&algorithmic, label)
	places := len(label) + 1 // the end of the label is one

	var sums [maxOrder + 1]int
	for n := 2; n <= maxOrder; n++ {
		for _, c := range popular[n][:places] {
			sums[n] += int(c)
		}
	}
	per := func(steps int) float64 { return float64(steps) / float64(costSteps*places) }
	v[fCost2], v[fCost3], v[fCost4], v[fCost5] = per(sums[2]), per(sums[3]), per(sums[4]), per(sums[5])

	highest, run, runs, known, longest := uint8(0), 0, 0, 0, 0
	for i := range places {
		c := popular[3][i]
		highest = max(highest, c)
		if c > improbable {
			run++
		} else {
			run = 0
		}
		runs = max(runs, run)
		if popular[5][i] < expected {
			known++
		} else {
			known = 0
		}
		longest = max(longest, known)
	}
	v[fCostMax] = float64(highest) / costSteps
	v[fImprobable] = float64(runs)
	v[fExpected] = float64(longest)

	sorted := popular[4]
	slices.Sort(sorted[:places])
	quarter := max(places/4, 1)
	top, low := 0, 0
	for _, c := range sorted[places-quarter : places] {
		top += int(c)
	}
	for _, c := range sorted[:quarter] {
		low += int(c)
	}
	v[fCostTop] = float64(top) / float64(costSteps*quarter)
	v[fCostLow] = float64(low) / float64(costSteps*quarter)

	v[fExcess] = float64(sums[5])/costSteps - randomCost(label)

	other := 0
	for _, c := range algorithmic[5][:places] {
		other += int(c)
	}
	v[fContrast] = per(sums[5] - other)
	v[fContrastSum] = float64(sums[5]-other) / costSteps
}

// randomCost is what the label costs, in bits, under whichever simple alphabet
// makes it cheapest, every byte drawn alike and alone.
func randomCost(label []byte) float64 {
	hex, digits, letters, odd := true, true, true, 0
	for _, c := range label {
		d := '0' <= c && c <= '9'
		l := 'a' <= c && c <= 'z'
		hex = hex && (d || l && c <= 'f')
		digits = digits && d
		letters = letters && l
		if !d && !l {
			odd++
		}
	}
	// log2 of 10, 16, 26, 36 and 37.
	each := 5.169925001442312
	switch {
	case digits:
		each = 3.321928094887362
	case hex:
		each = 4
	case letters:
		each = 4.700439718141092
	case odd > 0:
		each = 5.20945336562895
	}
	return each * float64(len(label))
}
