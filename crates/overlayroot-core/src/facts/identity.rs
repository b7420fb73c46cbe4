// SPDX-License-Identifier: GPL-2.0-or-later
//! What tells one machine from another, out of texts that the probe reads.

use crate::parse::cmdline::Arg;

/// Serial numbers that boards have where nobody has set one: the same on all of them.
const UNSET: [&str; 12] = [
    "none",
    "n/a",
    "unknown",
    "not specified",
    "not applicable",
    "not available",
    "to be filled by o.e.m.",
    "system serial number",
    "default string",
    "serial number",
    "0123456789",
    "123456789",
];

/// A serial number, unless it is one that no machine has for itself.
pub fn serial(text: &str) -> Option<String> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    let unset = UNSET.contains(&text.to_ascii_lowercase().as_str());
    (!unset && varied(text)).then(|| text.to_owned())
}

/// A UUID in lower case, unless it is one that no machine has for itself.
pub fn uuid(text: &str) -> Option<String> {
    /// What a board maker's tool leaves.
    const UNSET: &str = "03000200-0400-0500-0006-000700080009";
    let text = text.trim().to_ascii_lowercase();
    (text != UNSET && varied(&text.replace('-', ""))).then_some(text)
}

/// More than one character again and again (`0000`, `XXXX`).
fn varied(text: &str) -> bool {
    text.chars().any(|c| !text.starts_with(c))
}

/// The kernel's hostname, unless nobody has set it. `default` is what the distribution sets then.
pub fn hostname(text: &str, default: Option<&str>) -> Option<String> {
    let text = text.trim();
    let unset = ["", "(none)", "localhost", "localhost.localdomain"].contains(&text) || Some(text) == default;
    (!unset).then(|| text.to_owned())
}

/// The name that an `ip=` gives: `ip=CLIENT:PEER:GATEWAY:NETMASK:HOSTNAME:…` (dracut.cmdline(7)).
pub fn hostname_of_ip(args: &[Arg]) -> Option<String> {
    args.iter().filter(|arg| arg.key == b"ip").find_map(|arg| {
        let value = String::from_utf8_lossy(arg.value.as_deref()?).into_owned();
        fields(&value).nth(4).and_then(|name| hostname(name, None))
    })
}

/// Parts between colons; those within `[…]` belong to an IPv6 address.
fn fields(text: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    text.split(move |c| {
        inside = c == '[' || (inside && c != ']');
        c == ':' && !inside
    })
}

/// The address of the card that the firmware booted from: `BOOTIF=01-52-54-00-12-34-56` of pxelinux, or with
/// colons, as grub and iPXE make it.
pub fn bootif(args: &[Arg]) -> Option<String> {
    let arg = args.iter().rfind(|arg| arg.key == b"BOOTIF")?;
    let value = String::from_utf8_lossy(arg.value.as_deref()?).to_ascii_lowercase();
    let bytes: Vec<&str> = value.split(['-', ':']).collect();
    // Six bytes, or twenty of Infiniband, with the type of the hardware before them.
    let bytes = match bytes.len() {
        7 | 21 => bytes.get(1..)?,
        _ => &bytes,
    };
    mac(&bytes.join(":"))
}

/// A hardware address in lower case with colons; not one of zeros.
pub fn mac(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    let bytes: Vec<&str> = text.split(':').collect();
    let hex = |byte: &&str| byte.len() == 2 && byte.bytes().all(|digit| digit.is_ascii_hexdigit());
    let good = matches!(bytes.len(), 6 | 20) && bytes.iter().all(hex) && bytes.iter().any(|byte| *byte != "00");
    good.then_some(text)
}

