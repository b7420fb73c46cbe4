// SPDX-License-Identifier: GPL-2.0-or-later
//! Stores of container images under the root's overlay: what is copied of them shows, through an overlay of the
//! kernel's on its layers, what the image is.
use overlayroot_rootns::off::unmount;
use overlayroot_rootns::{Stage, mount_at, on_stage, run};
use rustix::fs::{XattrFlags, lgetxattr, setxattr};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const STORE: &str = "/var/lib/containers";

fn mark(path: &str, name: &str, value: &str) {
    setxattr(path, format!("trusted.overlay.{name}"), value.as_bytes(), XattrFlags::empty()).unwrap();
}

fn has_mark(path: &str, name: &str) -> bool {
    lgetxattr(path, format!("trusted.overlay.{name}"), &mut [0; 64]).is_ok()
}

/// Two layers of an image below `top`, as podman's driver overlay leaves them, and as a plain root had them.
fn plant(top: &str) {
    let at = |name: &str| format!("{top}{STORE}/storage/overlay/{name}");
    for dir in ["base/diff/etc", "base/diff/opt/app", "top/diff/etc", "top/diff/opt/app", "top/diff/usr"] {
        fs::create_dir_all(at(dir)).unwrap();
    }
    for name in ["etc/removed", "etc/gone", "etc/stays", "opt/app/old", "data"] {
        fs::write(at(&format!("base/diff/{name}")), format!("base's {name}")).unwrap();
    }
    run("mknod", &[&at("top/diff/etc/removed"), "c", "0", "0"]);
    fs::write(at("top/diff/opt/app/fresh"), "top's").unwrap();
    mark(&at("top/diff/opt/app"), "opaque", "y");
    // Only its attributes were changed: the content is the other layer's.
    fs::File::create(at("top/diff/data")).unwrap().set_len("base's data".len() as u64).unwrap();
    fs::File::create(at("top/diff/holes")).unwrap().set_len(64 << 20).unwrap();
    mark(&at("top/diff/data"), "metacopy", "");
    mark(&at("top/diff/usr"), "redirect", "/etc");
}

/// Each path that the kernel shows of the image, from the layers of the store at `store`.
fn image(store: &str) -> Vec<String> {
    let layer = |name: &str| format!("{store}/storage/overlay/{name}/diff");
    let options = format!("metacopy=on,lowerdir={}:{}", layer("top"), layer("base"));
    run("mount", &["-t", "overlay", "-o", &options, "image", "/mnt"]);
    let list = run("find", &["/mnt", "-mindepth", "2", "!", "-path", "/mnt/usr*", "-printf", "%P\n"]);
    let mut list: Vec<String> = list.lines().map(str::to_owned).collect();
    list.sort_unstable();
    assert_eq!(fs::read_to_string("/mnt/data").unwrap(), "base's data");
    unmount("/mnt");
    list
}

fn planted(stage: &Stage) {
    stage.mount_root("rw");
    plant("/sysroot");
    stage.mount_root("ro");
}

fn failed(record: &Value) -> Vec<&str> {
    record["reasons"].as_array().unwrap().iter().filter_map(|reason| reason["text"].as_str()).collect()
}

#[test]
fn a_store_is_copied_from_the_lower_as_it_is() {
    on_stage("store-lower", |stage| {
        let disk = stage.disk("keep.img", 24, &["-t", "ext4"]);
        planted(stage);
        let line = format!("rd.overlay rd.overlay.path=containers rd.overlay.path.dev={}", disk.node);
        let record = stage.assemble(&line);
        assert_eq!(record["outcome"], "applied", "{record:#}");
        let store = format!("/sysroot{STORE}");
        assert_eq!(mount_at(&store).unwrap().fstype, "ext4");
        assert_eq!(image(&store), ["etc/gone", "etc/stays", "opt/app", "opt/app/fresh"]);
        let top = format!("{store}/storage/overlay/top/diff");
        assert!(has_mark(&format!("{top}/data"), "metacopy") && has_mark(&format!("{top}/usr"), "redirect"));
        let holes = fs::metadata(format!("{top}/holes")).unwrap();
        assert!(holes.len() == 64 << 20 && holes.blocks() == 0, "{} blocks", holes.blocks());
        // Kept from here on.
        fs::write(format!("{top}/etc/new"), "").unwrap();
        stage.reboot();
        assert_eq!(stage.assemble(&line)["outcome"], "applied");
        assert_eq!(image(&store), ["etc/gone", "etc/new", "etc/stays", "opt/app", "opt/app/fresh"]);
    });
}

