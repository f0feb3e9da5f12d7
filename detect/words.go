package detect

import (
	"fmt"
	"math"
	"strconv"
)

// topic is what a feature is about. Many features look at the same thing from
// several sides, and share their influence among them as the training had it;
// people want to hear of the thing once.
type topic string

const (
	aboutSize       topic = "size"
	aboutLanguage   topic = "language"
	aboutSounds     topic = "sounds"
	aboutDigits     topic = "digits"
	aboutHex        topic = "hex"
	aboutRare       topic = "rare"
	aboutRepeats    topic = "repeats"
	aboutHyphens    topic = "hyphens"
	aboutAlgorithms topic = "algorithms"
	aboutSuffix     topic = "suffix"
)

// topics has the features by name, so that it reads models of every feature
// set. One that it lacks speaks for itself.
var topics = map[string]topic{
	"length": aboutSize, "entropy": aboutSize, "bigram_entropy": aboutSize, "unique_ratio": aboutSize, "letter_span": aboutSize,

	"alexa_grams": aboutLanguage, "word_grams": aboutLanguage, "alexa_grams_norm": aboutLanguage, "word_grams_norm": aboutLanguage,
	"alexa_trigram_mean": aboutLanguage, "word_trigram_mean": aboutLanguage, "alexa_trigram_cover": aboutLanguage, "word_trigram_cover": aboutLanguage,
	"alexa_trigram_gap": aboutLanguage, "word_trigram_gap": aboutLanguage,
	"lm_cost_2": aboutLanguage, "lm_cost_3": aboutLanguage, "lm_cost_4": aboutLanguage, "lm_cost_5": aboutLanguage, "lm_cost_max": aboutLanguage,
	"lm_cost_top_quarter": aboutLanguage, "lm_cost_low_quarter": aboutLanguage, "lm_improbable_run": aboutLanguage, "lm_expected_run": aboutLanguage,
	"lm_excess": aboutLanguage,

	"lm_contrast": aboutAlgorithms, "lm_contrast_sum": aboutAlgorithms,

	"vowel_proportion": aboutSounds, "vowel_run": aboutSounds, "consonant_run": aboutSounds, "consecutive_consonant_ratio": aboutSounds,
	"alternation": aboutSounds, "vowelless_run": aboutSounds,

	"digit_ratio": aboutDigits, "digit_run": aboutDigits, "letter_digit_changes": aboutDigits, "trailing_digits": aboutDigits,
	"first_is_digit": aboutDigits, "consecutive_digit_ratio": aboutDigits, "digit_groups": aboutDigits,

	"hex_ratio": aboutHex, "hex_mixed_length": aboutHex,
	"rare_letter_ratio": aboutRare,
	"same_run":          aboutRepeats, "repeated_ratio": aboutRepeats, "longest_repeat": aboutRepeats,
	"hyphens": aboutHyphens, "longest_token": aboutHyphens,
	"suffix_rarity": aboutSuffix, "suffix_private": aboutSuffix, "suffix_country": aboutSuffix,
}

// facts are the values of a vector by name. What a feature set lacks is 0.
type facts map[string]float64

// phrases say of a vector what a topic says about it. against is whether it
// spoke for a generated name: the numbers are the same, the point is another.
var phrases = map[topic]func(f facts, against bool) string{
	aboutSize: func(f facts, _ bool) string {
		what := "characters"
		if f["digit_ratio"] == 0 && f["hyphens"] == 0 {
			what = "letters"
		}
		return fmt.Sprintf("%.0f %s, entropy %.1f", f["length"], what, f["entropy"])
	},
	aboutLanguage: func(f facts, against bool) string {
		english, ok := f["word_trigram_cover"]
		switch {
		case ok && english == 0:
			return "no English-like letter sequences"
		case ok && against:
			return fmt.Sprintf("only %s of its letter sequences are English-like", percent(english))
		case ok:
			return fmt.Sprintf("%s of its letter sequences are English-like", percent(english))
		case against:
			return "letter sequences unlike those of popular names"
		}
		return "letter sequences like those of popular names"
	},
	aboutAlgorithms: func(_ facts, against bool) string {
		if against {
			return "letters follow each other as in names of known algorithms"
		}
		return "letters follow each other as in popular names"
	},
	aboutSounds: func(f facts, against bool) string {
		switch {
		case f["vowel_proportion"] == 0:
			return "no vowels"
		case against && f["consonant_run"] >= 4:
			return fmt.Sprintf("%.0f consonants in a row, %s vowels", f["consonant_run"], percent(f["vowel_proportion"]))
		}
		return percent(f["vowel_proportion"]) + " vowels"
	},
	aboutDigits: func(f facts, _ bool) string {
		digits := math.Round(f["digit_ratio"] * f["length"])
		switch {
		case digits == 0:
			return "no digits"
		case f["letter_digit_changes"] > 0 && f["trailing_digits"] < digits:
			return fmt.Sprintf("%.0f digits among %.0f characters, mixed", digits, f["length"])
		}
		return fmt.Sprintf("%.0f digits among %.0f characters", digits, f["length"])
	},
	aboutHex:  func(f facts, _ bool) string { return percent(f["hex_ratio"]) + " hexadecimal characters" },
	aboutRare: func(f facts, _ bool) string { return percent(f["rare_letter_ratio"]) + " rare letters (j, q, x, z)" },
	aboutRepeats: func(f facts, _ bool) string {
		if f["repeated_ratio"] == 0 {
			return "no character twice"
		}
		return percent(f["repeated_ratio"]) + " of its characters repeat"
	},
	aboutHyphens: func(f facts, _ bool) string {
		switch f["hyphens"] {
		case 0:
			return "no hyphen"
		case 1:
			return "1 hyphen"
		}
		return fmt.Sprintf("%.0f hyphens", f["hyphens"])
	},
	aboutSuffix: func(f facts, against bool) string {
		switch {
		case f["suffix_private"] == 1:
			return "below a provider's suffix"
		case against:
			return "under a suffix that is rare among popular names"
		}
		return "under a suffix that is common among popular names"
	},
}

func percent(share float64) string { return strconv.Itoa(int(math.Round(share*100))) + " %" }

func number(v float64) string { return strconv.FormatFloat(v, 'g', 3, 64) }
