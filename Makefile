# Tidings. `make` prints what there is.
GO        ?= go
GOLANGCI  := $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
BUF       := $(GO) run github.com/bufbuild/buf/cmd/buf@v1.75.0
VULN      := $(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0
FUZZTIME  ?= 30s

.DEFAULT_GOAL := help

.PHONY: help
help: ## Print the targets.
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

.PHONY: build
build: ## Build bin/tidings.
	$(GO) build -o bin/tidings ./cmd/tidings

.PHONY: run
run: build ## Run a development server: embedded NATS, demo page, printed tokens.
	./bin/tidings serve --dev --data data

.PHONY: test
test: lint race ## Everything: lint, unit, property and end-to-end tests.

.PHONY: race
race: ## Go tests, with the race detector.
	$(GO) test -race -shuffle=on ./...

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
bench: build ## Measure: allocations and rates of the parts, then a server over the wire.
	$(GO) test -run '^$$' -bench . -benchmem ./actors ./hub/... ./persistence ./proto/...
	$(GO) run ./cmd/tidingsbench -server bin/tidings

.PHONY: vuln
vuln: ## Look for known vulnerabilities (needs the vulnerability database).
	$(VULN) ./...
