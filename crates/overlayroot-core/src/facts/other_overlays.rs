// SPDX-License-Identifier: GPL-2.0-or-later
//! Others that make the root an overlay, recognised from the command line and the root's mount.

use crate::facts::Rival;
use crate::facts::live_image::{self, Live};
use crate::parse::cmdline::Arg;

/// Everybody else who acts, or has acted, on this root. `live` is what dmsquash-live made, where that can be
/// taken over; so can a root of its that is no overlay (a device-mapper snapshot).
pub fn find(args: &[Arg], root_fstype: &str, root_source: &str, live: Option<&Live>) -> Vec<Rival> {
    let mut found: Vec<Rival> = args.iter().filter_map(from_arg).collect();
    if live.is_some() || !matches!(root_fstype, "" | "overlay") {
        found.retain(|rival| rival.name != live_image::NAME);
    }
    if root_fstype == "overlay" && live.is_none() {
        found.push(Rival {
            name: "another module".into(),
            evidence: format!("the root is an overlay of source '{root_source}'"),
        });
    }
    found
}

fn from_arg(arg: &Arg) -> Option<Rival> {
    let value = String::from_utf8_lossy(arg.value.as_deref().unwrap_or_default()).into_owned();
    let name = match (arg.key.as_slice(), value.as_str()) {
        (b"systemd.volatile", "0" | "no" | "off" | "false" | "state") => return None,
        (b"systemd.volatile", _) => "systemd-volatile-root",
        (b"root", root) if root.starts_with("live:") => live_image::NAME,
        (b"root", root) if root.starts_with("overlay:") => "kiwi",
        // Debian's dracut 051 to 106 ships 90overlay-root, which acts on this word.
        (b"rootovl", "0" | "no" | "off") | (b"ostree", "") => return None,
        (b"rootovl", _) => "Debian's overlay-root module",
        (b"ostree", _) => "ostree",
        _ => return None,
    };
    Some(Rival { name: name.into(), evidence: arg.text() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::cmdline::{Source, lex};

    #[test]
    fn who_counts() {
        let names = |text: &str| {
            let args = lex(&[Source::new("c", text)]);
            find(&args, "", "", None).into_iter().map(|r| r.name).collect::<Vec<_>>()
        };
        assert_eq!(names("root=LABEL=root systemd.volatile=no rootovl=0 ostree= quiet"), Vec::<String>::new());
        assert_eq!(names("systemd.volatile=overlay"), ["systemd-volatile-root"]);
        assert_eq!(names("root=live:http://x/y rootovl ostree=/z").len(), 3);
        assert_eq!(find(&[], "overlay", "LiveOS_rootfs", None).len(), 1);
        let args = lex(&[Source::new("c", "root=live:http://x/y")]);
        let live = Live::default();
        assert_eq!(find(&args, "overlay", "LiveOS_rootfs", None).len(), 2);
        assert_eq!(find(&args, "overlay", "LiveOS_rootfs", Some(&live)), []);
        assert_eq!(find(&args, "ext4", "/dev/mapper/live-rw", None), []);
    }
}
