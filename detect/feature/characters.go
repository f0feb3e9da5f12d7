package feature

import "github.com/weirdns/weir/internal/dnsname"

// class is what a byte is to the character statistics.
type class uint8

const (
	other class = iota // hyphen, underscore and every byte that no host name holds
	vowel
	consonant
	digit
)

func classOf(c byte) class {
	switch {
	case c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u':
		return vowel
	case 'a' <= c && c <= 'z':
		return consonant
	case '0' <= c && c <= '9':
		return digit
	}
	return other
}

// characters fills in all that needs no table. label is 1 to 63 bytes.
func characters(v *[Count]float64, label []byte) {
	n := float64(len(label))
	pairs := max(n-1, 1)

	var vowels, hex, rare, hyphens, changes, alternations, letterPairs float64
	var runs [digit + 1]int   // the longest run of each class
	var inRuns [digit + 1]int // bytes in runs of two or more
	run, same, longestSame := 0, 0, 0
	last := class(255) // of no byte, so that the first one starts a run
	for i, c := range label {
		k := classOf(c)
		if k == vowel {
			vowels++
		}
		if k == digit || 'a' <= c && c <= 'f' {
			hex++
		}
		switch c {
		case 'j', 'q', 'x', 'z':
			rare++
		case '-':
			hyphens++
		}
		if k == last {
			run++
			inRuns[k]++
			if run == 2 {
				inRuns[k]++ // the byte before this one, now that it has company
			}
		} else {
			run = 1
		}
		runs[k] = max(runs[k], run)
		if i > 0 && c == label[i-1] {
			same++
		} else {
			same = 1
		}
		longestSame = max(longestSame, same)
		if i > 0 {
			letter, before := k == vowel || k == consonant, last == vowel || last == consonant
			if letter && last == digit || k == digit && before {
				changes++
			}
			if letter && before {
				letterPairs++
				if k != last {
					alternations++
				}
			}
		}
		last = k
	}

	v[fLength] = n
	v[fVowels] = vowels / n
	v[fHyphens] = hyphens
	v[fVowelRun] = float64(runs[vowel])
	v[fConsonantRun] = float64(runs[consonant])
	v[fDigitRun] = float64(runs[digit])
	v[fSameRun] = float64(longestSame)
	v[fHex] = hex / n
	v[fTransitions] = changes / pairs
	v[fConsonants2] = float64(inRuns[consonant]) / n
	v[fDigits2] = float64(inRuns[digit]) / n
	v[fAlternation] = alternations / max(letterPairs, 1)
	v[fRare] = rare / n
	digitStatistics(v, label)
	byteStatistics(v, label)
	alphabetStatistics(v, label)
	v[fRepeat] = float64(longestRepeat(label))
}

// alphabetStatistics fills in what tells apart the alphabets that generators
// draw from.
func alphabetStatistics(v *[Count]float64, label []byte) {
	lowest, highest := byte('z'), byte('a')
	letters, digits, hex := 0, 0, 0
	noVowel, longestNoVowel, token, longestToken, groups := 0, 0, 0, 0, 0
	inDigits := false
	for _, c := range label {
		k := classOf(c)
		switch k {
		case vowel, consonant:
			letters++
			lowest, highest = min(lowest, c), max(highest, c)
			if c <= 'f' {
				hex++
			}
		case digit:
			digits++
			if !inDigits {
				groups++
			}
		}
		inDigits = k == digit
		if k == consonant || k == digit {
			noVowel++
		} else {
			noVowel = 0
		}
		longestNoVowel = max(longestNoVowel, noVowel)
		if c == '-' {
			token = 0
		} else {
			token++
		}
		longestToken = max(longestToken, token)
	}
	v[fNoVowel] = float64(longestNoVowel)
	v[fDigitGroups] = float64(groups)
	v[fToken] = float64(longestToken)
	if letters > 0 {
		v[fSpan] = float64(highest - lowest)
	}
	if letters > 0 && digits > 0 && hex+digits == len(label) {
		v[fHexMixed] = float64(len(label))
	}
}

