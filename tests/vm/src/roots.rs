// SPDX-License-Identifier: GPL-2.0-or-later
//! The Debian roots: made once, kept as archives.

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::cell::{Flavour, Suite};
use crate::host::{self, Host};

const PACKAGES: &str = "systemd-sysv,udev,kmod,dbus,linux-image-cloud-amd64,dracut,dracut-network,\
dracut-live,iproute2,procps,busybox-static,squashfs-tools,zstd,e2fsprogs,netbase,jq,xfsprogs,\
btrfs-progs,dosfstools,util-linux,mount,libblkid1,attr,fdisk,nfs-common,rpcbind,nbd-client,curl,\
iputils-arping,network-manager,git,openssh-client";

/// What dracut's network-legacy needs; the newest suite has neither.
const DHCLIENT: &str = "isc-dhcp-client";

/// Where the newest suite has switch_root, without which an initramfs without systemd can't end.
const SWITCH_ROOT: &str = "util-linux-extra";

/// What the programs are linked against.
const LIBRARIES: &str = "libc6-dev,libblkid-dev";

/// What the machine that serves the others has.
const SERVER: &str = "systemd-sysv,udev,dbus,linux-image-cloud-amd64,kmod,busybox-static,iproute2,procps,util-linux,\
mount,netbase,nfs-kernel-server,rpcbind,dnsmasq,nginx-light,nbd-server,pxelinux,syslinux-common,shim-signed,\
grub-efi-amd64-signed,squashfs-tools,erofs-utils,git,openssh-client,openssl,e2fsprogs,ca-certificates,curl,libblkid1";

/// Besides, where containers and snaps are run: podman, docker and containerd, each with its own storage, and snapd.
const CONTAINERS: &str = "podman,crun,docker.io,containerd,runc,iptables,apparmor,snapd";

/// A package of its own from Debian 13 on.
const DOCKER_CLI: &str = "docker-cli";

/// Besides, where SELinux is.
const SELINUX: &str = "selinux-policy-default,policycoreutils,selinux-utils,auditd";

/// Units which cost time at boot and show nothing here.
const MASKED: [&str; 14] = [
    "getty@tty1.service",
    "serial-getty@ttyS0.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "man-db.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "systemd-firstboot.service",
    "systemd-timesyncd.service",
    "systemd-networkd-wait-online.service",
    "rpcbind.service",
    "rpcbind.socket",
];

/// A root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// What is booted, and makes its own initramfs; this project's files are not in it yet.
    Guest(Suite, Flavour),
    /// The machine that serves the others.
    Server,
    /// Not booted: the oldest suite's libraries, so that what is linked against them runs in all.
    Libraries,
}

impl Root {
    fn suite(self) -> Suite {
        match self {
            Self::Guest(suite, _) => suite,
            Self::Server => Suite::Bookworm,
            Self::Libraries => Suite::Bullseye,
        }
    }

    fn packages(self) -> Vec<&'static str> {
        let (suite, flavour) = match self {
            Self::Server => return vec![SERVER],
            Self::Libraries => return vec![LIBRARIES],
            Self::Guest(suite, flavour) => (suite, flavour),
        };
        let mut packages = vec![PACKAGES];
        packages.push(if suite == Suite::Sid { SWITCH_ROOT } else { DHCLIENT });
        match flavour {
            Flavour::Containers => packages.push(CONTAINERS),
            Flavour::Selinux => packages.push(SELINUX),
            Flavour::Bare | Flavour::Project | Flavour::Package => {}
        }
        packages.extend((flavour == Flavour::Containers && suite >= Suite::Trixie).then_some(DOCKER_CLI));
        packages
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guest(suite, Flavour::Bare | Flavour::Project | Flavour::Package) => suite.fmt(f),
            Self::Guest(suite, flavour) => write!(f, "{flavour}-{suite}"),
            Self::Server => f.write_str("server"),
            Self::Libraries => f.write_str("libraries"),
        }
    }
}

/// What a root is made from: changes with this file.
#[must_use]
pub fn key(root: Root) -> String {
    let mut hash = Sha256::new();
    hash.update(root.to_string());
    hash.update(include_str!("roots.rs"));
    short(hash)
}

/// A hash, short enough for a file name.
#[must_use]
pub fn short(hash: Sha256) -> String {
    let text = format!("{:x}", hash.finalize());
    text.chars().take(16).collect()
}

/// The archive of a root, made if it is not there.
///
/// # Errors
/// When mmdebstrap fails.
pub fn archive(host: &Host, root: Root) -> Result<PathBuf> {
    let path = host.cache.join(format!("root-{root}-{}.tar.zst", key(root)));
    let _lock = host::lock(&host.cache.join(format!("root-{root}.lock")))?;
    if path.exists() {
        return Ok(path);
    }
    let dir = host.work.join(format!("root-{root}-{}", std::process::id()));
    let built = host::step(&format!("root of {root} (mmdebstrap)"), || build(host, root, &dir));
    let packed = built.and_then(|()| host::step(&format!("archive of {root}"), || pack(&dir, &path)));
    fs::remove_dir_all(&dir).with_context(|| dir.display().to_string())?;
    packed?;
    remove_older(&host.cache, root, &path)?;
    Ok(path)
}

