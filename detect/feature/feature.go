// Package feature turns a registered domain into the vector of numbers that
// the DGA model judges. It is the one implementation: the resolver, the
// sniffer and the training all get their numbers from here, so what was
// measured is what is enforced.
//
// It looks at the label left of the public suffix. Subdomains stay out. The
// suffix has a part of its own, the last three features: a suffix says more about
// price lists than about algorithms, and a model that sees it learns the families
// of its training lists by their registries (docs/model-card.md measures that), so
// the trees that ship are not shown it. The package refuses names that it has no
// numbers for (no registered domain, punycode) rather than give zeros, and it
// knows nothing of models, thresholds or verdicts.
package feature

import (
	"bytes"

	"github.com/weirdns/weir/internal/dnsname"
)

// Version names the set: which features, in which order, computed how. A model
// trained on one version must not be asked about another, so anything that
// changes a single bit of a single vector changes Version too (the golden test
// says so). The n-gram tables are data, not part of the version: they travel
// with the model and are pinned by its manifest.
const Version = "weir-label-2"

// The features in their order. A feature is a count or a ratio over the bytes
// of the registered label; "word" below means the word table, "alexa" the table
// of popular names.
const (
	fLength        = iota // bytes of the label, 1 to 63
	fEntropy              // Shannon entropy of the bytes, in bits
	fVowels               // share of a, e, i, o, u
	fAlexaGrams           // sum of weights of all n-grams of 3 to 5 bytes, table of popular names
	fWordGrams            // the same, table of English words
	fAlexaNorm            // alexa_grams by length
	fWordNorm             // word_grams by length
	fAlexaTri             // mean weight of the trigrams alone, popular names
	fWordTri              // the same, words
	fAlexaCover           // share of the trigrams that the table of popular names has
	fWordCover            // the same, words
	fAlexaGap             // most trigrams in a row that the table of popular names lacks
	fWordGap              // the same, words
	fDigits               // share of digits
	fHyphens              // number of hyphens
	fVowelRun             // longest run of vowels
	fConsonantRun         // longest run of consonants (y is one)
	fDigitRun             // longest run of digits
	fSameRun              // longest run of one byte
	fUnique               // distinct bytes by length
	fRepeated             // share of the distinct bytes that occur more than once
	fHex                  // share of 0-9 and a-f
	fTransitions          // changes between letter and digit, by neighbouring pairs
	fTrailing             // digits at the end
	fFirstDigit           // 1 if the first byte is a digit
	fConsonants2          // share of bytes in runs of two or more consonants
	fDigits2              // share of bytes in runs of two or more digits
	fBigram               // Shannon entropy of the byte pairs, in bits
	fAlternation          // share of neighbouring letters that go from vowel to consonant or back
	fRare                 // share of the letters j, q, x, z
	fNoVowel              // longest run of letters and digits without a vowel
	fDigitGroups          // runs of digits
	fHexMixed             // bytes of the label if all are hexadecimal, letters and digits both, else 0
	fToken                // longest part between hyphens
	fSpan                 // distance of the lowest from the highest letter
	fRepeat               // longest n-gram that occurs twice
	fCost2                // bits a byte, language of popular names, after one byte
	fCost3                // the same, after two
	fCost4                // after three
	fCost5                // after four
	fCostMax              // bits of the least expected byte, after two
	fCostTop              // mean of the least expected quarter, after three
	fCostLow              // mean of the most expected quarter, after three
	fImprobable           // most bytes in a row that cost more than 6 bits, after two
	fExpected             // most bytes in a row that cost less than 3 bits, after four
	fExcess               // bits of the label above those of drawing its alphabet at random
	fContrast             // bits a byte that the language of algorithms saves, after four
	fContrastSum          // the same, of the whole label
	fSuffixRarity         // how rare the public suffix is among popular names, in steps of two bits
	fSuffixPrivate        // 1 if the suffix is a provider's, not a registry's
	fSuffixCountry        // 1 if the suffix ends in two letters

	// Count is the length of a vector.
	Count
)

