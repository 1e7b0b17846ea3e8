# SPDX-License-Identifier: Apache-2.0
# The front door; meson does the work. Everything that is made goes below $(BUILD).
BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
STAGE = $(CURDIR)/$(BUILD)/stage

.PHONY: all help demo check check-quick bench install uninstall image clean format fuzz packages

all: $(BUILD)/build.ninja ## build the programs
	$(if $(filter command environment,$(origin PREFIX)),@grep -qxF 'prefix = $(PREFIX)' $(BUILD)/meson-private/cmd_line.txt || meson configure $(BUILD) --prefix $(PREFIX))
	ninja -C $(BUILD)

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

packages:
	@scripts/install-packages build

$(BUILD)/build.ninja: | packages
	meson setup $(BUILD) --prefix $(PREFIX) --libexecdir libexec --sysconfdir /etc

demo: ## from nothing to a container in a virtual machine, and who serves it
	@scripts/demo $(BUILD)

check: ## build and run every test, real virtual machines included
	@tests/run --build $(BUILD) all

check-quick: ## the inner loop: lint, unit, golden files and one virtual machine
	@tests/run --build $(BUILD) quick

bench: ## measure, beside bare QEMU, runc, crun and gVisor
	@tests/bench/run --build $(BUILD)

fuzz: ## run every fuzzer for SECONDS (default 60) with libFuzzer
	@tests/fuzz/run --build $(BUILD) $(or $(SECONDS),60)

install: all ## install below $(DESTDIR)$(PREFIX)
	DESTDIR="$(DESTDIR)" meson install -C $(BUILD) --no-rebuild --quiet

uninstall: ## remove what install has put there
	@scripts/uninstall "$(BUILD)" "$(DESTDIR)"

image: all ## build the guest image for the installed kernel into /var/lib/minka/images
	$(BUILD)/src/programs/minka-image/minka-image build --agent $(BUILD)/src/guest/agent/minka-agent

format: ## lay out the sources with clang-format
	clang-format -i $$(git ls-files '*.c' '*.h')

clean: ## remove what was built
	rm -rf $(BUILD)
