// SPDX-License-Identifier: GPL-2.0-or-later
//! `vm content`: what dracut put into the images, read from the archives themselves.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context as _, Result, ensure};

use crate::bench::size;
use crate::case::RootKind;
use crate::cell::{Cell, Flavour, Initrd, Suite, Variant};
use crate::differential;
use crate::engine::Engine;
use crate::host::{self, Host, say};
use crate::images::ImageSet;
use crate::plan::{self, Sets};

/// In every image with the module; a name ends with one of these.
const ALWAYS: [&str; 10] = [
    "usr/bin/overlay-assemble",
    "usr/bin/overlay-upper",
    "usr/bin/overlay-loop",
    "hooks/pre-pivot/05-assemble.sh",
    "hooks/cmdline/05-stand-down.sh",
    "hooks/shutdown/05-take-apart.sh",
    "etc/overlayroot-rs.conf",
    "sbin/e2fsck",
    "sbin/e2undo",
    "sbin/modprobe",
];
/// Where dracut.conf asks for it; part of a name.
const ASKED: [&str; 11] = [
    "sbin/mkfs.ext4",
    "sbin/mkfs.xfs",
    "sbin/mkfs.btrfs",
    "sbin/sfdisk",
    "/quota_v2.ko",
    "bin/overlay-populate",
    "bin/overlay-commit",
    "bin/overlay-thaw",
    "bin/overlay-tries",
    "overlayroot-rs.service.d/thaw.conf",
    "overlayroot-rs.service.d/tries.conf",
];
/// What takes the image of `root=live:URL` from livenet; a name ends with one of these.
const IMAGE: [&str; 7] = [
    "bin/overlay-populate",
    "bin/overlay-image",
    "bin/overlayimageroot",
    "hooks/cmdline/35-image.sh",
    "hooks/initqueue/timeout/35-image-late.sh",
    "sbin/livenetroot",
    "bin/curl",
];
const UNIT: &str = "usr/lib/systemd/system/overlayroot-rs.service";
const LINK: &str = "initrd-root-fs.target.wants/overlayroot-rs.service";

/// Looks into one image a cell and variant; prints a line each.
///
/// # Errors
/// When an image can't be made or read.
pub fn run(host: &Host) -> Result<bool> {
    let plain = Cell::ALL.iter().map(|&cell| (cell, Variant::Plain, RootKind::Ext4, Engine::Qemu));
    let bare = Cell::MAIN.iter().map(|&cell| (cell, Variant::Bare, RootKind::Ext4, Engine::Qemu));
    let asked =
        Suite::MAIN.map(|suite| (Cell { suite, initrd: Initrd::Systemd }, Variant::Mkfs, RootKind::Ext4, Engine::Qemu));
    let image = Cell::MAIN.iter().map(|&cell| (cell, Variant::Net, RootKind::Ext4, Engine::Qemu));
    // no kind that an upper lies on: those are in every image
    let inside = Suite::ALL
        .map(|suite| (Cell { suite, initrd: Initrd::Systemd }, Variant::Plain, RootKind::Squashfs, Engine::Qemu));
    let needs: Vec<_> = plain.chain(bare).chain(asked).chain(image).collect();
    let sets = plan::prepare(host, &[needs.as_slice(), inside.as_slice()].concat())?;
    let mut tally = Tally::default();
    for (cell, variant, ..) in needs {
        tally.add(&format!("image {cell} {variant}"), look(&sets, cell, variant).map(|()| String::new()));
    }
    for cell in size::CELLS {
        let added = size::check(&sets, cell).map(|kb| format!(": {kb} KB of at most {}", size::ADDED_AT_MOST));
        tally.add(&format!("bytes added to the image of {cell}"), added);
    }
    // Debian 11's dracut has no such program: it splits in shell
    for suite in Suite::ALL.into_iter().filter(|suite| *suite > Suite::Bullseye) {
        let set = sets.get(&(suite, Flavour::Project)).context("no images")?;
        let count = differential::run(&set.tree()).map(|count| format!(", {count} arguments"));
        tally.add(&format!("lexer against dracut-util of {suite}"), count);
    }
    for suite in Suite::ALL {
        let set = sets.get(&(suite, Flavour::Project)).context("no images")?;
        let inside = look_inside(host, set).map(|()| String::new());
        tally.add(&format!("image that is made on a running overlay, {suite}"), inside);
    }
    say(&format!("{} passed, {} failed", tally.passed, tally.failed));
    Ok(tally.failed == 0)
}

/// Results, a line each.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
}

impl Tally {
    /// The text of a result is said behind what passed.
    fn add(&mut self, what: &str, result: Result<String>) {
        match result {
            Ok(more) => {
                self.passed += 1;
                say(&format!("ok   {what}{more}"));
            }
            Err(error) => {
                self.failed += 1;
                say(&format!("FAIL {what}: {error:#}"));
            }
        }
    }
}

