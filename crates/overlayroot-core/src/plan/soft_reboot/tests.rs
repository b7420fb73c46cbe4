// SPDX-License-Identifier: GPL-2.0-or-later
use super::*;

fn bind(to: &str) -> Step {
    Step::Bind { from: "/x".to_owned(), to: to.to_owned() }
}

fn path(path: &str) -> PathStep {
    PathStep::ReadOnly { path: path.to_owned(), root: SYSROOT.to_owned() }
}

/// What is written for these steps: units, and their drop-ins.
fn written(steps: Vec<Step>, lower: &str) -> (Vec<(String, String)>, Vec<String>) {
    let (units, notes) = keep_mounted(&steps, lower);
    let own = units.into_iter().map(|step| {
        let Step::WriteRun { path, text, .. } = step else { panic!("{step}") };
        let unit = path.strip_prefix("/run/systemd/system/").unwrap().strip_suffix(".d/50-overlayroot-rs.conf");
        (unit.unwrap().to_owned(), text)
    });
    (own.collect(), notes)
}

fn units(steps: Vec<Step>) -> Vec<String> {
    written(steps, "ext4").0.into_iter().map(|(unit, _)| unit).collect()
}

#[test]
fn each_mount_that_the_booted_system_sees_has_one_drop_in() {
    let tmpfs = |at: &str| Step::MountTmpfs { at: at.to_owned(), source: String::new(), options: String::new() };
    let steps = vec![
        tmpfs("/run/initramfs/overlay"),
        tmpfs("/media/root-rw"),
        bind("/run/initramfs/overlayroot/root"),
        bind("/run/overlayfs-backing"),
        Step::LowerReadOnly { at: "/run/rootfsbase".to_owned() },
        bind("/sysroot/media/root-ro"),
        bind("/sysroot/media/root-rw"),
        Step::Path(path("/var/lib/my app")),
        Step::Path(path("/sysroots")),
    ];
    let want = [
        "media-root\\x2drw.mount",
        "run-overlayfs\\x2dbacking.mount",
        "run-rootfsbase.mount",
        "media-root\\x2dro.mount",
        "var-lib-my\\x20app.mount",
        "sysroots.mount",
    ];
    assert_eq!(units(steps), want);
}

#[test]
fn a_shutdown_that_is_no_soft_reboot_stops_it_in_systemd_s_own_order() {
    let lower = || vec![Step::LowerReadOnly { at: "/run/rootfsbase".to_owned() }];
    let of = |steps, fstype| written(steps, fstype).0.remove(0).1;
    let local = "[Unit]\nDefaultDependencies=no\n\
                 Conflicts=reboot.target kexec.target poweroff.target halt.target\n\
                 Before=local-fs.target umount.target\nAfter=local-fs-pre.target\n";
    assert_eq!(of(lower(), "ext4"), local);
    let network = local.replace("local-fs.target", "remote-fs.target");
    let network = network.replace("local-fs-pre.target", "remote-fs-pre.target network.target");
    assert_eq!(of(lower(), "nfs4"), network);
    let volatile = PathStep::Volatile {
        path: "/srv".to_owned(),
        root: SYSROOT.to_owned(),
        options: String::new(),
        mode: None,
        copy: false,
        layers: Vec::new(),
    };
    let tmpfs = local.replace("local-fs-pre.target", "local-fs-pre.target swap.target");
    assert_eq!(of(vec![Step::Path(volatile)], "ext4"), tmpfs);
}

#[test]
fn a_name_that_no_directory_can_have_is_told_of() {
    // systemd.unit(5): "NAME.mount.d" is a file name
    for (letters, fits) in [(247, true), (248, false)] {
        let (written, notes) = written(vec![Step::Path(path(&format!("/{}", "x".repeat(letters))))], "ext4");
        assert_eq!((written.len() == 1, notes.is_empty()), (fits, fits), "{letters}");
    }
}

#[test]
fn a_plan_without_mounts_has_none() {
    assert_eq!(units(vec![Step::RootReadOnly { at: SYSROOT.to_owned() }]), [] as [&str; 0]);
}