/// The interface of the default route, from `/proc/net/route` or else `/proc/net/ipv6_route`; of several the one
/// with the least metric.
pub fn default_route(ipv4: &str, ipv6: &str) -> Option<String> {
    /// `RTF_UP`, and `RTF_REJECT`, which the route of a machine without one has.
    const UP: u32 = 1;
    const REJECT: u32 = 0x200;
    let v4 = ipv4.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (name, to, flags, metric, mask) =
            (fields.first()?, fields.get(1)?, fields.get(3)?, fields.get(6)?, fields.get(7)?);
        let flags = u32::from_str_radix(flags, 16).ok()?;
        let whole = *to == "00000000" && *mask == "00000000" && flags & UP != 0 && flags & REJECT == 0;
        whole.then_some((metric.parse::<u32>().ok()?, (*name).to_owned()))
    });
    let v6 = ipv6.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (to, length, metric, flags, name) =
            (fields.first()?, fields.get(1)?, fields.get(5)?, fields.get(8)?, fields.get(9)?);
        let flags = u32::from_str_radix(flags, 16).ok()?;
        let any = *length == "00" && to.bytes().all(|digit| digit == b'0');
        let whole = any && *name != "lo" && flags & UP != 0 && flags & REJECT == 0;
        whole.then_some((u32::from_str_radix(metric, 16).ok()?, (*name).to_owned()))
    });
    let least = |routes: &mut dyn Iterator<Item = (u32, String)>| routes.min().map(|(_, name)| name);
    least(&mut { v4 }).or_else(|| least(&mut { v6 }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::cmdline::{Source, lex};

    fn args(text: &str) -> Vec<Arg> {
        lex(&[Source::new("c", text)])
    }

    #[test]
    fn placeholders_are_nobodys_identity() {
        assert_eq!(serial(" VMware-42 1a\n").as_deref(), Some("VMware-42 1a"));
        assert_eq!(serial("10000000abcdef01\0").as_deref(), Some("10000000abcdef01"));
        for unset in
            ["", " \n", "None", "To Be Filled By O.E.M.", "0000000000000000\0", "XXXX", "0", "System Serial Number"]
        {
            assert_eq!(serial(unset), None, "{unset:?}");
        }
        assert_eq!(uuid("4C4C4544-0042\n").as_deref(), Some("4c4c4544-0042"));
        for unset in
            ["", "00000000-0000-0000-0000-000000000000", "FFFFFFFF-FFFF", "03000200-0400-0500-0006-000700080009"]
        {
            assert_eq!(uuid(unset), None, "{unset}");
        }
        assert_eq!(hostname("n7\n", Some("fedora")).as_deref(), Some("n7"));
        assert!(["(none)", "localhost", "fedora", ""].iter().all(|name| hostname(name, Some("fedora")).is_none()));
    }

    #[test]
    fn the_hostname_of_ip() {
        for (text, want) in [
            ("ip=10.0.0.7::10.0.0.1:255.0.0.0:n7:eth0:none", Some("n7")),
            ("ip=[2001:db8::7]::[fe80::1]:64:n6:eth0:none", Some("n6")),
            ("ip=dhcp", None),
            ("ip=eth0:dhcp", None),
            ("ip=::::n8::dhcp quiet", Some("n8")),
            ("ip=eth1:dhcp ip=::::n9:eth0:dhcp", Some("n9")),
            ("ip", None),
            ("ip=10.0.0.7::10.0.0.1:255.0.0.0::eth0:none", None),
        ] {
            assert_eq!(hostname_of_ip(&args(text)).as_deref(), want, "{text}");
        }
    }

    #[test]
    fn who_booted() {
        let want = Some("52:54:00:ab:cd:ef");
        for text in ["BOOTIF=01-52-54-00-AB-cd-ef", "BOOTIF=01-52:54:00:ab:cd:ef", "BOOTIF=52-54-00-ab-cd-ef"] {
            assert_eq!(bootif(&args(text)).as_deref(), want, "{text}");
        }
        let infiniband = format!("BOOTIF=20{}", "-01".repeat(20));
        assert_eq!(bootif(&args(&infiniband)).unwrap().len(), 59);
        for bad in [
            "BOOTIF=",
            "BOOTIF",
            "BOOTIF=eth0",
            "BOOTIF=01-52-54-00-ab",
            "BOOTIF=01-00-00-00-00-00-00",
            "BOOTIF=01-52-54-00-ab-cd-éx",
        ] {
            assert_eq!(bootif(&args(bad)), None, "{bad}");
        }
    }

    #[test]
    fn the_default_route() {
        let v4 = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
            eth1\t00000000\t0102000A\t0003\t0\t0\t200\t00000000\t0\t0\t0\n\
            eth0\t00000000\t0102000A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
            eth2\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        let zero = "0".repeat(32);
        let v6 = format!(
            "{zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200       lo\n\
             {zero} 00 {zero} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth3\n"
        );
        assert_eq!(default_route(v4, &v6).as_deref(), Some("eth0"));
        assert_eq!(default_route("", &v6).as_deref(), Some("eth3"));
        assert_eq!(default_route("x\n\n", "y"), None);
    }
}
