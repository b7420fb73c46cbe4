// SPDX-License-Identifier: GPL-2.0-or-later
//! What tells this machine from others: name, card, serial number. Each is looked for only where a value of the
//! configuration asks for it.

use crate::sys::files::text;
use crate::sys::mounts;
use crate::sys::newfile::{self, Lasting};
use anyhow::Result;
use nix::ifaddrs::getifaddrs;
use overlayroot_core::facts::Node;
use overlayroot_core::facts::identity;
use overlayroot_core::facts::nfs;
use overlayroot_core::feature::template::Var;
use overlayroot_core::parse::cmdline::Arg;
use std::fs;

const NET: &str = "/sys/class/net";

/// The machine, as far as `wanted` asks.
pub fn look(wanted: &[Var], args: &[Arg]) -> Node {
    let wants = |var| wanted.contains(&var);
    let (name, mac) = if wants(Var::Mac) || wants(Var::Ip) { interface(args) } else { (None, None) };
    Node {
        hostname: if wants(Var::Hostname) { hostname(args) } else { None },
        mac: mac.filter(|_| wants(Var::Mac)),
        serial: if wants(Var::Serial) { serial() } else { None },
        uuid: if wants(Var::Uuid) { identity::uuid(&text("/sys/class/dmi/id/product_uuid")) } else { None },
        ip: name.filter(|_| wants(Var::Ip)).and_then(|name| address(&name)),
    }
}

/// Has the module `nfs`, which is not loaded yet, give the server a name that is this machine's own: what the
/// firmware has, and the card that the boot loader told, for there is no network yet.
///
/// # Errors
/// Those of writing the file.
pub fn name_nfs_client(args: &[Arg]) -> Result<()> {
    let node = Node { mac: identity::bootif(args), ..look(&[Var::Uuid, Var::Serial], &[]) };
    let line = nfs::options(&node, text("/proc/sys/kernel/random/uuid").trim());
    crate::log::debug!("{}", line.trim());
    mounts::make_parent(nfs::OPTIONS)?;
    newfile::write(nfs::OPTIONS, line.as_bytes(), newfile::ALL_READ, Lasting::Run)
}

fn hostname(args: &[Arg]) -> Option<String> {
    // What the distribution calls a machine without a name is no name (systemd, hostname(5)).
    let release = text("/etc/os-release");
    let default = release.lines().find_map(|line| line.strip_prefix("DEFAULT_HOSTNAME="));
    let default = default.map(|value| value.trim_matches(['"', '\'']));
    identity::hostname_of_ip(args).or_else(|| identity::hostname(&text("/proc/sys/kernel/hostname"), default))
}

fn serial() -> Option<String> {
    let places = ["/sys/class/dmi/id/product_serial", "/proc/device-tree/serial-number"];
    places.iter().find_map(|path| identity::serial(&text(*path)))
}

/// The interface that it booted from, and its address; the name is unknown where no card has the address that
/// the boot loader told.
fn interface(args: &[Arg]) -> (Option<String>, Option<String>) {
    let told = identity::bootif(args);
    let route = match &told {
        None => identity::default_route(&text("/proc/net/route"), &text("/proc/net/ipv6_route")),
        Some(_) => None,
    };
    let name = route.or_else(|| card(told.as_deref()));
    let mac = told.or_else(|| mac(name.as_ref()?));
    (name, mac)
}

fn mac(interface: &str) -> Option<String> {
    identity::mac(&text(format!("{NET}/{interface}/address")))
}

/// The interface with this address, or else, of those that are connected, the first that the kernel found.
fn card(address: Option<&str>) -> Option<String> {
    let mut first: Option<(u32, String)> = None;
    for entry in fs::read_dir(NET).ok()?.flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let Some(found) = mac(&name).filter(|_| name != "lo") else { continue };
        let of = |what: &str| text(format!("{NET}/{name}/{what}"));
        let fits = match address {
            Some(address) => found == address,
            None => of("carrier").trim() == "1",
        };
        let number = of("ifindex").trim().parse::<u32>().unwrap_or(u32::MAX);
        if fits && first.as_ref().is_none_or(|(least, _)| number < *least) {
            first = Some((number, name));
        }
    }
    first.map(|(_, name)| name)
}

/// The first address that other machines can use, IPv4 before IPv6.
fn address(interface: &str) -> Option<String> {
    let mut second = None;
    for entry in getifaddrs().ok()? {
        let Some(address) = entry.address.filter(|_| entry.interface_name == interface) else { continue };
        if let Some(ip) = address.as_sockaddr_in().map(|address| address.ip()).filter(|ip| !ip.is_link_local()) {
            return Some(ip.to_string());
        }
        let ip = address.as_sockaddr_in6().map(|address| address.ip());
        second = second.or(ip.filter(|ip| !ip.is_unicast_link_local()));
    }
    second.map(|ip| ip.to_string())
}
