# weir. `make run` needs Go and nothing else; `make check` is what CI runs.

GO       ?= go
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS  := -s -w -X main.version=$(VERSION)
PKGS     := ./...
# How long each fuzz target runs in `make fuzz` and `make check`, as executions: with a
# time, `go test -fuzz` can take the end of its own time for a failure ("context deadline
# exceeded"). FUZZTIME=30s and the like still work by hand.
FUZZTIME ?= 5000x
# The labelled names that `make model` trains on: see training/README.md.
DATA     ?= data
IMAGE    ?= weir
# For training alone: `make venv` makes one with what training/requirements.txt pins.
VENV     := .venv
PYTHON   ?= $(if $(wildcard $(VENV)/bin/python),$(VENV)/bin/python,python3)

# $(call gotest,FLAGS,PACKAGES) runs tests. In CI, which others share, a test that fails is
# run again by itself, twice at most, and named at the end: it stops nobody, and is a bug
# to file. A data race, a panic or more than five failures are never run again.
rerun     = $(GO) tool -modfile=tools/go.mod gotestsum --format pkgname --format-icons text --hide-summary skipped \
	--rerun-fails=2 --rerun-fails-max-failures=5 --rerun-fails-run-root-test --rerun-fails-abort-on-data-race
gotest    = $(if $(CI),$(rerun) --packages='$(2)' -- $(1),$(GO) test $(1) $(2))

.PHONY: integration outlets-faults build run test allocs check format vet lint fuzz bench bench-peers faults mutants respdiff reloads kill bench-store e2e ui-test ui-bench mutations model docker clean

## build: one static binary, bin/weir
build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/weir ./cmd/weir

## run: the resolver with the built-in defaults, state in ./state
run: build
	./bin/weir serve --state ./state

# Many tests wait for time-outs more than they work, so several of a package at once.
# `make allocs` has what the race detector spoils or makes take minutes.
## test: all tests, with the race detector where cgo is at hand
test:
	@if [ "$$($(GO) env CGO_ENABLED)" = 1 ]; then race="-race -skip=Alloc|InItsBound"; fi; \
	$(call gotest,$$race -shuffle=on -parallel 4 -timeout 15m,$(PKGS))

## allocs: the allocation budgets, and a folder of 64 MiB, without the race detector
allocs:
	$(call gotest,-run 'Alloc|InItsBound',$(PKGS))

## check: what CI runs
check: format vet lint test allocs fuzz
	WEIR_FAULTS=short $(call gotest,-count=1 -timeout 15m,./internal/faults)

format:
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "not formatted (gofmt -w):"; echo "$$out"; exit 1; fi

vet:
	$(GO) vet $(PKGS)
	GOOS=darwin GOARCH=arm64 $(GO) vet $(PKGS)

# The linter has a module of its own, so that its many dependencies are not ours.
lint:
	$(GO) tool -modfile=tools/go.mod golangci-lint run

## fuzz: every fuzz target, FUZZTIME each
fuzz:
	@for pkg in $$($(GO) list $(PKGS)); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "fuzz $$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$pkg || exit 1; \
		done; \
	done

## bench: the Go benchmarks
bench:
	$(GO) test -run '^$$' -bench . -benchmem $(PKGS)

## bench-peers: weir beside Unbound, dnsdist and dnsmasq of Debian; Go peers by PEERS="--peer coredns=FILE ..."
bench-peers: build
	python3 testdata/bench/compare.py $(PEERS)

## faults: what breaks around a running weir, with whole loads; then shortly, with the race detector
faults:
	@mkdir -p bin
	WEIR_FAULTS=full $(GO) test -count=1 -timeout 30m ./internal/faults -v -table $(CURDIR)/bin/faults.md
	WEIR_FAULTS=short $(GO) test -count=1 -timeout 10m ./internal/faults -race-binary

## mutants: take each check of what comes from outside out in turn; a test must notice
mutants:
	WEIR_MUTANTS=1 $(GO) test -count=1 -timeout 60m -v ./internal/mutants

