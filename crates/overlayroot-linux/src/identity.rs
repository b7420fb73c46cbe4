// SPDX-License-Identifier: GPL-2.0-or-later
//! What tells this machine from others: name, card, serial number. Each is looked for only where a value of the
//! configuration asks for it.

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;
use overlayroot_core::cmdline::Arg;
use overlayroot_core::facts::Node;
use overlayroot_core::node;
use overlayroot_core::vars::Var;
use std::fs;
use std::net::IpAddr;

const NET: &str = "/sys/class/net";

/// The machine, as far as `wanted` asks.
pub fn look(wanted: &[Var], args: &[Arg]) -> Node {
    let wants = |var| wanted.contains(&var);
    let interface = if wants(Var::Mac) || wants(Var::Ip) { interface(args) } else { None };
    let (name, mac) = interface.unwrap_or_default();
    Node {
        hostname: if wants(Var::Hostname) { hostname(args) } else { None },
        mac: mac.filter(|_| wants(Var::Mac)),
        serial: if wants(Var::Serial) { serial() } else { None },
        uuid: if wants(Var::Uuid) { node::uuid(&text("/sys/class/dmi/id/product_uuid")) } else { None },
        ip: name.filter(|_| wants(Var::Ip)).and_then(|name| address(&name)),
    }
}

fn text(path: &str) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hostname(args: &[Arg]) -> Option<String> {
    // What the distribution calls a machine without a name is no name (systemd, hostname(5)).
    let release = text("/etc/os-release");
    let default = release.lines().find_map(|line| line.strip_prefix("DEFAULT_HOSTNAME="));
    let default = default.map(|value| value.trim_matches(['"', '\'']));
    node::hostname_of_ip(args).or_else(|| node::hostname(&text("/proc/sys/kernel/hostname"), default))
}

fn serial() -> Option<String> {
    let places = ["/sys/class/dmi/id/product_serial", "/proc/device-tree/serial-number"];
    places.iter().find_map(|path| node::serial(&text(path)))
}

/// The interface that it booted from, and its address; the name is unknown where no card has the address that
/// the boot loader told.
fn interface(args: &[Arg]) -> Option<(Option<String>, Option<String>)> {
    let cards = cards();
    if let Some(told) = node::bootif(args) {
        let name = cards.iter().find(|card| mac(card).as_ref() == Some(&told));
        return Some((name.cloned(), Some(told)));
    }
    let route = node::default_route(&text("/proc/net/route"), &text("/proc/net/ipv6_route"));
    let connected = |card: &&String| text(&format!("{NET}/{card}/carrier")).trim() == "1";
    let name = route.or_else(|| cards.iter().find(connected).cloned())?;
    let mac = mac(&name);
    Some((Some(name), mac))
}

fn mac(interface: &str) -> Option<String> {
    node::mac(&text(&format!("{NET}/{interface}/address")))
}

/// Interfaces with a hardware address, in the order in which the kernel found them.
fn cards() -> Vec<String> {
    let entries = fs::read_dir(NET).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name != "lo" && mac(name).is_some()).collect();
    names.sort_by_key(|name| text(&format!("{NET}/{name}/ifindex")).trim().parse::<u32>().unwrap_or(u32::MAX));
    names
}

/// The first address that other machines can use.
fn address(interface: &str) -> Option<String> {
    let all = getifaddrs().ok()?;
    let addresses = all.filter(|entry| entry.interface_name == interface).filter_map(|entry| ip(&entry.address?));
    let found: Vec<IpAddr> = addresses.filter(usable).collect();
    let first = found.iter().find(|ip| ip.is_ipv4()).or_else(|| found.first());
    first.map(ToString::to_string)
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}

fn usable(ip: &IpAddr) -> bool {
    let local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !local && !ip.is_loopback() && !ip.is_unspecified()
}
