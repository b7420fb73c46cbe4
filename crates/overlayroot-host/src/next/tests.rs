// SPDX-License-Identifier: GPL-2.0-or-later
//! One answer of line, files, image and plan; what is not known is never green.
use super::*;
use overlayroot_core::facts::{Facts, Kernel, Root};
use overlayroot_core::plan::decide;

fn facts() -> Facts {
    let root = Root { fstype: "ext4".into(), bytes: 32 << 30, free: 16 << 30, ..Root::default() };
    Facts { root: Some(root), kernel: Kernel { overlay: true, ..Kernel::default() }, ..Facts::default() }
}

fn image(module: Module, own: Option<Own>) -> Image {
    Image { path: Some("/boot/initrd.img".into()), module, own, others: Vec::new() }
}

fn next(line: Result<&str, &str>, image: Image, conf: &str, ubuntu: &str) -> NextBoot {
    let line = line.map(|text| Source::handed("/boot/grub/grub.cfg", text)).map_err(str::to_owned);
    let file = |name: &str, text: &str| if text.is_empty() { Vec::new() } else { vec![Source::new(name, text)] };
    let used = line.clone().unwrap_or_else(|_| Source::new("/proc/cmdline", ""));
    let inputs = inputs(used, &image, file("/etc/overlayroot-rs.conf", conf), file("/etc/overlayroot.conf", ubuntu));
    let config = Config::read(&inputs);
    let decision = Some(decide(&config, &facts()));
    NextBoot { loader: Some("grub.d"), line, image, inputs, config, decision, live: true }
}

fn there() -> Image {
    image(Module::There, Some(Own::default()))
}

#[test]
fn who_asks_and_where() {
    for (line, conf, ubuntu, want) in [
        ("quiet", "", "", Verdict::Disabled),
        ("rd.overlay", "", "", Verdict::Enabled),
        ("rd.overlay=0", "", "overlayroot=tmpfs", Verdict::Disabled),
        ("quiet", "", "overlayroot=tmpfs", Verdict::Enabled),
        ("overlayroot=tmpfs", "", "", Verdict::Enabled),
        ("overlayroot=disabled", "", "overlayroot=tmpfs", Verdict::Disabled),
        ("rd.live.overlay.overlayfs", "", "", Verdict::Enabled),
        ("rd.overlay=LABEL=none", "", "", Verdict::Degraded),
        ("rd.overlay.rest", "", "", Verdict::Degraded),
        // What the initramfs will record as degraded is not called enabled.
        ("rd.overlay=label=persist", "", "", Verdict::Degraded),
        ("rd.overlay rd.overlay.timeout=8s", "", "", Verdict::Degraded),
        ("rd.overlay rd.overlya.reset", "", "", Verdict::Degraded),
        ("overlayroot=tmpfs:swap=2", "", "", Verdict::Degraded),
        // the host's file is not the one that the initramfs reads
        ("quiet", "rd.overlay", "", Verdict::Disabled),
    ] {
        let next = next(Ok(line), there(), conf, ubuntu);
        assert_eq!(next.verdict(), want, "{line}, {conf}, {ubuntu}: {}", next.says());
        assert_eq!(next.asked().is_empty(), want == Verdict::Disabled && !ubuntu.contains("tmpfs"), "{line} {ubuntu}");
    }
    let own = Own { conf: vec![Source::new("/etc/overlayroot-rs.conf", "rd.overlay=tmpfs")], cmdline: Vec::new() };
    let copied = next(Ok("quiet"), image(Module::There, Some(own)), "", "");
    assert_eq!(copied.verdict(), Verdict::Enabled);
    assert_eq!(copied.asked()[0].source, "/etc/overlayroot-rs.conf:1");
    let told = next(Ok("rd.overlay"), there(), "", "").says();
    assert!(told.ends_with("[rd.overlay in /boot/grub/grub.cfg]"), "{told}");
}

