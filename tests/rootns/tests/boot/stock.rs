// SPDX-License-Identifier: GPL-2.0-or-later
//! Hooks of dracut's own overlayfs module, which would make an overlay of their own.
use overlayroot_rootns::on_stage;
use std::fs;
use std::os::unix::fs::symlink;

#[test]
fn the_stock_modules_hooks_go_before_they_begin() {
    let hooks =
        ["pre-mount/01-prepare-overlayfs.sh", "pre-pivot/01-prepare-overlayfs-crypt.sh", "mount/01-mount-overlayfs.sh"];
    for (number, (cmdline, left)) in
        [("rd.overlay.crypt=/dev/x", 0), ("quiet", 3), ("root=live:x rd.overlay", 3)].into_iter().enumerate()
    {
        on_stage(&format!("stock{number}"), move |stage| {
            let base = "/etc/dracut/hooks";
            for hook in hooks.iter().chain(&["pre-pivot/50-other.sh"]) {
                let path = format!("{base}/{hook}");
                fs::create_dir_all(path.rsplit_once('/').unwrap().0).unwrap();
                fs::write(path, "").unwrap();
            }
            assert!(stage.tool("overlay-assemble", cmdline.as_bytes(), &["--stand-down"]).status.success());
            let there = hooks.iter().filter(|hook| fs::exists(format!("{base}/{hook}")).unwrap()).count();
            assert_eq!(there, left, "{cmdline}");
            assert!(fs::exists(format!("{base}/pre-pivot/50-other.sh")).unwrap());
        });
    }
}

#[test]
fn a_directory_with_two_names_is_listed_once() {
    on_stage("stock-link", |stage| {
        let (real, link) = ("/var/lib/dracut/hooks", "/etc/dracut/hooks");
        let hook = format!("{real}/pre-mount/01-prepare-overlayfs.sh");
        fs::create_dir_all(format!("{real}/pre-mount")).unwrap();
        fs::create_dir_all("/etc/dracut").unwrap();
        symlink(real, link).unwrap();
        fs::write(&hook, "").unwrap();
        let record = stage.assemble("rd.overlay");
        assert_eq!(record["steps"][0]["step"], "stand-down", "{record:#}");
        let text = record["steps"][0]["text"].as_str().unwrap();
        assert!(text.contains(&hook) && !text.contains(link), "{text}");
        assert!(!fs::exists(&hook).unwrap());
    });
}