// longestRepeat is the length of the longest n-gram that occurs at two places,
// which may overlap.
func longestRepeat(label []byte) int {
	// lengths[i]: of the common end of label[:j] and label[:i].
	var lengths [dnsname.MaxLabel + 1]uint8
	longest := uint8(0)
	for j := 2; j <= len(label); j++ {
		// Downwards, so that lengths[i-1] is still that of j-1.
		for i := j - 1; i > 0; i-- {
			if label[i-1] == label[j-1] {
				lengths[i] = lengths[i-1] + 1
				longest = max(longest, lengths[i])
			} else {
				lengths[i] = 0
			}
		}
	}
	return int(longest)
}

func digitStatistics(v *[Count]float64, label []byte) {
	digits, trailing := 0, 0
	for _, c := range label {
		if classOf(c) == digit {
			digits++
			trailing++
		} else {
			trailing = 0
		}
	}
	v[fDigits] = float64(digits) / float64(len(label))
	v[fTrailing] = float64(trailing)
	if classOf(label[0]) == digit {
		v[fFirstDigit] = 1
	}
}

// byteStatistics counts bytes and pairs of bytes.
func byteStatistics(v *[Count]float64, label []byte) {
	var counts [256]uint8
	distinct, repeated := 0, 0
	for _, c := range label {
		counts[c]++
		switch counts[c] {
		case 1:
			distinct++
		case 2:
			repeated++
		}
	}
	sum := 0.0 // over distinct bytes, in the order of their first occurrence
	for _, c := range label {
		sum += nLogN[counts[c]]
		counts[c] = 0 // nLogN[0] is 0: later occurrences add nothing
	}
	v[fEntropy] = entropy(sum, len(label))
	v[fUnique] = float64(distinct) / float64(len(label))
	v[fRepeated] = float64(repeated) / float64(distinct)

	// Pairs: a label has at most 62, so comparing each with those before it is
	// cheaper than clearing a table of all that are possible.
	var seen [dnsname.MaxLabel]uint16
	var times [dnsname.MaxLabel]uint8
	kinds := 0
next:
	for i := 1; i < len(label); i++ {
		pair := uint16(label[i-1])<<8 | uint16(label[i])
		for k := range kinds {
			if seen[k] == pair {
				times[k]++
				continue next
			}
		}
		seen[kinds], times[kinds] = pair, 1
		kinds++
	}
	sum = 0
	for _, t := range times[:kinds] {
		sum += nLogN[t]
	}
	if len(label) > 1 {
		v[fBigram] = entropy(sum, len(label)-1)
	}
}

// entropy of n things of which each kind that occurs c times adds c*log2(c) to
// sum, in bits. It is the textbook's -sum(p*log2(p)), rearranged so that all
// logarithms come from a table and every machine gets the same bits.
func entropy(sum float64, n int) float64 {
	return (nLogN[n] - sum) / float64(n)
}

// nLogN is n*log2(n).
var nLogN = [dnsname.MaxLabel + 1]float64{
	0.0, 0.0, 2.0, 4.754887502163468,
	8.0, 11.60964047443681, 15.509775004326936, 19.651484454403228,
	24.0, 28.52932501298081, 33.219280948873624, 38.05374780501027,
	43.01955000865387, 48.105716335834195, 53.302968908806456, 58.60335893412778,
	64.0, 69.48686830125577, 75.05865002596161, 80.71062275542812,
	86.43856189774725, 92.23866587835397, 98.10749561002054, 104.0419249893113,
	110.03910001730775, 116.09640474436812, 122.21143267166839, 128.38196255841365,
	134.6059378176129, 140.88144885869957, 147.20671786825557, 153.58008562199313,
	160.0, 166.46500593882897, 172.97373660251154, 179.5249055930738,
	186.11730005192322, 192.74977452827116, 199.42124551085624, 206.1306865356277,
	212.8771237954945, 219.65963218934144, 226.47733175670794, 233.3293844521902,
	240.21499122004107, 247.13338933483536, 254.0838499786226, 261.06567602884894,
	268.0782000346155, 275.1207823616452, 282.1928094887362, 289.29369244054624,
	296.42286534333675, 303.57978409184955, 310.7639251168273, 317.9747842438563,
	325.2118756352258, 332.47473080739024, 339.76289771739914, 347.07593991234864,
	354.41343573651113, 361.7749775913361, 369.16017124398627, 376.56863518049477,
}