#[test]
fn without_the_module_nothing_happens() {
    let missing = || image(Module::Missing("/boot/initrd.img lacks it".into()), Some(Own::default()));
    let next = next(Ok("rd.overlay"), missing(), "", "");
    assert_eq!(next.verdict(), Verdict::Disabled);
    let told = next.says();
    assert!(told.contains("although rd.overlay in /boot/grub/grub.cfg asks") && told.contains("lacks it"), "{told}");
    let rival = Image { others: vec!["overlayroot".into()], ..missing() };
    let of = |line| super::tests::next(Ok(line), rival.clone(), "", "").verdict();
    assert_eq!(
        (of("overlayroot=tmpfs"), of("boot=overlay"), of("quiet")),
        (Verdict::Unknown, Verdict::Unknown, Verdict::Disabled)
    );
}

#[test]
fn what_is_not_known_is_not_green() {
    let blind = || image(Module::NotKnown("lsinitrd is not installed".into()), None);
    for (line, image) in [(Err("none was found"), there()), (Ok("rd.overlay"), blind()), (Ok("quiet"), blind())] {
        let next = next(line, image, "", "");
        assert_eq!(next.verdict(), Verdict::Unknown);
        assert!(next.says().starts_with("not known: "), "{}", next.says());
        assert_eq!(next.told().state, "unknown");
    }
}

#[test]
fn an_image_counts_only_where_it_is_known_to_be_the_next_boots() {
    // of the kernel that runs, and the loader may start another
    let other = image(Module::Missing("it lacks it".into()), None);
    assert_eq!(next(Ok("rd.overlay"), other.clone(), "", "").verdict(), Verdict::Disabled);
    assert_eq!(next(Err("none was found"), other, "", "").verdict(), Verdict::Unknown);
}

#[test]
fn nothing_is_green_that_the_planner_was_not_asked() {
    let unasked = |line, live| NextBoot { decision: None, live, ..next(Ok(line), there(), "", "") };
    assert_eq!(unasked("rd.overlay", true).verdict(), Verdict::Unknown);
    assert!(unasked("rd.overlay", true).says().contains("the devices were not inspected"));
    assert_eq!(unasked("quiet", true).verdict(), Verdict::Disabled);
    // of another system's tree
    assert_eq!(unasked("rd.overlay", false).verdict(), Verdict::Enabled);
    for slip in [
        "rd.overlay.rest",
        "rd.overlya=tmpfs",
        "rd.overlay=label=persist",
        "rd.overlay.crypt=/dev/vdb",
        "rd.overlay=LABEL=x rd.overlay.fallback=halt rd.overlay.timeout=8s",
    ] {
        assert_eq!(unasked(slip, false).verdict(), Verdict::Degraded, "{slip}");
    }
}

#[test]
fn a_boot_that_ends_in_the_emergency_shell() {
    let says = |line| next(Ok(line), there(), "", "").says();
    let halt = says("rd.overlay=LABEL=none rd.overlay.fallback=halt");
    assert!(halt.starts_with("NOT as asked for: ") && halt.ends_with("instead: no root, emergency shell"), "{halt}");
    assert!(says("rd.overlay=LABEL=none").contains("instead: overlay, upper in RAM"));
    let slip = says("rd.overlay=label=persist");
    assert!(
        slip.starts_with("NOT as asked for: rd.overlay=label=persist in ") && slip.contains("will be lost"),
        "{slip}"
    );
}

#[test]
fn a_root_that_is_the_overlay_is_never_green() {
    for line in ["root=LiveOS_rootfs rd.overlay", "root=LABEL=x root=LiveOS_rootfs", "root=overlayroot"] {
        let next = next(Ok(line), there(), "", "");
        assert_eq!(next.verdict(), Verdict::Degraded, "{line}");
        assert!(next.says().contains("in /boot/grub/grub.cfg is the overlay, no device"), "{}", next.says());
    }
    assert_eq!(next(Ok("root=LiveOS_rootfs root=LABEL=x rd.overlay"), there(), "", "").verdict(), Verdict::Enabled);
}
