// SPDX-License-Identifier: GPL-2.0-or-later
//! Where a link of resolv.conf leads.
use super::*;

#[test]
fn links_of_resolv_conf() {
    for (link, want) in [
        ("../run/systemd/resolve/stub-resolv.conf", Some("run/systemd/resolve/stub-resolv.conf")),
        ("/run/NetworkManager/resolv.conf", Some("run/NetworkManager/resolv.conf")),
        ("../../../run/x", Some("run/x")),
        ("/mnt/resolv.conf", None),
        ("resolv.conf.d/x", None),
    ] {
        assert_eq!(below_run(Path::new(link)), want.map(PathBuf::from), "{link}");
    }
}
