# Tidings. `make` prints what there is.
GO        ?= go
GOLANGCI  := $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
BUF       := $(GO) run github.com/bufbuild/buf/cmd/buf@v1.75.0
VULN      := $(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0
FUZZTIME  ?= 30s
CUTS      ?= 500
COLLECTOR := deploy/observability/collector

.DEFAULT_GOAL := help

.PHONY: help
help: ## Print the targets.
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

.PHONY: web
web: web/dist/index.html ## Bundle the pages that the server serves.

web/node_modules: web/package-lock.json
	cd web && npm ci --no-audit --no-fund
	@touch $@

web/dist/index.html: web/node_modules web/build.mjs web/licences.mjs $(wildcard web/demo/* web/console/* web/console/*/*)
	cd web && npm run --silent build

.PHONY: build
build: web ## Build bin/tidings, with its pages.
	$(GO) build -o bin/tidings ./cmd/tidings

.PHONY: run
run: build ## Run a development server: embedded NATS, demo page, printed tokens.
	./bin/tidings serve --dev --data data

.PHONY: test
test: lint race conformance e2e ## Everything: linters, Go tests, the contract, the stock client, the browser.

.PHONY: long
long: CUTS = 1000
long: test fuzz peers ## Everything, and what takes long: more cuts, every fuzz target, the peers of the benchmarks.
	cd $(COLLECTOR) && $(GO) vet ./... && $(GO) mod verify
	cd cmd/tidingsbench/peers && $(GO) vet ./... && $(GO) test ./...
	cd cmd/tidingsbench/peers/socketio && node --test

.PHONY: race
race: web postgres promtool collector ## Go tests, with the race detector.
	$(GO) test -race -shuffle=on ./...
	$(GO) test -run 'DoesNotAllocate|Churn' ./actors ./hub ./notifications # what the race detector would hide or make too slow

# The tests of docs/examples/outbox need PostgreSQL, that of PATH or that of
# Debian, which is installed if this machine allows it.
.PHONY: postgres
postgres:
	@test "$$TIDINGS_NO_POSTGRES" = 1 || { command -v initdb && command -v postgres; } >/dev/null || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || { \
	  echo "installing postgresql for the tests of docs/examples/outbox"; \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends postgresql >/dev/null; } \
	    || { echo "no PostgreSQL: install the package postgresql, or set TIDINGS_NO_POSTGRES=1" >&2; exit 1; }; }

# The tests of deploy/observability ask promtool, which Debian's prometheus brings.
.PHONY: promtool
promtool:
	@test "$$TIDINGS_NO_PROMTOOL" = 1 || command -v promtool >/dev/null || { \
	  echo "installing prometheus for the tests of deploy/observability"; \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends prometheus >/dev/null; } \
	    || { echo "no promtool: install the package prometheus, or set TIDINGS_NO_PROMTOOL=1" >&2; exit 1; }; }

# The collector that the tests of deploy/observability and of the console run: a
# module of its own, built with the components of collector.yaml.
.PHONY: collector
collector: $(if $(filter 1,$(TIDINGS_NO_COLLECTOR)),,bin/collector) ## Build bin/collector, an OpenTelemetry collector.

bin/collector: $(COLLECTOR)/main.go $(COLLECTOR)/go.mod $(COLLECTOR)/go.sum
	cd $(COLLECTOR) && CGO_ENABLED=0 $(GO) build -gcflags "all=-N -l" -ldflags "-s -w" -o ../../../$@ . # not optimized: that takes longer than all its runs

.PHONY: conformance-program
conformance-program:
	$(GO) build -o bin/conformance ./docs/examples/conformance

.PHONY: conformance
conformance: web/node_modules conformance-program ## The contract of SignalR, over every transport and encoding.
	cd web && CONFORMANCE_CUTS=$(CUTS) node --test --test-concurrency=1 --test-timeout=600000 conformance/*.test.mjs

.PHONY: e2e
e2e: build chromium collector ## The official client and headless Chromium against the real server.
	cd web && node --test --test-concurrency=1 --test-timeout=180000 test/*.test.mjs e2e/*.test.mjs

.PHONY: fuzz
fuzz: ## Every fuzz target for FUZZTIME (30s each); plain `make race` runs the seeds.
	@for package in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
	    echo "$$package $$target"; $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
	  done; \
	done

# The browser tests take $$CHROMIUM, or the chromium of Debian, which is
# installed if this machine allows it.
.PHONY: chromium
chromium:
	@test -x "$${CHROMIUM:-/usr/bin/chromium}" || { \
	  echo "installing chromium for the browser tests"; \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y chromium fonts-liberation >/dev/null; } \
	    || { echo "no chromium: install it, or set CHROMIUM to the path of one" >&2; exit 1; }; }

.PHONY: fmt
fmt: ## Format the Go code.
	$(GOLANGCI) fmt ./...

.PHONY: lint
lint: ## Vet and lint the Go code; nothing may be found.
	$(GO) vet ./...
	$(GOLANGCI) run ./...

.PHONY: proto
proto: ## Generate the Go code of proto/ (its tests tell when it is stale).
	cd proto && $(BUF) lint && $(BUF) generate

.PHONY: bench
bench: build conformance-program ## Measure: allocations and rates of the parts, then a server over the wire.
	$(GO) test -run '^$$' -bench . -benchmem -benchtime 0.2s ./actors ./hub/... ./notifications ./persistence ./proto/... ./telemetry
	$(GO) run ./cmd/tidingsbench -suite quick

# What Tidings is measured beside: a module of its own, and Socket.IO.
.PHONY: peers
peers: cmd/tidingsbench/peers/socketio/node_modules ## Build bin/peers, and what Socket.IO needs.
	cd cmd/tidingsbench/peers && $(GO) build -o ../../../bin/peers .

cmd/tidingsbench/peers/socketio/node_modules: cmd/tidingsbench/peers/socketio/package-lock.json
	cd cmd/tidingsbench/peers/socketio && npm ci --no-audit --no-fund
	@touch $@

.PHONY: bench-peers
bench-peers: build peers ## Measure beside the peers, in turns, and write docs/benchmarks.md; half an hour.
	$(GO) build -o bin/tidingsbench ./cmd/tidingsbench
	./bin/tidingsbench compare -rounds 5 -out docs/benchmarks.md

.PHONY: vuln
vuln: ## Look for known vulnerabilities (needs the vulnerability database).
	$(VULN) ./...