fn look(sets: &Sets, cell: Cell, variant: Variant) -> Result<()> {
    let set = sets.get(&(cell.suite, variant.flavour())).context("no images")?;
    let image = set.initrd((cell.initrd, variant, Engine::Qemu));
    let names = list(&image)?;
    let has = |end: &str| names.iter().any(|name| name.ends_with(end));
    if variant == Variant::Bare {
        // opt-in: nothing of ours without --add
        let ours =
            names.iter().find(|name| name.contains("overlayroot-rs.service") || name.contains("overlay-assemble"));
        ensure!(ours.is_none(), "{ours:?} came uninvited");
        return Ok(());
    }
    for name in ALWAYS {
        ensure!(has(name), "{name} is missing");
    }
    ensure!(names.iter().any(|name| name.contains("/overlay.ko")), "the kernel module is missing");
    ensure!(names.iter().any(|name| name.contains("/libblkid.so.")), "libblkid is missing");
    if variant == Variant::Mkfs {
        for name in ASKED {
            ensure!(names.iter().any(|file| file.contains(name)), "{name} was asked for and is missing");
        }
    }
    if variant == Variant::Net {
        for name in IMAGE {
            ensure!(has(name), "{name} was asked for and is missing");
        }
    }
    let guests =
        ["bin/overlay-populate", "bin/overlay-image", "bin/overlay-commit", "bin/overlay-thaw", "bin/overlay-tries"];
    let uninvited = guests.into_iter().find(|name| variant == Variant::Plain && has(name));
    ensure!(uninvited.is_none(), "{uninvited:?} came uninvited");
    let systemd = cell.initrd == Initrd::Systemd;
    ensure!(has(UNIT) == systemd && has(LINK) == systemd, "the unit is {}", if systemd { "missing" } else { "there" });
    // dmsquash-live brings them.
    let stock = names.iter().find(|name| variant != Variant::Net && name.ends_with("-overlayfs.sh"));
    ensure!(stock.is_none(), "a hook of the stock module is there: {stock:?}");
    let log = std::fs::read_to_string(image.with_extension("log")).unwrap_or_default();
    let bad =
        log.lines().find(|line| line.contains("overlay") && (line.contains("FAILED") || line.contains("not found")));
    ensure!(bad.is_none(), "dracut said: {bad:?}");
    Ok(())
}

/// `dracut --hostonly` where `/` is an overlay over a squashfs, as on a machine that runs one: the image must find and
/// mount what lies below.
fn look_inside(host: &Host, set: &ImageSet) -> Result<()> {
    let version = set.kernel_version(host, Engine::Qemu)?;
    let disks = set.root_disks(RootKind::Squashfs);
    let disk = disks.first().context("no disk")?;
    let out = host.work.join(format!("inside-{}", std::process::id()));
    std::fs::create_dir_all(&out)?;
    let mut command = host::tied(Path::new("unshare"));
    command.args(["--mount", "--pid", "--net", "--fork", "--kill-child", "--propagation=private"]);
    command.arg(host.vm_dir().join("host/in-overlay.sh")).arg(disk).arg(&out);
    command.args(["dracut", "--force", "--hostonly", "--hostonly-cmdline", "--no-early-microcode"]);
    command.args([
        "--compress",
        "zstd -3 -q",
        "--kver",
        &version,
        "--add",
        "overlayroot-rs",
        "--omit",
        "overlayfs",
        "/run/out/inside.img",
    ]);
    let image = out.join("inside.img");
    let made = host::run(&mut command).and_then(|_| Ok((list(&image)?, content(&image, "etc/cmdline.d/*")?)));
    std::fs::remove_dir_all(&out)?;
    let (names, arguments) = made?;
    ensure!(names.iter().any(|name| name.contains("/squashfs.ko")), "the lower's file system is missing");
    let bad = ["rootflags=", "rootfstype=", "lowerdir="].into_iter().find(|word| arguments.contains(word));
    ensure!(bad.is_none(), "the overlay's options are in its arguments: {arguments}");
    Ok(())
}

/// The names in an image.
fn list(image: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for archive in archives(image)? {
        names.extend(cpio_names(&archive)?);
    }
    Ok(names)
}

/// The content of all files in an image whose names fit a pattern.
fn content(image: &Path, pattern: &str) -> Result<String> {
    let mut text = String::new();
    for archive in archives(image)? {
        let found = filter(Command::new("cpio").args(["-i", "--to-stdout", "--quiet", pattern]), &archive)?;
        text.push_str(&String::from_utf8_lossy(&found));
    }
    Ok(text)
}

/// What an image is made of. dracut 112 puts what is compressed already into an archive of its own, before the other.
fn archives(image: &Path) -> Result<Vec<Vec<u8>>> {
    const MAGIC: &[u8] = b"070701";
    const TRAILER: &[u8] = b"TRAILER!!!";
    let bytes = std::fs::read(image)?;
    let mut packed = bytes.as_slice();
    let mut archives = Vec::new();
    if packed.starts_with(MAGIC) {
        archives.push(packed.to_vec());
        let end = packed.windows(TRAILER.len()).position(|window| window == TRAILER).context("no end")?;
        let rest = packed.get(end + TRAILER.len()..).unwrap_or_default();
        let padding = rest.iter().take_while(|byte| **byte == 0).count();
        packed = rest.get(padding..).unwrap_or_default();
    }
    archives.push(filter(Command::new("zstd").arg("-dcq"), packed).with_context(|| image.display().to_string())?);
    Ok(archives)
}

fn cpio_names(archive: &[u8]) -> Result<Vec<String>> {
    let names = filter(Command::new("cpio").args(["-t", "--quiet"]), archive)?;
    Ok(String::from_utf8_lossy(&names).lines().map(str::to_owned).collect())
}

/// What a program makes of its input.
fn filter(command: &mut Command, input: &[u8]) -> Result<Vec<u8>> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut stdin = child.stdin.take().context("no pipe")?;
    let output = thread::scope(|scope| {
        // cpio stops at the end of the archive, and what is behind it meets a closed pipe
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output()
    })?;
    ensure!(output.status.success(), "{:?} ended with {}", command.get_program(), output.status);
    Ok(output.stdout)
}
