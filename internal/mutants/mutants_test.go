// Package mutants shows that the tests would notice if a check of what comes
// from outside were missing: it takes each condition of the code that reads
// queries and answers out in turn, and wants a test to fail. It has no code of
// its own, and runs with WEIR_MUTANTS=1 (make mutants).
package mutants

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// target is a file, the functions of it that check something, and the tests
// that ought to notice, the quick ones first.
type target struct {
	file      string
	functions []string
	tests     [][]string // arguments of go test
}

var (
	wireTests     = []string{"./internal/dnswire"}
	validateTests = []string{"./resolver/upstream", "-run", "Validate|SaysNoEDNS|Answers|OnlyAnswers|LongChains|OPTIsRemoved|Forged"}
	upstreamTests = []string{"./resolver/upstream"}
	resolverTests = []string{"./resolver", "-run", "WhatIsNoQuery|Scenarios"}
)

var targets = []target{
	{"resolver/upstream/validate.go", []string{"validate", "refusesOPT", "checkQuestion", "readRecords", "checkOwners", "checkRecord"}, [][]string{validateTests, upstreamTests, resolverTests}},
	{"resolver/upstream/chain.go", []string{"follow", "readLinks", "has"}, [][]string{validateTests, upstreamTests}},
	{"internal/dnswire/query.go", []string{"ReadQuestion", "ReadQuery", "readOPT", "NextOption"}, [][]string{wireTests, resolverTests}},
	{"internal/dnswire/name.go", []string{"ReadName", "skipName"}, [][]string{wireTests, validateTests}},
	{"internal/dnswire/records.go", []string{"Next", "WalkMessage"}, [][]string{wireTests, validateTests}},
	{"resolver/resolve.go", []string{"decode", "unsupported"}, [][]string{resolverTests}},
}

// equivalent are conditions without which nothing can be observed, and why.
var equivalent = map[string]string{
	"resolver/upstream/chain.go: err1 != nil || err2 != nil":                     "readRecords has read the same names before",
	"resolver/upstream/chain.go: len(links) == 0":                                "a short cut: without links the loop ends at once",
	"resolver/upstream/chain.go: pointsToQuestion(msg, rec.Start)":               "a short cut: the name would be read and found equal",
	"resolver/resolve.go: qtype > dnswire.TypeOPT && qtype < dnswire.TypeNXNAME": "a short cut: these types end in success below",
	"resolver/upstream/validate.go: r.h.AN == 0":                                 "a short cut: nothing to look at",
	"internal/dnswire/query.go: q.AN == 0 && q.NS == 0 && q.AR == 0":             "a short cut: the walk ends at once",
}

// mutant is one condition that is never true.
type mutant struct {
	target    target
	condition string
	line      int
	source    []byte
}

func TestEachCheckIsHeldByATest(t *testing.T) {
	if os.Getenv("WEIR_MUTANTS") == "" {
		t.Skip("set WEIR_MUTANTS=1 (make mutants)")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	killed, all := 0, 0
	for _, target := range targets {
		for _, m := range mutants(t, root, target) {
			all++
			name := fmt.Sprintf("%s:%d: %s", target.file, m.line, m.condition)
			why, known := equivalent[target.file+": "+m.condition]
			switch by := m.kill(t, root); {
			case by != "":
				killed++
				t.Logf("noticed by %s: %s", by, name)
			case known:
				all--
				t.Logf("cannot be noticed (%s): %s", why, name)
			default:
				t.Errorf("no test notices when this is never true: %s", name)
			}
		}
	}
	t.Logf("%d of %d noticed", killed, all)
}

// mutants are the conditions of target's functions.
func mutants(t *testing.T, root string, tg target) (out []mutant) {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(root, tg.file))
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, tg.file, source, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || !slices.Contains(tg.functions, f.Name.Name) {
			continue
		}
		found++
		ast.Inspect(f, func(n ast.Node) bool {
			var conditions []ast.Expr
			switch n := n.(type) {
			case *ast.IfStmt:
				conditions = []ast.Expr{n.Cond}
			case *ast.SwitchStmt:
				if n.Tag != nil {
					return true // its cases are values
				}
				for _, c := range n.Body.List {
					conditions = append(conditions, c.(*ast.CaseClause).List...)
				}
			}
			for _, c := range conditions {
				from, to := fset.Position(c.Pos()), fset.Position(c.End())
				text := string(source[from.Offset:to.Offset])
				out = append(out, mutant{
					target: tg, condition: text, line: from.Line,
					source: slices.Concat(source[:from.Offset], []byte("false && ("+text+")"), source[to.Offset:]),
				})
			}
			return true
		})
	}
	if found != len(tg.functions) {
		t.Fatalf("%s has %d of the functions %v", tg.file, found, tg.functions)
	}
	return out
}

// kill runs the tests over the mutant, and returns the packages whose tests
// failed first; "" if none did.
func (m *mutant) kill(t *testing.T, root string) string {
	t.Helper()
	dir := t.TempDir()
	changed := filepath.Join(dir, "mutant.go")
	overlay := filepath.Join(dir, "overlay.json")
	list, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(root, m.target.file): changed}})
	if err != nil {
		t.Fatal(err)
	}
	for path, data := range map[string][]byte{changed: m.source, overlay: list} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	vet := exec.Command("go", "build", "-overlay", overlay, "./"+filepath.Dir(m.target.file))
	vet.Dir = root
	if out, err := vet.CombinedOutput(); err != nil {
		t.Fatalf("%s:%d: the mutant does not compile: %v\n%s", m.target.file, m.line, err, out)
	}
	for _, tests := range m.target.tests {
		cmd := exec.Command("go", append([]string{"test", "-overlay", overlay, "-failfast", "-vet=off", "-timeout", "120s"}, tests...)...)
		cmd.Dir = root
		if err := cmd.Run(); err != nil {
			return tests[0]
		}
	}
	return ""
}
