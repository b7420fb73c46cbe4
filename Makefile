# SPDX-License-Identifier: GPL-2.0-or-later
# `make help` lists the targets.
SHELL := /bin/sh
DESTDIR ?=
PREFIX ?= /usr
BINDIR ?= $(PREFIX)/bin
DRACUTDIR ?= $(PREFIX)/lib/dracut
UNITDIR ?= $(PREFIX)/lib/systemd/system
MANDIR ?= $(PREFIX)/share/man
SHUTDOWNDIR ?= $(PREFIX)/lib/systemd/system-shutdown
COMPLETIONS ?= $(PREFIX)/share
# where this system's zsh looks: below /usr Debian's knows no site-functions
ZSHDIR ?= $(COMPLETIONS)/zsh/$(if $(wildcard /etc/debian_version),vendor-completions,site-functions)
DATADIR ?= $(PREFIX)/share/overlayroot-rs
DOCDIR ?= $(PREFIX)/share/doc/overlayroot-rs
CARGO ?= cargo
TARGET ?= $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
KERNELDIR ?= $(PREFIX)/lib/kernel/install.d
MODULE := $(DRACUTDIR)/modules.d/55overlayroot-rs
# what updates a system by itself: nothing of it lasts in an upper in RAM
FROZEN := apt-daily apt-daily-upgrade dnf-automatic dnf-automatic-download dnf-automatic-install dnf5-automatic packagekit-offline-update
BINARIES := $(TARGET)/release/overlay-assemble $(TARGET)/release/overlay-populate $(TARGET)/release/overlay-commit $(TARGET)/release/overlay-thaw \
	$(TARGET)/release/overlay-tries $(TARGET)/release/overlayctl
# prints the completions; where other machines are built for, one that runs here
OVERLAYCTL ?= $(TARGET)/release/overlayctl

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 24

.PHONY: build
build: ## build the binaries (release); installs what that needs, and under sudo builds as the user whose tree it is
	@CARGO="$(CARGO)" packaging/build.sh

.PHONY: install
install: build install-files ## build, and put everything below $(DESTDIR)