/// Archives of older recipes are of no use, and large.
fn remove_older(cache: &Path, root: Root, keep: &Path) -> Result<()> {
    for entry in fs::read_dir(cache)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(&format!("root-{root}-")) && name.ends_with(".tar.zst") && path != keep {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn build(host: &Host, root: Root, dir: &Path) -> Result<()> {
    let suite = root.suite();
    let debs = host.cache.join(format!("debs-{suite}"));
    fs::create_dir_all(&debs)?;
    let mut command = host::tied(Path::new("mmdebstrap"));
    // the kernel package must not build an initramfs: each variant gets its own
    command.env("INITRD", "No").env("TMPDIR", &host.work);
    command.args(["--mode=root", "--variant=apt", "--quiet"]);
    command.arg(format!("--include={}", root.packages().join(",")));
    if suite == Suite::Sid {
        // its lists are valid for a week only, and a mirror may stand still for longer; they stay signed
        command.arg("--aptopt=Acquire::Check-Valid-Until \"false\"");
    }
    command.arg("--aptopt=APT::Install-Recommends \"false\"");
    command.arg("--aptopt=Acquire::Languages \"none\"");
    for path in ["man", "doc", "locale", "info", "bug"] {
        command.arg(format!("--dpkgopt=path-exclude=/usr/share/{path}/*"));
    }
    command.arg("--dpkgopt=force-unsafe-io");
    if matches!(root, Root::Guest(Suite::Bullseye, _)) {
        // as its installer does; from Debian 12 on packages see to it
        let links = ["bin", "sbin", "lib", "lib64"]
            .map(|dir| format!("ln -s usr/{dir} \"$1/{dir}\"; mkdir -p \"$1/usr/{dir}\"; "));
        command.arg(format!("--setup-hook={}", links.concat()));
    }
    keep_debs(&mut command, &debs);
    if root != Root::Libraries {
        command.arg(format!("--customize-hook={}", customise(root)));
    }
    command.arg(suite.to_string()).arg(dir).args(source(suite));
    host::run(&mut command).map(drop)
}

/// Where packages come from, if not from where mmdebstrap has them.
fn source(suite: Suite) -> Option<String> {
    let mirror = env::var("OVERLAYROOT_MIRROR").ok();
    if suite != Suite::Bullseye {
        return mirror;
    }
    // without its security updates: their lists are still there, their files no longer
    let mirror = mirror.unwrap_or_else(|| "http://deb.debian.org/debian".to_owned());
    Some(format!("deb {mirror} bullseye main"))
}

/// Unpacks packages with what they depend on; nothing is configured.
///
/// # Errors
/// When mmdebstrap fails.
pub(crate) fn extract(host: &Host, suite: &str, packages: &str, dir: &Path) -> Result<()> {
    let debs = host.cache.join(format!("debs-{suite}"));
    fs::create_dir_all(&debs)?;
    let mut command = host::tied(Path::new("mmdebstrap"));
    command.env("TMPDIR", &host.work).args(["--mode=root", "--variant=extract", "--quiet"]);
    command.arg(format!("--include={packages}"));
    command.args(["--aptopt=Acquire::Check-Valid-Until \"false\"", "--aptopt=APT::Install-Recommends \"false\""]);
    keep_debs(&mut command, &debs);
    host::run(command.arg(suite).arg(dir).args(env::var("OVERLAYROOT_MIRROR").ok())).map(drop)
}

/// Packages already here are not fetched again.
fn keep_debs(command: &mut Command, debs: &Path) {
    let archives = "/var/cache/apt/archives";
    command.arg("--skip=download/empty,essential/unlink");
    command.arg(format!("--setup-hook=mkdir -p \"$1\"{archives}"));
    command.arg(format!("--setup-hook=sync-in {} {archives}", debs.display()));
    command.arg(format!("--customize-hook=sync-out {archives} {}", debs.display()));
}

fn customise(root: Root) -> String {
    let mut lines = String::from("set -eu; cd \"$1\"; sed -i s/^root:[^:]*:/root::/ etc/shadow; ");
    // the newer suite has no passwd(1)
    let server = root == Root::Server;
    lines.push_str(&format!("echo {} > etc/hostname; ", if server { "server" } else { "vm" }));
    for unit in MASKED.iter().filter(|unit| !server || !unit.starts_with("rpcbind")) {
        lines.push_str(&format!("ln -sf /dev/null etc/systemd/system/{unit}; "));
    }
    // a second that configures the network costs every boot; those that need it start it, and so does the server
    // with what it serves
    let started_by_hand: &[&str] = match server {
        true => &["nginx", "dnsmasq", "nfs", "nbd"],
        false => &["NetworkManager", "podman", "docker", "containerd", "auditd", "snapd"],
    };
    for name in started_by_hand {
        lines.push_str(&format!("rm -f etc/systemd/system/*.wants/{name}*; "));
    }
    lines
}

pub(crate) fn pack(dir: &Path, path: &Path) -> Result<()> {
    let temporary = path.with_extension("tmp");
    let mut command = Command::new("tar");
    command.args(["--use-compress-program=zstd -T0 -3", "--xattrs", "--numeric-owner", "--one-file-system"]);
    command.arg("-cf").arg(&temporary).arg("-C").arg(dir).arg(".");
    host::run(&mut command)?;
    fs::rename(&temporary, path)?;
    Ok(())
}

/// Unpacks a root.
///
/// # Errors
/// Those of tar(1).
pub fn unpack(archive: &Path, dir: &Path) -> Result<()> {
    fs::create_dir_all(dir)?;
    let mut command = Command::new("tar");
    command.args(["--use-compress-program=zstd", "--xattrs", "--numeric-owner", "-xpf"]);
    host::run(command.arg(archive).arg("-C").arg(dir)).map(drop)
}