var names = [Count]string{
	fLength: "length", fEntropy: "entropy", fVowels: "vowel_proportion",
	fAlexaGrams: "alexa_grams", fWordGrams: "word_grams",
	fAlexaNorm: "alexa_grams_norm", fWordNorm: "word_grams_norm",
	fAlexaTri: "alexa_trigram_mean", fWordTri: "word_trigram_mean",
	fAlexaCover: "alexa_trigram_cover", fWordCover: "word_trigram_cover",
	fAlexaGap: "alexa_trigram_gap", fWordGap: "word_trigram_gap",
	fDigits: "digit_ratio", fHyphens: "hyphens",
	fVowelRun: "vowel_run", fConsonantRun: "consonant_run", fDigitRun: "digit_run", fSameRun: "same_run",
	fUnique: "unique_ratio", fRepeated: "repeated_ratio", fHex: "hex_ratio",
	fTransitions: "letter_digit_changes", fTrailing: "trailing_digits", fFirstDigit: "first_is_digit",
	fConsonants2: "consecutive_consonant_ratio", fDigits2: "consecutive_digit_ratio",
	fBigram: "bigram_entropy", fAlternation: "alternation", fRare: "rare_letter_ratio",
	fNoVowel: "vowelless_run", fDigitGroups: "digit_groups", fHexMixed: "hex_mixed_length",
	fToken: "longest_token", fSpan: "letter_span", fRepeat: "longest_repeat",
	fCost2: "lm_cost_2", fCost3: "lm_cost_3", fCost4: "lm_cost_4", fCost5: "lm_cost_5",
	fCostMax: "lm_cost_max", fCostTop: "lm_cost_top_quarter", fCostLow: "lm_cost_low_quarter",
	fImprobable: "lm_improbable_run", fExpected: "lm_expected_run", fExcess: "lm_excess",
	fContrast: "lm_contrast", fContrastSum: "lm_contrast_sum",
	fSuffixRarity: "suffix_rarity", fSuffixPrivate: "suffix_private", fSuffixCountry: "suffix_country",
}

// Names are the features' names, in the order of a vector. The slice is the
// caller's own.
func Names() []string { return append([]string(nil), names[:]...) }

// Tables are the n-gram weights that an Extractor looks up.
type Tables struct {
	Alexa *Grams // fitted on labels of popular names that no tree was trained on
	Words *Grams // fitted on English words
	// Language models of labels: of popular names that no tree was trained on,
	// and of names that algorithms made.
	Popular, Algorithmic *Language
	Suffixes             *Suffixes // how often popular names have which public suffix
}

// Extractor computes vectors. It is immutable and safe for concurrent use.
type Extractor struct {
	tables Tables
}

// New makes an Extractor over tables; a nil table weighs every n-gram zero.
func New(tables Tables) *Extractor {
	return &Extractor{tables: tables}
}

// Scorable says whether s has a vector: a registered domain whose label is not
// punycode (RFC 5890, section 2.3.1), of which the tables know nothing.
func Scorable(s dnsname.Split) bool {
	return len(s.Registered) > 1 && !bytes.HasPrefix(s.Registered.Label(), []byte("xn--"))
}

// Append appends the vector of s's registered label, Count values, to dst. A
// name that is not Scorable appends nothing. It does not allocate where dst has
// room.
//
// Every value is finite and exactly representable as a float32: trainer and
// server then compare the same number with the same threshold, and no rounding
// can put a name on the other side of a cut.
func (x *Extractor) Append(dst []float64, s dnsname.Split) []float64 {
	if !Scorable(s) {
		return dst
	}
	var v [Count]float64
	label := s.Registered.Label()
	characters(&v, label)
	x.grams(&v, label)
	x.languages(&v, label)
	x.suffix(&v, s)
	for _, f := range v {
		dst = append(dst, float64(float32(f)))
	}
	return dst
}

// grams fills in what the tables say.
func (x *Extractor) grams(v *[Count]float64, label []byte) {
	var codes [dnsname.MaxLabel]uint32
	n := copyCodes(codes[:], label)
	length, trigrams := float64(n), float64(max(n-2, 1))

	a := x.tables.Alexa.weigh(codes[:n])
	v[fAlexaGrams] = a.sum
	v[fAlexaNorm] = a.sum / length
	v[fAlexaTri] = a.trigrams / trigrams
	v[fAlexaCover] = float64(a.covered) / trigrams
	v[fAlexaGap] = float64(a.gap)

	w := x.tables.Words.weigh(codes[:n])
	v[fWordGrams] = w.sum
	v[fWordNorm] = w.sum / length
	v[fWordTri] = w.trigrams / trigrams
	v[fWordCover] = float64(w.covered) / trigrams
	v[fWordGap] = float64(w.gap)
}
