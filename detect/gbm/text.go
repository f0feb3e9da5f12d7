package gbm

import (
	"fmt"
	"strconv"
	"strings"
)

// appendText writes the ensemble as leaves reads it: header version v3, and of
// each tree what a prediction needs. Numbers are written so that they read back
// as the same bits.
func (e *ensemble) appendText(dst []byte) []byte {
	dst = fmt.Appendf(dst, "tree\nversion=v3\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=%d\n", len(e.features)-1)
	// leaves counts tree_sizes and does not read them.
	dst = append(dst, "tree_sizes="+strings.TrimSuffix(strings.Repeat("1 ", len(e.trees)), " ")+"\n\n"...)
	for i, t := range e.trees {
		dst = fmt.Appendf(dst, "Tree=%d\nnum_leaves=%d\nnum_cat=0\n", i, len(t.value))
		dst = appendList(dst, "leaf_value", t.value, appendFloat)
		if len(t.feature) > 0 {
			dst = appendList(dst, "split_feature", t.feature, appendInt)
			dst = appendList(dst, "threshold", t.threshold, appendFloat)
			dst = appendList(dst, "decision_type", t.decision, appendInt)
			dst = appendList(dst, "left_child", t.left, appendInt)
			dst = appendList(dst, "right_child", t.right, appendInt)
		}
		dst = append(dst, '\n')
	}
	return append(dst, endOfTrees+"\n"...)
}

func appendList[T any](dst []byte, key string, values []T, write func([]byte, T) []byte) []byte {
	dst = append(dst, key+"="...)
	for i, v := range values {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = write(dst, v)
	}
	return append(dst, '\n')
}

func appendInt(dst []byte, v int) []byte       { return strconv.AppendInt(dst, int64(v), 10) }
func appendFloat(dst []byte, v float64) []byte { return strconv.AppendFloat(dst, v, 'g', -1, 64) }
