# The two commands: make run, make test. `make help` lists the others.

GO ?= go
FUZZTIME ?= 10s

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | sort | expand -t 12

.PHONY: run
run: ## install what is missing, build, and start authserver with a database of its own (ARGS=…)
	@.ci/deps run
	@echo building
	@CGO_ENABLED=0 $(GO) build -trimpath -o bin/ ./cmd/...
	@exec bin/authserver quickstart $(ARGS)

.PHONY: build
build: ## compile the programs into bin/, static
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/ ./cmd/...

.PHONY: test
test: test-deps lint ## install what the tests need, then run the linters and all tests
	$(GO) test -race -timeout 20m ./...

.PHONY: test-deps
test-deps: ## install what the tests need: packages, and Debian roots and programs with other servers
	@.ci/deps test

.PHONY: lint
lint: ## gofmt, go vet and staticcheck, also of the modules in e2e
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then \
		echo "not formatted by gofmt:" $$unformatted >&2; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	cd e2e/distribution && $(GO) vet ./... && $$($(GO) -C ../.. tool -n staticcheck) ./...
	cd e2e/kubernetes && $(GO) vet ./... && $$($(GO) -C ../.. tool -n staticcheck) ./...

.PHONY: bench
bench: ## run the benchmarks
	$(GO) test -run '^$$' -bench . ./bench/...

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (10s)
	@grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sort | \
	while IFS=: read -r file func; do \
		set -x; $(GO) test -run '^$$' -fuzz "^$${func#func }$$" -fuzztime $(FUZZTIME) "$${file%/*}" </dev/null || exit 1; \
	done

.PHONY: clean
clean: ## remove what make build made
	rm -rf bin

.PHONY: clean-e2e
clean-e2e: ## remove the Debian roots and programs of make test-deps
	e2e/roots clean
	e2e/tools clean
