// SPDX-License-Identifier: GPL-2.0-or-later
//! A test for each finding.
use super::*;
use overlayroot_core::facts::Root;
use overlayroot_core::parse::cmdline::Source;

fn findings(cmdline: &str, devno: &str, selinux: Selinux) -> Vec<(&'static str, Grade, String, String)> {
    let cmdline = vec![Source::new("/proc/cmdline", cmdline)];
    let inputs = Inputs { cmdline, conf: Vec::new(), ubuntu: Vec::new() };
    let root = Root { source: "/dev/vda".into(), devno: devno.into(), fstype: "ext4".into(), ..Root::default() };
    let facts = Facts { root: Some(root), ..Facts::default() };
    let mut found = Vec::new();
    examine(&inputs, &facts, &Host { selinux: Some(selinux), ..Host::default() }, &mut found);
    found.into_iter().map(|found| (found.check, found.grade, found.text, found.todo)).collect()
}

fn enforcing(root: Option<RootLabel>) -> Selinux {
    Selinux { enforcing: true, restorecon: true, root, ..Selinux::default() }
}

#[test]
fn the_label_of_the_root_is_held_against_the_policy() {
    let one = |selinux| findings("rd.overlay", "254:0", selinux).remove(0);
    let said = "Would relabel / from system_u:object_r:tmpfs_t:s0 to system_u:object_r:root_t:s0";
    let (check, grade, text, todo) = one(enforcing(Some(RootLabel::Differs(said.into()))));
    assert_eq!((check, grade), ("selinux", Grade::Warning));
    assert!(text.contains("tmpfs_t") && todo.contains("restorecon -F /"), "{text}");
    // Nothing that runs is wrong, whatever the upper is, and nothing is known to be.
    for root in [Some(RootLabel::Fits), None] {
        let (check, grade, text, _) = one(enforcing(root));
        assert_eq!((check, grade), ("selinux", Grade::Ok), "{text}");
    }
    let bare = Selinux { restorecon: false, ..enforcing(Some(RootLabel::Fits)) };
    let (_, grade, text, todo) = one(bare);
    assert!(grade == Grade::Warning && text.contains("restorecon is not installed"), "{text}");
    assert_eq!(todo, "install policycoreutils");
}

#[test]
fn nothing_is_enforced() {
    let wrong = || Some(RootLabel::Differs("x".into()));
    assert_eq!(findings("rd.overlay", "254:0", Selinux { enforcing: false, ..enforcing(wrong()) }), []);
    for off in ["selinux=0", "enforcing=0"] {
        let found = findings(&format!("rd.overlay {off}"), "254:0", enforcing(wrong()));
        assert_eq!((found.len(), found[0].1), (1, Grade::Note));
    }
}

#[test]
fn the_rules_that_a_policy_lacks() {
    let lacks = |enforcing| Selinux {
        enforcing,
        denied: vec!["system_u:system_r:syslogd_t:s0".to_owned(), "system_u:system_r:udev_t:s0".to_owned()],
        mounter: "system_u:system_r:kernel_t:s0".to_owned(),
        link_denied: true,
        ..self::enforcing(None)
    };
    let found = findings("rd.overlay", "254:0", lacks(true));
    for (check, grade, _, todo) in &found[..2] {
        assert_eq!((*check, *grade), ("selinux-rule", Grade::Warning));
        assert_eq!(todo, "semodule -i /usr/share/overlayroot-rs/overlayroot-rs.cil");
    }
    let (fd, link) = (&found[0].2, &found[1].2);
    assert!(fd.contains("2 domains") && fd.contains("syslogd_t") && fd.contains("kernel_t"), "{fd}");
    assert!(link.contains("/run/systemd/volatile-root") && link.contains("systemd-gpt-auto-generator"), "{link}");
    let found = findings("rd.overlay", "254:0", lacks(false));
    assert!(found.len() == 2 && found.iter().all(|found| found.1 == Grade::Note), "{found:#?}");
    assert!(found.iter().all(|found| found.2.contains("once it enforces")), "{found:#?}");
    // A root without a block device has no such link.
    assert_eq!(findings("rd.overlay", "0:41", lacks(false)).len(), 1);
    for (release, asks) in [("6.1.0-28-amd64", true), ("5.14.0-1.el9", true), ("6.12.1", false), ("7.0", false)] {
        let kernel = overlayroot_core::facts::Kernel { release: release.into(), ..Default::default() };
        assert_eq!(kernel.before(6, 12), asks, "{release}");
    }
}
