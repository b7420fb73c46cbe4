// SPDX-License-Identifier: GPL-2.0-or-later
//! The machine's name: in the upper and the kernel, with the lower's label, and the truth where it can't be had.
use overlayroot_rootns::{mount_at, on_stage, run};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

const LABEL: &str = "security.selinux";
const FILE: &str = "/run/initramfs/overlay/overlayfs/etc/hostname";

fn label(path: &str) -> String {
    let mut value = [0; 64];
    let len = rustix::fs::getxattr(path, LABEL, &mut value).unwrap_or(0);
    String::from_utf8_lossy(&value[..len]).trim_end_matches('\0').to_owned()
}

fn set_label(path: &str, text: &str) {
    rustix::fs::setxattr(path, LABEL, text.as_bytes(), rustix::fs::XattrFlags::empty()).unwrap();
}

fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned()
}

#[test]
fn the_name_goes_into_the_upper_and_to_the_kernel() {
    on_stage("hostname", |stage| {
        stage.mount_root("rw");
        fs::set_permissions("/sysroot/etc", fs::Permissions::from_mode(0o751)).unwrap();
        chown("/sysroot/etc", Some(3), Some(4)).unwrap();
        set_label("/sysroot/etc", "system_u:object_r:etc_t:s0\0");
        set_label("/sysroot/etc/hostname", "system_u:object_r:hostname_etc_t:s0\0");
        let record = stage.assemble("rd.overlay rd.overlay.hostname=n7.hpc");
        assert_eq!(
            (&record["outcome"], &record["effective"]["hostname"]),
            (&"applied".into(), &"n7.hpc".into()),
            "{record:#}"
        );
        assert_eq!(fs::read_to_string("/sysroot/etc/hostname").unwrap(), "n7.hpc\n");
        assert_eq!(fs::read_to_string("/run/rootfsbase/etc/hostname").unwrap(), "lower\n");
        assert_eq!(kernel(), "n7.hpc");
        let (file, etc) = (fs::metadata(FILE).unwrap(), fs::metadata("/sysroot/etc").unwrap());
        assert_eq!(file.mode() & 0o7777, 0o644);
        assert_eq!((etc.mode() & 0o7777, etc.uid(), etc.gid()), (0o751, 3, 4));
        assert_eq!(label(FILE), "system_u:object_r:hostname_etc_t:s0");
        assert_eq!(label("/sysroot/etc"), "system_u:object_r:etc_t:s0");
        assert_eq!(fs::read_dir("/sysroot/etc").unwrap().count(), 2, "something was left behind");
    });
}

#[test]
fn it_is_written_only_where_it_differs() {
    on_stage("same-name", |stage| {
        assert_eq!(stage.assemble("rd.overlay rd.overlay.hostname=lower")["outcome"], "applied");
        assert!(!fs::exists("/run/overlayfs/etc").unwrap(), "the lower has that name already");
        assert_eq!(kernel(), "lower");
        stage.reboot();
        let disk = stage.disk("upper.img", 16, &["-t", "ext4"]);
        let cmdline = format!("rd.overlay={} rd.overlay.hostname=n7", disk.node);
        let inode = || fs::metadata("/run/overlayfs/etc/hostname").unwrap().ino();
        stage.assemble(&cmdline);
        let before = inode();
        stage.reboot();
        stage.assemble(&cmdline);
        assert_eq!(inode(), before);
        // Removed, replaced, and by a link that leads elsewhere: the name is there again.
        for how in [
            "rm /sysroot/etc/hostname",
            "echo x > /sysroot/etc/hostname",
            "ln -sf /etc/fstab /sysroot/etc/hostname",
            "ln -s /etc/fstab /sysroot/etc/.hostname.overlayroot-rs; rm /sysroot/etc/hostname",
        ] {
            run("sh", &["-c", how]);
            stage.reboot();
            assert_eq!(stage.assemble(&cmdline)["outcome"], "applied", "{how}");
            assert!(fs::symlink_metadata("/run/overlayfs/etc/hostname").unwrap().is_file(), "{how}");
            assert_eq!(fs::read_to_string("/sysroot/etc/hostname").unwrap(), "n7\n", "{how}");
            assert!(fs::read_to_string("/sysroot/etc/fstab").unwrap().contains("swapfile"));
        }
        stage.reboot();
        let record = stage.assemble(&format!("{cmdline} rd.overlay.readonly"));
        assert_eq!(record["outcome"], "applied", "{record:#}");
        assert!(!fs::exists("/run/overlayfs/etc").unwrap(), "the read-only layer has that name already");
        stage.reboot();
        stage.assemble(&format!("rd.overlay={} rd.overlay.readonly rd.overlay.hostname=n8", disk.node));
        assert_eq!(fs::read_to_string("/sysroot/etc/hostname").unwrap(), "n8\n");
    });
}

