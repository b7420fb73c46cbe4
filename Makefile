# SPDX-License-Identifier: GPL-2.0-or-later
# `make help` lists the targets.
SHELL := /bin/sh
DESTDIR ?=
PREFIX ?= /usr
BINDIR ?= $(PREFIX)/bin
DRACUTDIR ?= $(PREFIX)/lib/dracut
UNITDIR ?= $(PREFIX)/lib/systemd/system
MANDIR ?= $(PREFIX)/share/man
DOCDIR ?= $(PREFIX)/share/doc/overlayroot-rs
CARGO ?= cargo
TARGET ?= $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
MODULE := $(DRACUTDIR)/modules.d/55overlayroot-rs
BINARIES := $(TARGET)/release/overlay-assemble $(TARGET)/release/overlayctl

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 24

.PHONY: build
build: ## build the binaries (release)
	$(CARGO) build --release --locked

.PHONY: install
install: build install-files ## build, and put everything below $(DESTDIR)

.PHONY: install-files
install-files:
	install -d "$(DESTDIR)$(BINDIR)" "$(DESTDIR)$(MODULE)" "$(DESTDIR)$(UNITDIR)/multi-user.target.wants" \
		"$(DESTDIR)$(MANDIR)/man5" "$(DESTDIR)$(MANDIR)/man7" "$(DESTDIR)$(MANDIR)/man8" "$(DESTDIR)$(DOCDIR)"
	install -m 755 $(BINARIES) "$(DESTDIR)$(BINDIR)"
	ln -sf overlay-assemble "$(DESTDIR)$(BINDIR)/overlay-upper"
	ln -sf overlay-assemble "$(DESTDIR)$(BINDIR)/overlay-loop"
	install -m 755 dracut/55overlayroot-rs/module-setup.sh "$(DESTDIR)$(MODULE)"
	install -m 755 dracut/55overlayroot-rs/assemble.sh dracut/55overlayroot-rs/stand-down.sh "$(DESTDIR)$(MODULE)"
	install -m 644 systemd-units/initrd/overlayroot-rs.service "$(DESTDIR)$(MODULE)"
	install -m 644 systemd-units/host/overlayroot-rs-check.service "$(DESTDIR)$(UNITDIR)"
	ln -sf ../overlayroot-rs-check.service "$(DESTDIR)$(UNITDIR)/multi-user.target.wants"
	install -m 644 docs/man/*.5 "$(DESTDIR)$(MANDIR)/man5"
	install -m 644 docs/man/*.7 "$(DESTDIR)$(MANDIR)/man7"
	install -m 644 docs/man/*.8 "$(DESTDIR)$(MANDIR)/man8"
	install -m 644 dracut/50-overlayroot-rs.conf docs/overlayroot-rs.conf.example "$(DESTDIR)$(DOCDIR)"