.PHONY: install-files
install-files:
	install -d "$(DESTDIR)$(BINDIR)" "$(DESTDIR)$(MODULE)" "$(DESTDIR)$(UNITDIR)/multi-user.target.wants" "$(DESTDIR)$(UNITDIR)/sysinit.target.wants" \
		"$(DESTDIR)$(UNITDIR)/fstrim.service.wants" \
		"$(DESTDIR)$(MANDIR)/man5" "$(DESTDIR)$(MANDIR)/man7" "$(DESTDIR)$(MANDIR)/man8" "$(DESTDIR)$(DOCDIR)" \
		"$(DESTDIR)$(SHUTDOWNDIR)" "$(DESTDIR)$(DATADIR)"
	install -m 755 $(BINARIES) "$(DESTDIR)$(BINDIR)"
	ln -sf overlay-assemble "$(DESTDIR)$(BINDIR)/overlay-upper"
	ln -sf overlay-assemble "$(DESTDIR)$(BINDIR)/overlay-loop"
	ln -sf overlay-populate "$(DESTDIR)$(BINDIR)/overlay-image"
	ln -sf "$(BINDIR)/overlay-assemble" "$(DESTDIR)$(SHUTDOWNDIR)/overlay-shutdown"
	install -m 755 dracut/55overlayroot-rs/module-setup.sh "$(DESTDIR)$(MODULE)"
	install -m 755 dracut/55overlayroot-rs/assemble.sh dracut/55overlayroot-rs/stand-down.sh \
		dracut/55overlayroot-rs/take-apart.sh dracut/55overlayroot-rs/prepare-live.sh \
		dracut/55overlayroot-rs/mount-live.sh dracut/55overlayroot-rs/image.sh \
		dracut/55overlayroot-rs/image-late.sh "$(DESTDIR)$(MODULE)"
	install -m 644 systemd-units/initrd/overlayroot-rs.service dracut/55overlayroot-rs/thaw.conf \
		dracut/55overlayroot-rs/tries.conf "$(DESTDIR)$(MODULE)"
	install -m 644 systemd-units/host/*.service systemd-units/host/*.target systemd-units/host/*.timer "$(DESTDIR)$(UNITDIR)"
	for unit in $(FROZEN); do \
		install -D -m 644 systemd-units/frozen/50-overlayroot-rs.conf "$(DESTDIR)$(UNITDIR)/$$unit.service.d/50-overlayroot-rs.conf" || exit 1; \
	done
	install -D -m 755 packaging/kernel/00-overlayroot-rs.install "$(DESTDIR)$(KERNELDIR)/00-overlayroot-rs.install"
	ln -sf ../overlayroot-rs-check.service "$(DESTDIR)$(UNITDIR)/multi-user.target.wants"
	ln -sf ../overlayroot-rs-trash.service "$(DESTDIR)$(UNITDIR)/multi-user.target.wants"
	ln -sf ../overlayroot-rs-label.service "$(DESTDIR)$(UNITDIR)/sysinit.target.wants"
	ln -sf ../overlayroot-rs-watch.service "$(DESTDIR)$(UNITDIR)/multi-user.target.wants"
	ln -sf ../overlayroot-rs-trim.service "$(DESTDIR)$(UNITDIR)/fstrim.service.wants"
	install -d "$(DESTDIR)$(COMPLETIONS)/bash-completion/completions" "$(DESTDIR)$(ZSHDIR)" \
		"$(DESTDIR)$(COMPLETIONS)/fish/vendor_completions.d"
	$(OVERLAYCTL) completions bash > "$(DESTDIR)$(COMPLETIONS)/bash-completion/completions/overlayctl"
	$(OVERLAYCTL) completions zsh > "$(DESTDIR)$(ZSHDIR)/_overlayctl"
	$(OVERLAYCTL) completions fish > "$(DESTDIR)$(COMPLETIONS)/fish/vendor_completions.d/overlayctl.fish"
	install -m 644 packaging/selinux/overlayroot-rs.cil "$(DESTDIR)$(DATADIR)"
	install -m 644 docs/reference/man/*.5 "$(DESTDIR)$(MANDIR)/man5"
	install -m 644 docs/reference/man/*.7 "$(DESTDIR)$(MANDIR)/man7"
	install -m 644 docs/reference/man/*.8 "$(DESTDIR)$(MANDIR)/man8"
	install -m 644 dracut/50-overlayroot-rs.conf docs/overlayroot-rs.conf.example "$(DESTDIR)$(DOCDIR)"

.PHONY: enable
enable: ## put the module into every initramfs of this host from now on
	install -D -m 644 dracut/50-overlayroot-rs.conf "$(DESTDIR)/etc/dracut.conf.d/50-overlayroot-rs.conf"

.PHONY: uninstall
uninstall: ## take away what install and enable put there
	rm -rf "$(DESTDIR)$(MODULE)" "$(DESTDIR)$(DOCDIR)" "$(DESTDIR)$(DATADIR)"
	rm -f "$(DESTDIR)$(BINDIR)"/overlay-assemble "$(DESTDIR)$(BINDIR)"/overlay-upper \
		"$(DESTDIR)$(BINDIR)"/overlay-loop "$(DESTDIR)$(BINDIR)"/overlay-populate \
		"$(DESTDIR)$(BINDIR)"/overlay-commit \
		"$(DESTDIR)$(BINDIR)"/overlay-image "$(DESTDIR)$(BINDIR)"/overlay-thaw "$(DESTDIR)$(BINDIR)"/overlay-tries \
		"$(DESTDIR)$(BINDIR)"/overlayctl "$(DESTDIR)$(KERNELDIR)"/00-overlayroot-rs.install \
		"$(DESTDIR)$(UNITDIR)"/overlayroot-rs-thaw.service "$(DESTDIR)$(UNITDIR)"/overlayroot-rs-thaw.timer \
		"$(DESTDIR)$(UNITDIR)"/overlayroot-rs-thawed.service \
		"$(DESTDIR)$(SHUTDOWNDIR)"/overlay-shutdown \
		"$(DESTDIR)$(UNITDIR)"/overlayroot-rs-check.service \
		"$(DESTDIR)$(UNITDIR)"/multi-user.target.wants/overlayroot-rs-check.service \
		"$(DESTDIR)$(UNITDIR)"/overlayroot-rs-trash.service \
		"$(DESTDIR)$(UNITDIR)"/overlayroot-rs-pull.service \
		"$(DESTDIR)$(UNITDIR)"/overlayroot-rs-label.service \
		"$(DESTDIR)$(UNITDIR)"/sysinit.target.wants/overlayroot-rs-label.service \
		"$(DESTDIR)$(UNITDIR)"/overlayroot-rs-good.service \
		"$(DESTDIR)$(UNITDIR)"/overlayroot-rs-keep.service \
		"$(DESTDIR)$(UNITDIR)"/overlayroot-rs-keep-late.service \
		"$(DESTDIR)$(UNITDIR)"/multi-user.target.wants/overlayroot-rs-trash.service \
		"$(DESTDIR)$(UNITDIR)"/overlayroot-rs-trim.service \
		"$(DESTDIR)$(UNITDIR)"/fstrim.service.wants/overlayroot-rs-trim.service \
		"$(DESTDIR)$(UNITDIR)"/overlayroot-rs-watch.service \
		"$(DESTDIR)$(UNITDIR)"/overlayroot-rs-warning.target \
		"$(DESTDIR)$(UNITDIR)"/overlayroot-rs-critical.target \
		"$(DESTDIR)$(UNITDIR)"/multi-user.target.wants/overlayroot-rs-watch.service \
		"$(DESTDIR)$(MANDIR)"/man5/overlayroot-rs.conf.5 "$(DESTDIR)$(MANDIR)"/man7/overlayroot-rs.7 \
		"$(DESTDIR)$(COMPLETIONS)"/bash-completion/completions/overlayctl \
		"$(DESTDIR)$(ZSHDIR)"/_overlayctl \
		"$(DESTDIR)$(COMPLETIONS)"/fish/vendor_completions.d/overlayctl.fish \
		"$(DESTDIR)$(MANDIR)"/man8/overlayctl.8 "$(DESTDIR)"/etc/dracut.conf.d/50-overlayroot-rs.conf
	for unit in $(FROZEN); do rm -f "$(DESTDIR)$(UNITDIR)/$$unit.service.d/50-overlayroot-rs.conf"; \
		rmdir "$(DESTDIR)$(UNITDIR)/$$unit.service.d" 2> /dev/null || :; done

# --- development -------------------------------------------------------------------------------

# Tests with mounts and guests run as root, with a target directory of their own so that nothing
# in the user's becomes root's.
AS_ROOT := packaging/as-root.sh
VM := $(AS_ROOT) $(CARGO) run -q --locked -p overlayroot-vm --bin vm --
CASE ?=
SEED ?=

.PHONY: deps
deps: ## install what building and testing needs (apt-get or dnf)
	packaging/deps.sh all

.PHONY: deps-build
deps-build: ## install what building needs
	packaging/deps.sh build

.PHONY: lint
lint: ## formatting, clippy (where there is one; with CI=true a failure without), shellcheck, man pages
	@CARGO="$(CARGO)" packaging/lint.sh

.PHONY: deny
deny: ## licences, sources and duplicate crates (cargo-deny; compiled if missing, for minutes, by a newer Rust than Debian 13's)
	packaging/fetch.sh
	@$(CARGO) deny --version > /dev/null 2>&1 || $(CARGO) install --locked cargo-deny
	$(CARGO) deny --locked --offline check bans licenses sources

.PHONY: advisories
advisories: ## known vulnerabilities in dependencies (cargo-deny, needs its database from the network)
	$(CARGO) deny --locked check advisories

.PHONY: test
test: ## unit tests, golden plans, properties, documentation
	$(CARGO) test -q --locked
	$(CARGO) test -q --locked -p overlayroot-vm

.PHONY: fuzz
fuzz: N ?= 200000
fuzz: ## many more random inputs: make fuzz N=1000000
	PROPTEST_CASES=$(N) $(CARGO) test -q --locked --profile fuzz -p overlayroot-core --test fuzz

.PHONY: test-rootns
test-rootns: ## real mounts in a private namespace (root)
	$(AS_ROOT) $(CARGO) build -q --locked -p overlayroot-initramfs -p overlayroot-populate -p overlayroot-commit \
		-p overlayctl
	@# the stage of a test has a /tmp of its own, and no other such place
	$(AS_ROOT) env -u TMPDIR $(CARGO) test -q --locked -p overlayroot-rootns

.PHONY: test-dracut
test-dracut: ## what is in the initramfs images, each dracut and kind of initrd (root)
	$(VM) content

.PHONY: test-vm
test-vm: ## boots: make test-vm CASE=tmpfs (a slug, or part of names; none: the cut of make check)
	$(VM) run $(CASE) $(if $(ENGINE),--engine $(ENGINE))

.PHONY: powercut
powercut: N ?= 60
powercut: ## cut the power of guests at random instants: make powercut N=200 SEED=7
	$(VM) powercut --cuts $(N) $(if $(SEED),--seed $(SEED))

.PHONY: roots
roots: ## make the test roots ahead of time
	$(VM) roots

# each part says what it took
TIMED := packaging/timed.sh
TIERS := lint changelog-check test test-rootns test-dracut

.PHONY: check
check: ## every tier but licences and packages, boots in a fixed cut, 60 power cuts; does its own set-up
	@$(TIMED) deps $(MAKE) deps
	@for tier in $(TIERS); do $(TIMED) $$tier $(MAKE) $$tier || exit 1; done
	@$(TIMED) selftest $(VM) selftest
	@$(TIMED) boots $(VM) run
	@$(TIMED) powercut $(VM) powercut

.PHONY: check-all
check-all: ## every tier, every boot; writes docs/internals/test-matrix.md (RESUME=1 goes on where a run ended, MINUTES=60 ends it)
	@$(TIMED) deps $(MAKE) deps
	@for of in package cross arm; do $(TIMED) deps-$$of packaging/deps.sh $$of || exit 1; done
	@# 10,000 cuts of a commit
	@export OVERLAYROOT_POINTS=2500; for tier in $(TIERS); do $(TIMED) $$tier $(MAKE) $$tier || exit 1; done
	@$(TIMED) selftest $(VM) selftest
	@# nothing compiles beside the boots: two guests on two processors would take half as long again
	@$(TIMED) boots $(VM) run --all $(if $(RESUME),--resume) $(if $(MINUTES),--minutes $(MINUTES)) --report docs/internals/test-matrix.md
	@$(TIMED) powercut $(VM) powercut
	@# a guest for ARM keeps one processor busy, and the other is left
	@$(MAKE) --no-print-directory -j 2 all-packages all-arm

.PHONY: all-packages all-arm
all-packages:
	@for tier in test-rpm test-deb deny msrv; do $(TIMED) $$tier $(MAKE) -j 1 $$tier || exit 1; done
all-arm:
	@for tier in cross test-arm; do env CARGO_TARGET_DIR=$(abspath $(TARGET))/beside $(TIMED) $$tier $(MAKE) -j 1 $$tier || exit 1; done

.PHONY: demo
demo: ## see it work: builds, makes a root, boots it, shows it (minutes)
	@$(MAKE) --no-print-directory deps
	@$(VM) demo

.PHONY: check-fresh
check-fresh: ## `make demo` on bare machines: what is committed, in minimal roots of Debian 12 and 13 (root; RELEASES=, TARGETS=)
	packaging/deps.sh all
	$(AS_ROOT) tests/packaging/fresh.sh

.PHONY: demo-svg
demo-svg: ## the same, recorded: writes docs/demo.svg
	@$(MAKE) --no-print-directory deps
	@$(VM) demo --record docs/demo.svg

.PHONY: layers-svg
layers-svg: ## the diagram of the README: docs/layers.svg, of docs/layers.dot
	packaging/deps.sh docs
	dot -Tsvg docs/layers.dot -o docs/layers.svg

.PHONY: man
man: ## OPTIONS of overlayctl(8), from the program's own help
	OVERLAYROOT_WRITE_MAN=1 $(CARGO) test -q --locked -p overlayctl --bin overlayctl the_options_of_the_manual

.PHONY: bench
bench: ## time, processor time and bytes beside other ways to an overlay; writes docs/internals/benchmarks.md (PART="boots native": those parts alone; also runtime, size, disk, net, diff)
	packaging/deps.sh bench
	$(AS_ROOT) env CARGO="$(CARGO)" packaging/cargo.sh build -q --locked --release -p overlayroot-vm -p overlayctl --bins
	$(AS_ROOT) env CARGO="$(CARGO)" packaging/cargo.sh run -q --locked --release -p overlayroot-vm --bin vm -- bench $(PART)

# --- tarballs, RPM, releases -------------------------------------------------------------------

DIST := target/dist

.PHONY: dist
dist: ## reproducible tarballs of what is committed, and of the crates it needs
	packaging/deps.sh dist || echo "dist: trying with what is here" >&2
	packaging/dist.sh $(DIST)

.PHONY: sbom
sbom: ## what is linked into each binary, as CycloneDX (cargo-cyclonedx; installed if missing)
	packaging/sbom.sh $(DIST)

.PHONY: msrv
msrv: ## lints, and so compiles, with the oldest Rust that Cargo.toml promises (rustup fetches it)
	packaging/msrv.sh

.PHONY: cross
cross: ## the packages for the Raspberry Pi, 64 and 32 bit, into target/deb; runs the programs in qemu-user (on Debian)
	packaging/deps.sh cross
	packaging/cross.sh arm64
	packaging/cross.sh armhf

.PHONY: test-arm
test-arm: ## the package for arm64: installed on Debian 12, its initramfs made, booted in QEMU with the overlay and without (root)
	packaging/deps.sh arm
	$(AS_ROOT) tests/packaging/arm.sh

.PHONY: changelog-check
changelog-check: ## whether CHANGELOG.md says what changed since the last tag
	packaging/changelog-check.sh

.PHONY: test-rpm
test-rpm: ## builds the RPMs of what is committed, installs them into a root of their own, erases them
	packaging/deps.sh package
	tests/packaging/dist.sh
	$(AS_ROOT) tests/packaging/rpm.sh

.PHONY: test-packages
test-packages: ## test-rpm, test-deb and cross; SKIP without apt-get or a commit, with CI=true a failure
	@command -v apt-get > /dev/null || missing=" apt-get"; \
	git rev-parse -q --verify HEAD > /dev/null || missing="$$missing commit"; \
	if [ -z "$$missing" ]; then $(MAKE) test-rpm test-deb cross; \
	elif [ "$(CI)" = true ]; then echo "packages: no$$missing here" >&2; exit 1; \
	else echo "SKIP packages: no$$missing here"; fi

# --- packages for Debian -----------------------------------------------------------------------

.PHONY: deb
deb: DEB_OUT ?= $(abspath $(TARGET))/deb
deb: ## the package for Debian, into target/deb; what is built is not built again
	packaging/deps.sh deb
	packaging/fetch.sh
	mkdir -p "$(DEB_OUT)"
	@# debhelper's files in debian/ are for one build at a time
	DEB_OUT="$(DEB_OUT)" flock debian dpkg-buildpackage -b -us -uc $$(packaging/deb-flags.sh) $(DEB_FLAGS) \
		--buildinfo-file="$(DEB_OUT)/build.buildinfo" --buildinfo-option=-u"$(DEB_OUT)" \
		--changes-file="$(DEB_OUT)/build.changes" --changes-option=-u"$(DEB_OUT)"

.PHONY: deb-any
deb-any: ## the same for Debian 11 and all that came after it: built against Debian 11's libraries (root)
	packaging/deps.sh all
	@mkdir -p "$(abspath $(TARGET))/deb"
	$(VM) package "$(abspath $(TARGET))/deb"

.PHONY: test-deb
test-deb: ## the package: built, looked through, installed on Debian 12 and 13, purged (root; VENDORED=1: also built from vendored crates)
	packaging/deps.sh package
	shellcheck tests/packaging/deb*.sh tests/packaging/completions.sh debian/*.postinst debian/*.prerm debian/*.postrm
	$(AS_ROOT) env VENDORED=$(VENDORED) tests/packaging/deb.sh
