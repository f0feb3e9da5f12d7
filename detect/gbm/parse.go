package gbm

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// ensemble is what the text of a model says, checked.
type ensemble struct {
	features []string
	trees    []tree
}

// tree is one tree as LightGBM numbers it: inner nodes from 0, the root; a
// child below zero is the leaf ^child.
type tree struct {
	feature     []int
	threshold   []float64
	decision    []int
	left, right []int
	value       []float64 // of the leaves
	count       []uint64  // names of the training in each leaf; empty: not said
}

// Keys of the text. What is in neither set is refused: it might change what
// the trees mean. Those mapped to false are read past, being about training.
var (
	headerKeys = map[string]bool{
		"version": true, "num_class": true, "num_tree_per_iteration": true, "label_index": false,
		"max_feature_idx": true, "objective": true, "feature_names": true, "feature_infos": false,
		"monotone_constraints": false, "tree_sizes": true,
	}
	treeKeys = map[string]bool{
		"num_leaves": true, "num_cat": true, "split_feature": true, "split_gain": false, "threshold": true,
		"decision_type": true, "left_child": true, "right_child": true, "leaf_value": true,
		"leaf_weight": false, "leaf_count": true, "internal_value": false, "internal_weight": false,
		"internal_count": false, "is_linear": true, "shrinkage": false,
	}
)

// section is one block of key=value lines.
type section map[string]string

