# SPDX-License-Identifier: GPL-2.0-or-later
# The front door. meson builds; this file names what people want to do.

PYTHON ?= /usr/bin/python3
BUILD ?= build/release
DEV ?= build/dev
prefix ?= /usr

all: $(BUILD)/build.ninja ## build the programs (release) into build/release
	@ninja -C $(BUILD) --quiet

deps: ## show and install the Debian packages that kcare needs
	@tools/deps

demo: deps all ## the whole story: portal, patches, a host and a guest that are fixed while they run
	@demo/run --build $(BUILD)

check: deps dev all ## all tests, on a build with ASan and UBSan; some guests run what is shipped
	@$(PYTHON) tests/run.py --build $(DEV) --shipped $(BUILD)

check-long: deps dev ## check, plus long fuzzing, ThreadSanitizer and every crash point
	@$(PYTHON) tests/run.py --build $(DEV) --long

bench: deps all ## measure: ratios against a floor or a peer in the same run
	@$(PYTHON) bench/run.py --build $(BUILD)

dev: $(DEV)/build.ninja ## the developers' build: ASan, UBSan, warnings are errors
	@ninja -C $(DEV) --quiet

lint: dev ## clang-format and clang-tidy over the sources
	@tools/lint $(DEV)

format: ## clang-format all sources in place
	@git ls-files '*.c' '*.h' '*.cc' | xargs clang-format -i

install: all ## install under $(prefix); DESTDIR is obeyed
	@meson install -C $(BUILD) --no-rebuild

clean: ## remove the build folders (the download cache stays)
	@rm -rf build

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

$(BUILD)/build.ninja:
	@meson setup --prefix $(prefix) --buildtype debugoptimized $(BUILD) >/dev/null

$(DEV)/build.ninja:
	@meson setup --prefix $(prefix) --buildtype debugoptimized --werror -Db_sanitize=address,undefined $(DEV) >/dev/null

.PHONY: all deps demo check check-long bench dev lint format install clean help