## respdiff: the same questions to weir, Unbound and BIND, of a zone that Knot DNS signs
respdiff:
	WEIR_RESPDIFF=1 $(GO) test -count=1 -timeout 10m -v ./internal/respdiff

## reloads: a list of a million names replaced 100 times in a minute, at 2,000 queries a second
reloads:
	WEIR_RELOADS=full $(GO) test -count=1 -run 'TestReloadsOfALargeList' -timeout 20m -v ./cmd/weir

## kill: the record store, killed at 200 random moments
kill:
	WEIR_KILL_ROUNDS=200 $(GO) test -run 'TestKillAtAnyMoment' -timeout 30m -v ./pdns/store

## bench-store: ten million distinct records in the store, and how long lookups take
bench-store:
	WEIR_STORE_RECORDS=10000000 $(GO) test -run 'TestLookupsOfAFullStore' -timeout 60m -v ./pdns/store

## e2e: the binary between real DNS servers of the system (NSD, Unbound) and dig
e2e: build
	./testdata/e2e/run.sh

## ui-test: the dashboard of weir demo in Debian's Chromium: pages, search, hostile names, other sites, accessibility; ARGS="--shots docs/img" takes the pictures
ui-test: build
	./testdata/ui/run.sh $(ARGS)

.PHONY: tunnels
## tunnels: real iodine, dns2tcp and dnscat2 through a running weir: what is told, after how much; ARGS="--enforce"
tunnels: build
	python3 testdata/tunnels/run.py $(ARGS)

## ui-bench: the dashboard on a database of UI_NAMES made-up names, in Chromium: first paint, and the operations under it
UI_NAMES ?= 1000000
ui-bench: build
	./testdata/ui/bench.sh $(UI_NAMES)

## integration: outlets against the real services, as far as they can be had
integration:
	./testdata/integration/kafka.sh
	./testdata/integration/clickhouse.sh
	./testdata/integration/clickhouse-server.sh
	./testdata/integration/postgres.sh
	./testdata/integration/syslog.sh
	./testdata/integration/dnstap.sh
	./testdata/integration/s3.sh
	./testdata/integration/alerts.sh
	./testdata/integration/spark.sh

## outlets-faults: every outlet at 1,000 rows/s with its service gone for a minute, cut, silent, and refusing; four minutes
outlets-faults:
	./testdata/integration/outlets-faults.sh

## mutations: damage the built-in model's bundle 10,000 times, and see each refused
mutations:
	WEIR_MUTATIONS=10000 $(GO) test -timeout 30m -run TestMutatedBundles -v ./detect

.PHONY: venv smoke baselines hosts-sim benign-day

## venv: a Python environment for the training, in .venv
venv: $(VENV)/ready
$(VENV)/ready: training/requirements.txt
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r training/requirements.txt
	touch $@

## smoke: the whole training on made-up names, half a minute; shows that it works, not what it is worth
smoke:
	$(PYTHON) training/train.py --smoke

## model: train the built-in model anew from the labelled names in DATA
model:
	$(PYTHON) training/train.py --data $(DATA) --out detect/model

## hosts-sim: simulated days of infected clients, with names that no model has seen the like of, from DATA
hosts-sim:
	$(PYTHON) training/unseen.py --data $(DATA) --out unseen.tsv.gz
	WEIR_UNSEEN=$(CURDIR)/unseen.tsv.gz $(GO) test -count=1 -run TestSimulatedHosts -v ./detect/behaviour

## benign-day: what detections tell of an office where nothing is wrong, made of the real names in DATA
benign-day:
	WEIR_LABELLED=$(DATA) $(GO) test -count=1 -timeout 30m -run TestBenignDays -v ./detect/behaviour

## baselines: the models that weir's features come from, on the same names
baselines:
	$(PYTHON) training/train.py --data $(DATA) --baselines

## docker: the container image
docker:
	docker build --build-arg VERSION=$(VERSION) -t $(IMAGE) .

clean:
	rm -rf bin state