// readSection cuts one block off text: its first line and the pairs that
// follow, up to the blank line.
func readSection(text []byte, keys map[string]bool) (first string, s section, rest []byte, err error) {
	text = bytes.TrimLeft(text, "\r\n")
	s = make(section)
	for started := false; len(text) > 0; started = true {
		var raw []byte
		raw, text, _ = bytes.Cut(text, []byte("\n"))
		line := string(bytes.TrimRight(raw, "\r"))
		if line == "" {
			break
		}
		if !started {
			first = line
			if first == endOfTrees {
				break
			}
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		use, known := keys[key]
		switch {
		case !ok || !known:
			return "", nil, nil, fmt.Errorf("%.40s: unknown line %.40q", first, line)
		case s[key] != "":
			return "", nil, nil, fmt.Errorf("%.40s: %s twice", first, key)
		case use:
			s[key] = value
		}
	}
	return first, s, text, nil
}

const endOfTrees = "end of trees"

func parse(text []byte) (*ensemble, error) {
	first, head, rest, err := readSection(text, headerKeys)
	if err != nil {
		return nil, err
	}
	if first != "tree" {
		return nil, fmt.Errorf("starts with %.20q: not a tree ensemble in LightGBM's text form", first)
	}
	switch head["version"] {
	case "v2", "v3", "v4": // v4 differs by linear trees only, which are refused below
	default:
		return nil, fmt.Errorf("version %q, want v2, v3 or v4", head["version"])
	}
	for key, want := range map[string]string{
		"num_class": "1", "num_tree_per_iteration": "1", "objective": "binary sigmoid:1",
	} {
		if head[key] != want {
			return nil, fmt.Errorf("%s is %.40q, want %q", key, head[key], want)
		}
	}
	e := &ensemble{features: strings.Split(head["feature_names"], " ")}
	if want := strconv.Itoa(len(e.features) - 1); head["max_feature_idx"] != want {
		return nil, fmt.Errorf("max_feature_idx is %.20q for %d feature_names", head["max_feature_idx"], len(e.features))
	}
	if len(e.features) < 2 {
		return nil, fmt.Errorf("one feature: leaves takes that for none") // its NFeatures
	}
	count := len(strings.Fields(head["tree_sizes"]))
	if count == 0 || count > maxTrees {
		return nil, fmt.Errorf("%d trees, want 1 to %d", count, maxTrees)
	}
	for i := range count {
		if first, head, rest, err = readSection(rest, treeKeys); err != nil {
			return nil, err
		}
		if want := "Tree=" + strconv.Itoa(i); first != want {
			return nil, fmt.Errorf("found %.20q, want %q of %d", first, want, count)
		}
		t, err := parseTree(head)
		if err == nil {
			err = t.check(len(e.features))
		}
		if err != nil {
			return nil, fmt.Errorf("tree %d: %w", i, err)
		}
		e.trees = append(e.trees, t)
	}
	if first, _, _, err = readSection(rest, nil); first != endOfTrees {
		return nil, fmt.Errorf("found %.20q after %d trees, want %q (%v)", first, count, endOfTrees, err)
	}
	return e, nil
}

func parseTree(s section) (t tree, err error) {
	leaves, err := strconv.Atoi(s["num_leaves"])
	if err != nil || leaves < 1 || leaves > maxLeaves {
		return t, fmt.Errorf("num_leaves is %.20q, want 1 to %d", s["num_leaves"], maxLeaves)
	}
	if s["num_cat"] != "0" {
		return t, fmt.Errorf("num_cat is %.20q: categorical splits are not supported", s["num_cat"])
	}
	if linear := s["is_linear"]; linear != "" && linear != "0" {
		return t, fmt.Errorf("is_linear is %.20q: linear trees are not supported", linear)
	}
	if t.value, err = list(s, "leaf_value", leaves, parseFloat); err != nil {
		return t, err
	}
	if s["leaf_count"] != "" {
		if t.count, err = list(s, "leaf_count", leaves, parseCount); err != nil {
			return t, err
		}
	}
	if leaves == 1 {
		return t, nil // a constant; LightGBM writes the other lists empty
	}
	if t.threshold, err = list(s, "threshold", leaves-1, parseFloat); err != nil {
		return t, err
	}
	for key, to := range map[string]*[]int{
		"split_feature": &t.feature, "decision_type": &t.decision, "left_child": &t.left, "right_child": &t.right,
	} {
		if *to, err = list(s, key, leaves-1, strconv.Atoi); err != nil {
			return t, err
		}
	}
	return t, nil
}

// list parses n numbers.
func list[T any](s section, key string, n int, parse func(string) (T, error)) ([]T, error) {
	words := strings.Split(s[key], " ")
	if len(words) != n {
		return nil, fmt.Errorf("%s has %d values, want %d", key, len(words), n)
	}
	out := make([]T, n)
	for i, w := range words {
		var err error
		if out[i], err = parse(w); err != nil {
			return nil, fmt.Errorf("%s, value %d: %.40q is no number", key, i, w)
		}
	}
	return out, nil
}

func parseFloat(s string) (float64, error) { return strconv.ParseFloat(s, 64) }

// parseCount takes as many bits as any training has names; sums stay exact.
func parseCount(s string) (uint64, error) { return strconv.ParseUint(s, 10, 32) }

// The one kind of split taken: numerical, missing values not treated apart
// (there are none: Score refuses NaN). Bit 1, "default left", then means nothing.
const (
	decisionPlain = 0
	decisionLeft  = 2
)

// check says what is wrong with the numbers of a tree over n features.
func (t *tree) check(n int) error {
	for i, v := range t.value {
		if v-v != 0 {
			return fmt.Errorf("leaf %d is %v", i, v)
		}
	}
	for i, f := range t.feature {
		switch {
		case f < 0 || f >= n:
			return fmt.Errorf("node %d splits feature %d of %d", i, f, n)
		case math.IsNaN(t.threshold[i]) || math.IsInf(t.threshold[i], 0):
			return fmt.Errorf("node %d: threshold %v", i, t.threshold[i])
		case t.decision[i] != decisionPlain && t.decision[i] != decisionLeft:
			return fmt.Errorf("node %d: decision_type %d is not supported", i, t.decision[i])
		}
	}
	return t.checkShape()
}

// checkShape walks from the root and wants to meet every inner node and every
// leaf exactly once, within maxDepth. What is met once and is all there is has
// no cycle and nothing out of reach.
func (t *tree) checkShape() error {
	if len(t.feature) == 0 {
		return nil
	}
	type at struct{ node, depth int }
	nodes, leaves := make([]bool, len(t.feature)), make([]bool, len(t.value))
	nodes[0] = true
	met := 1
	for stack := []at{{0, 1}}; len(stack) > 0; {
		here := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if here.depth > maxDepth {
			return fmt.Errorf("deeper than %d", maxDepth)
		}
		for _, child := range []int{t.left[here.node], t.right[here.node]} {
			seen := nodes
			if child < 0 {
				seen, child = leaves, ^child
			} else {
				stack = append(stack, at{child, here.depth + 1})
			}
			if child >= len(seen) {
				return fmt.Errorf("node %d: child %d of %d", here.node, child, len(seen))
			}
			if seen[child] {
				return fmt.Errorf("node %d: child %d is met a second time", here.node, child)
			}
			seen[child] = true
			met++
		}
	}
	if all := len(nodes) + len(leaves); met != all || slices.Contains(leaves, false) {
		return fmt.Errorf("%d of %d nodes and leaves are within reach", met, all)
	}
	return nil
}