#[test]
fn what_the_upper_changed_of_it_is_copied_too() {
    on_stage("store-upper", |stage| {
        let disk = stage.disk("upper.img", 32, &["-t", "ext4"]);
        planted(stage);
        let line = format!("rd.overlay={}", disk.node);
        assert_eq!(stage.assemble(&line)["outcome"], "applied");
        // Each of them copies directories up, and their marks stay behind.
        let at = |name: &str| format!("/sysroot{STORE}/storage/overlay/{name}");
        fs::write(at("top/diff/etc/conf"), "new").unwrap();
        fs::write(at("top/diff/opt/app/changed"), "new").unwrap();
        fs::remove_file(at("base/diff/etc/gone")).unwrap();
        fs::create_dir_all(at("top/diff/srv")).unwrap();
        // Set through the overlay, as a container engine does (Linux 6.7).
        let nested = setxattr(at("top/diff/srv"), "trusted.overlay.opaque", b"y", XattrFlags::empty()).is_ok();
        fs::remove_dir_all(at("base/diff/opt/app")).unwrap();
        fs::create_dir(at("base/diff/opt/app")).unwrap();
        fs::write(at("base/diff/opt/app/again"), "").unwrap();
        fs::create_dir_all(format!("/sysroot{STORE}/storage/apart")).unwrap();

        stage.reboot();
        let record = stage.assemble(&format!("{line} rd.overlay.path=containers"));
        assert_eq!(record["outcome"], "applied", "{record:#}");
        let store = format!("/sysroot{STORE}");
        assert_eq!(mount_at(&store).unwrap().fstype, "ext4");
        assert_eq!(image(&store), ["etc/conf", "etc/stays", "opt/app", "opt/app/changed", "opt/app/fresh"]);
        assert!(!Path::new(&at("base/diff/etc/gone")).exists());
        let again: Vec<_> =
            fs::read_dir(at("base/diff/opt/app")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(again, ["again"], "the root's own opaque directory");
        assert!(!has_mark(&at("base/diff/opt/app"), "opaque"), "which is no mark of the store's");
        assert_eq!(has_mark(&at("top/diff/srv"), "opaque"), nested);
        assert!(!has_mark(&at("top/diff/etc"), "origin") && !has_mark(&at("top/diff/etc"), "impure"));
    });
}

#[test]
fn a_volatile_copy_has_the_marks() {
    on_stage("store-volatile", |stage| {
        planted(stage);
        let record = stage.assemble("rd.overlay rd.overlay.path=volatile:/var/lib/containers,copy,size=8M");
        assert_eq!(record["outcome"], "applied", "{record:#}");
        let store = format!("/sysroot{STORE}");
        assert_eq!(mount_at(&store).unwrap().fstype, "tmpfs");
        assert_eq!(image(&store), ["etc/gone", "etc/stays", "opt/app", "opt/app/fresh"]);
    });
}

#[test]
fn a_store_that_is_mounted_apart_is_copied_from_there() {
    on_stage("store-mounted", |stage| {
        let (disk, keep) = (stage.disk("var.img", 24, &["-t", "ext4"]), stage.disk("keep.img", 24, &["-t", "ext4"]));
        stage.mount_root("rw");
        fs::create_dir_all("/sysroot/var/lib").unwrap();
        stage.mount_root("ro");
        run("mount", &[&disk.node, "/sysroot/var/lib"]);
        fs::create_dir_all(format!("/sysroot{STORE}/storage/apart/below")).unwrap();
        plant("/sysroot");
        run("mount", &["-t", "tmpfs", "inner", &format!("/sysroot{STORE}/storage/apart")]);
        fs::write(format!("/sysroot{STORE}/storage/apart/elsewhere"), "").unwrap();
        let record =
            stage.assemble(&format!("rd.overlay rd.overlay.path=containers rd.overlay.path.dev={}", keep.node));
        assert_eq!(record["outcome"], "applied", "{record:#}");
        assert_eq!(image(&format!("/sysroot{STORE}")), ["etc/gone", "etc/stays", "opt/app", "opt/app/fresh"]);
        let apart = fs::read_dir(format!("/sysroot{STORE}/storage/apart")).unwrap().count();
        assert_eq!(apart, 0, "what is mounted below, and what that hides, is not copied");
    });
}

#[test]
fn an_upper_that_names_do_not_tell_is_refused() {
    on_stage("store-redirect", |stage| {
        let disk = stage.disk("upper.img", 24, &["-t", "ext4"]);
        planted(stage);
        // In the store, and on the way to it.
        for (at, to, named) in [("/var/lib/containers/moved", "storage", "moved"), ("/var/lib", "lib", "/var/lib")] {
            run("mount", &[&disk.node, "/mnt"]);
            let moved = format!("/mnt/overlay{at}");
            fs::create_dir_all(&moved).unwrap();
            mark(&moved, "redirect", to);
            unmount("/mnt");
            let record = stage.assemble(&format!("rd.overlay={} rd.overlay.path=containers", disk.node));
            assert_eq!(record["outcome"], "degraded", "{record:#}");
            let said = failed(&record).join("; ");
            assert!(said.contains(&format!("copying {}: it has its content elsewhere (redirect_dir", named)), "{said}");
            assert_eq!(mount_at(&format!("/sysroot{STORE}")), None, "the path is the overlay's");
            stage.reboot();
        }
    });
}

#[test]
fn an_image_of_the_merged_root_has_the_stores_of_the_lower() {
    on_stage("store-image", |stage| {
        stage.mount_root("rw");
        plant("/sysroot");
        fs::create_dir_all("/sysroot/proc").unwrap();
        stage.mount_root("ro");
        assert_eq!(stage.assemble("rd.overlay")["outcome"], "applied");
        fs::write(format!("/sysroot{STORE}/storage/libpod.db"), "new in the upper").unwrap();
        let build = |args: &[&str]| stage.overlayctl_inside(&[&["image", "build", "merged"], args].concat());
        for name in ["m.squashfs", "m.erofs"] {
            let output = build(&[&format!("/run/{name}")]);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            fs::create_dir_all("/run/image").unwrap();
            run("mount", &["-o", "loop,ro", &format!("/run/{name}"), "/run/image"]);
            let store = format!("/run/image{STORE}");
            assert!(Path::new(&format!("{store}/storage/libpod.db")).exists());
            assert_eq!(image(&store), ["etc/gone", "etc/stays", "opt/app", "opt/app/fresh"], "{name}");
            unmount("/run/image");
        }
        // Of both: no mount shows it.
        fs::write(format!("/sysroot{STORE}/storage/overlay/top/diff/etc/conf"), "new").unwrap();
        let output = build(&["/run/n.squashfs"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("top/diff/data: an image layer"), "{said}");
        assert!(!Path::new("/run/n.squashfs").exists() && !Path::new("/run/n.squashfs.new").exists());
        let output = build(&["/run/n.squashfs", "--exclude", &STORE[1..]]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    });
}

#[test]
fn an_image_has_a_store_also_where_the_upper_has_renamed_it() {
    on_stage("store-renamed", |stage| {
        stage.mount_root("rw");
        plant("/sysroot");
        fs::create_dir_all("/sysroot/proc").unwrap();
        stage.mount_root("ro");
        assert_eq!(stage.assemble("rd.overlay")["outcome"], "applied");
        fs::create_dir_all("/sysroot/new/deep").unwrap();
        fs::rename(format!("/sysroot{STORE}"), "/sysroot/new/deep/store").unwrap();
        fs::rename("/sysroot/new/deep/store/storage/overlay", "/sysroot/new/deep/store/storage/moved").unwrap();
        fs::rename("/sysroot/new/deep/store/storage/moved", "/sysroot/new/deep/store/storage/overlay").unwrap();
        // A file that was renamed hides nothing.
        fs::rename("/sysroot/etc/hostname", "/sysroot/etc/name").unwrap();
        let build = |args: &[&str]| stage.overlayctl_inside(&[&["image", "build"], args].concat());
        for (root, at) in [("merged", "/new/deep/store"), ("/new/deep/store", ""), ("/new", "/deep/store")] {
            let output = build(&[root, "/run/m.squashfs", "--force"]);
            assert!(output.status.success(), "{root}: {}", String::from_utf8_lossy(&output.stderr));
            fs::create_dir_all("/run/image").unwrap();
            run("mount", &["-o", "loop,ro", "/run/m.squashfs", "/run/image"]);
            let found = image(&format!("/run/image{at}"));
            assert_eq!(found, ["etc/gone", "etc/stays", "opt/app", "opt/app/fresh"], "{root}");
            unmount("/run/image");
        }
        fs::write("/sysroot/new/deep/store/storage/overlay/top/diff/etc/conf", "new").unwrap();
        let said = String::from_utf8_lossy(&build(&["merged", "/run/n.squashfs"]).stderr).into_owned();
        assert!(said.contains("/new/deep/store/storage/overlay/top/diff/data: an image layer"), "{said}");
    });
}

#[test]
fn doctor_names_a_store_with_whiteouts() {
    on_stage("store-doctor", |stage| {
        stage.mount_root("rw");
        plant("/sysroot");
        let home = "/sysroot/home/me/.local/share/containers/storage/overlay/x/diff";
        fs::create_dir_all(home).unwrap();
        run("mknod", &[&format!("{home}/gone"), "c", "0", "0"]);
        fs::create_dir_all("/sysroot/var/lib/docker/overlay2/x/diff").unwrap();
        stage.mount_root("ro");
        let line = "rd.overlay rd.overlay.path=persist:/none/";
        stage.assemble(line);
        let output = stage.overlayctl_inside(&["doctor", "--json", "--cmdline", line]);
        let found: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        let text = found.to_string();
        let of = |store: &str| {
            let start = text.find(store).unwrap_or_else(|| panic!("{store}: {text}"));
            text[start..].split("\"todo\"").next().unwrap().contains("which the overlay hides")
        };
        assert!(of("podman's storage /var/lib/containers"), "{text}");
        assert!(of("the container storage /home/me/.local/share/containers"), "{text}");
        assert!(!of("docker's storage /var/lib/docker"), "{text}");
    });
}