#[test]
fn variables_are_this_machines() {
    on_stage("variables", |stage| {
        let record = stage.assemble(
            "rd.overlay ip=192.0.2.7::192.0.2.1:255.255.255.0:n9::none BOOTIF=01-52-54-00-AB-CD-EF \
             rd.overlay.hostname=${hostname}-${mac}",
        );
        assert_eq!(record["effective"]["hostname"], "n9-52-54-00-ab-cd-ef", "{record:#}");
        assert_eq!(record["requested"]["hostname"], "${hostname}-${mac}");
        assert_eq!(fs::read_to_string("/sysroot/etc/hostname").unwrap(), "n9-52-54-00-ab-cd-ef\n");
    });
}

#[test]
fn a_name_that_can_not_be_had_is_told_and_the_policy_holds() {
    for (name, why) in [
        ("a_b", "can't be in a hostname"),
        ("${nme}", "no variable '${nme}'"),
        ("${hostname}", "${hostname} is not known"),
    ] {
        on_stage(&format!("bad-{}", name.len()), move |stage| {
            run("hostname", &["localhost"]);
            let record = stage.assemble(&format!("rd.overlay rd.overlay.hostname={name}"));
            assert_eq!(
                (&record["outcome"], &record["effective"]["hostname"]),
                (&"degraded".into(), &serde_json::Value::Null)
            );
            let said = format!("{}{}", record["reasons"], record["issues"]);
            assert!(
                said.contains(why) && said.contains("rd.overlay.hostname") && said.contains("/proc/cmdline"),
                "{said}"
            );
            assert_eq!(mount_at("/sysroot").unwrap().fstype, "overlay");
            assert_eq!(kernel(), "localhost");
            stage.reboot();
            let record = stage.assemble(&format!("rd.overlay rd.overlay.fallback=ro rd.overlay.hostname={name}"));
            assert_eq!(record["effective"]["root"], "ro", "{record:#}");
        });
    }
}

#[test]
fn what_can_not_be_written_leaves_the_overlay_and_is_told() {
    on_stage("etc-link", |stage| {
        stage.mount_root("rw");
        run("sh", &["-c", "mv /sysroot/etc /sysroot/conf; ln -s conf /sysroot/etc"]);
        let record = stage.assemble("rd.overlay rd.overlay.hostname=n7");
        assert_eq!(
            (&record["outcome"], &record["effective"]["hostname"]),
            (&"degraded".into(), &serde_json::Value::Null)
        );
        assert!(record["reasons"][0]["text"].as_str().unwrap().contains("/etc is not a directory"), "{record:#}");
        assert_eq!(mount_at("/sysroot").unwrap().fstype, "overlay");
    });
}

#[test]
fn nodes_of_one_export_have_names_of_their_own_for_its_server() {
    on_stage("nfs-name", |stage| {
        const OPTIONS: &str = "/run/modprobe.d/overlayroot-rs.conf";
        let line = |cmdline: &str| {
            let _ = fs::remove_file(OPTIONS);
            let output = stage.tool("overlay-assemble", cmdline.as_bytes(), &["--stand-down"]);
            assert!(output.status.success(), "{output:?}");
            fs::read_to_string(OPTIONS).ok()
        };
        let root = "root=nfs:10.0.0.1:/x:ro BOOTIF=01-52-54-00-12-34-56";
        let named = line(&format!("{root} rd.overlay")).unwrap();
        assert!(named.starts_with("options nfs nfs4_unique_id=") && named.ends_with("525400123456\n"), "{named}");
        // What modprobe(8) makes of it.
        let shown = run("modprobe", &["--showconfig"]);
        assert!(shown.lines().any(|line| line == named.trim_end()), "{named}");
        assert_eq!(line(root), None);
        assert_eq!(line(&format!("{root} rd.overlay nfs.nfs4_unique_id=mine")), None);
        assert_eq!(line("root=LABEL=root rd.overlay"), None);
    });
}
