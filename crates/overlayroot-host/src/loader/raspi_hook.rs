// SPDX-License-Identifier: GPL-2.0-or-later
//! Debian's package raspi-firmware (read in 1.20220830, 1.20240424 and 1.20260408). Its hook runs for each kernel, each
//! initramfs that initramfs-tools makes, and each new version of the package. It copies the newest kernel and initramfs
//! of `/boot` to `/boot/firmware`, and writes config.txt and cmdline.txt there anew: `root=` is what findmnt says of `/`
//! unless [`DEFAULT`] sets `ROOTPART`, and what is in [`EXTRA`] comes last.
//!
//! In the overlay that would be `root=LiveOS_rootfs`, and a kernel whose modules the lower lacks. The hook sources
//! [`DEFAULT`] before it writes anything, however it was started: there it is refused.

use super::Tree;
use super::boot_loader::Copier;
use super::line::{Where, edit_file, lines, split_end};
use overlayroot_core::layout::paths;
use overlayroot_core::parse::cmdline::spans;
use std::ops::Range;

/// The hook. Raspberry Pi OS has one of the same name, which leaves cmdline.txt alone.
pub const HOOK: &str = "etc/kernel/postinst.d/z50-raspi-firmware";
/// It copies images, when it is started as its package's own script does it.
pub(super) const COPIER: Copier = Copier {
    program: HOOK,
    variable: ("DEB_MAINT_PARAMS", "configure"),
    command: "DEB_MAINT_PARAMS=configure /etc/kernel/postinst.d/z50-raspi-firmware",
    to: "/boot/firmware",
};
/// Its settings, a file of the shell.
pub const DEFAULT: &str = "etc/default/raspi-firmware";
/// What it puts at the end of the line.
pub const EXTRA: &str = "etc/default/raspi-extra-cmdline";

/// What has the hook end before it writes. `overlayctl shell` shows it the lower as `/`: there it runs.
const REFUSAL: &str = "\
# overlayroot-rs: written by overlayctl enable, taken away by overlayctl disable.
case $(findmnt --noheadings --first-only --output SOURCE / 2> /dev/null) in
    LiveOS_rootfs | overlayroot)
        echo \"raspi-firmware: refused by overlayroot-rs: / is an overlay, and the next boot would fail.\" \\
            \"Update kernels in overlayctl shell, or in a boot with rd.overlay=0\" >&2
        exit 1
        ;;
esac
# overlayroot-rs: end
";

/// How it begins, and how it ends, in every version.
const BEGIN: &str = "# overlayroot-rs: written by overlayctl enable, taken away by overlayctl disable.\n";
const END: &str = "# overlayroot-rs: end\n";

/// Sources of the overlay, which no boot finds as `root=`: ours, and the one that Ubuntu's words make.
const NO_ROOTS: [&str; 2] = [paths::OVERLAY_SOURCE, "overlayroot"];

/// Whether a hook is here that writes cmdline.txt anew.
pub fn writes_cmdline(tree: &Tree) -> bool {
    tree.files.get(HOOK).is_some_and(|text| String::from_utf8_lossy(text).contains("/cmdline.txt"))
}

/// Whether a hook is here that can be refused: Raspberry Pi OS's, too, has the Pi boot a kernel whose modules the lower
/// lacks.
pub fn reads_settings(tree: &Tree) -> bool {
    tree.files.get(HOOK).is_some_and(|text| String::from_utf8_lossy(text).contains(&format!("/{DEFAULT}")))
}

/// Whether such a hook runs in the overlay.
pub fn runs_in_overlay(tree: &Tree) -> bool {
    reads_settings(tree) && tree.files.get(DEFAULT).is_none_or(|text| refusal(text).is_none())
}

/// Where the refusal stands, also that of another version.
fn refusal(text: &[u8]) -> Option<Range<usize>> {
    let find = |from: usize, what: &str| {
        let at = text.get(from..)?.windows(what.len()).position(|part| part == what.as_bytes())?;
        Some(from + at)
    };
    let begin = find(0, BEGIN)?;
    Some(begin..find(begin, END)? + END.len())
}

/// The settings with the refusal, or without it; `None` where nothing is left.
pub fn settings(text: Option<&[u8]>, refuse: bool) -> Option<Vec<u8>> {
    match (text, text.and_then(refusal), refuse) {
        (None, _, false) => None,
        (None, _, true) => Some(REFUSAL.as_bytes().to_vec()),
        (Some(text), None, false) => Some(text.to_vec()),
        // First, for what stands in the file may end it. A file without an end of line stays so.
        (Some(text), None, true) => Some([REFUSAL.as_bytes(), text].concat()),
        (Some(text), Some(at), _) => {
            let (before, rest) = (text.get(..at.start).unwrap_or_default(), text.get(at.end..).unwrap_or_default());
            let left = [before, if refuse { REFUSAL.as_bytes() } else { b"" }, rest].concat();
            Some(left).filter(|left| !left.is_empty())
        }
    }
}

/// The further arguments with exactly these of ours; `None` for no file.
///
/// # Errors
/// A quote that is not closed.
pub fn extra(text: Option<&[u8]>, args: &[String]) -> Result<Option<Vec<u8>>, String> {
    let after = edit_file(text.unwrap_or(b"\n"), Where::First, args)?;
    Ok(Some(after).filter(|after| !after.trim_ascii().is_empty() || text == Some(after.as_slice())))
}

/// The last `ROOTPART=` of the settings, as far as it is one plain word or one in quotes.
fn rootpart(text: &[u8]) -> Option<String> {
    let mut said = lines(text).into_iter().filter_map(|line| split_end(line).0.trim_ascii().strip_prefix(b"ROOTPART="));
    let value = String::from_utf8_lossy(said.next_back()?).into_owned();
    let value = value.split('#').next().unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned();
    (!value.is_empty() && !value.contains(['$', '`', '"', '\'', '\\'])).then_some(value)
}

/// The `root=` of a command line that names the overlay, as the hook writes it there.
pub fn lost_root(line: &[u8]) -> Option<String> {
    let args = spans(line);
    let (_, root) = args.iter().rfind(|(_, arg)| arg.key == b"root")?;
    NO_ROOTS.iter().any(|name| root.value.as_deref() == Some(name.as_bytes())).then(|| root.text())
}

/// The line with the root that the machine has, where the hook has written the overlay's name.
///
/// # Errors
/// Where that root is not known.
pub fn repaired(tree: &Tree, text: Vec<u8>) -> Result<Vec<u8>, String> {
    let first = lines(&text).first().map(|first| first.len()).unwrap_or_default();
    let (line, rest) = text.split_at(first);
    let Some(lost) = lost_root(line) else { return Ok(text) };
    let set = tree.files.get(DEFAULT).and_then(|text| rootpart(text));
    let Some(root) = set.or_else(|| tree.root_device.clone()) else {
        return Err(format!("{lost} is the overlay, which no boot finds: put the real root there by hand"));
    };
    let mut line = line.to_vec();
    for (span, _) in spans(&line).into_iter().filter(|(_, arg)| arg.key == b"root").rev() {
        let end = span.end.min(line.len());
        let old = line.splice(span.start.min(end)..end, format!("root={root}").into_bytes());
        drop(old);
    }
    Ok([line.as_slice(), rest].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
        Tree { files, ..Tree::default() }
    }

    fn args(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_hook_of_the_same_name_that_leaves_the_line_alone_is_not_it() {
        let debian = tree(&[(HOOK, "  . /etc/default/raspi-firmware\ncat >/boot/firmware/cmdline.txt <<EOF\n")]);
        let raspberry_pi_os =
            tree(&[(HOOK, "  . /etc/default/raspi-firmware\ncp -v \"$image_path\" \"$kernel_dst\"\n")]);
        assert!(writes_cmdline(&debian) && !writes_cmdline(&raspberry_pi_os) && !writes_cmdline(&tree(&[])));
        assert!(runs_in_overlay(&debian) && runs_in_overlay(&raspberry_pi_os) && !runs_in_overlay(&tree(&[])));
    }

    #[test]
    fn settings_there_and_back() {
        for text in [None, Some(""), Some("#CMA=64M\n"), Some("ROOTPART=LABEL=r"), Some("exit 0\n")] {
            let before = text.map(str::as_bytes);
            let on = settings(before, true).unwrap();
            assert!(on.starts_with(REFUSAL.as_bytes()), "{text:?}");
            assert_eq!(settings(Some(on.as_slice()), true), Some(on.clone()));
            // an empty file and none are the same to the hook
            assert_eq!(
                settings(Some(on.as_slice()), false).unwrap_or_default(),
                before.unwrap_or_default(),
                "{text:?}"
            );
            assert_eq!(settings(before, false).as_deref(), before);
        }
        let moved = format!("CMA=0\n{REFUSAL}KERNEL=auto\n");
        assert!(!runs_in_overlay(&tree(&[(HOOK, ". /etc/default/raspi-firmware\n"), (DEFAULT, &moved)])));
        assert_eq!(settings(Some(moved.as_bytes()), false).unwrap(), b"CMA=0\nKERNEL=auto\n");
        // that of another version gives way
        let other = format!("CMA=0\n{BEGIN}exit 1\n{END}KERNEL=auto\n");
        assert_eq!(settings(Some(other.as_bytes()), true).unwrap(), moved.as_bytes());
        assert_eq!(settings(Some(other.as_bytes()), false).unwrap(), b"CMA=0\nKERNEL=auto\n");
    }

    #[test]
    fn further_arguments_there_and_back() {
        let two = args(&["rd.overlay=tmpfs", "rd.overlay.timeout=5"]);
        for (text, want) in [
            (None, "rd.overlay=tmpfs rd.overlay.timeout=5\n"),
            (Some("quiet\n"), "quiet rd.overlay=tmpfs rd.overlay.timeout=5\n"),
            (Some("quiet"), "quiet rd.overlay=tmpfs rd.overlay.timeout=5"),
        ] {
            let before = text.map(str::as_bytes);
            let on = extra(before, &two).unwrap().unwrap();
            assert_eq!(String::from_utf8_lossy(&on), want);
            assert_eq!(extra(Some(on.as_slice()), &two).unwrap(), Some(on.clone()));
            assert_eq!(extra(Some(on.as_slice()), &[]).unwrap().as_deref(), before);
            assert_eq!(extra(before, &[]).unwrap().as_deref(), before);
        }
        assert_eq!(extra(Some(b"\n"), &[]).unwrap().as_deref(), Some(&b"\n"[..]));
    }

    #[test]
    fn a_root_that_is_the_overlay_is_put_right() {
        let line = "console=tty0 root=LiveOS_rootfs rw rootwait rd.overlay\nsecond root=LiveOS_rootfs\n";
        let right = |tree: &Tree| repaired(tree, line.as_bytes().to_vec());
        let want = |root: &str| line.replacen("LiveOS_rootfs", root, 1);
        let set = tree(&[(DEFAULT, "#ROOTPART=/dev/x\nROOTPART=\"LABEL=RASPIROOT\" # mine\n")]);
        assert_eq!(String::from_utf8(right(&set).unwrap()).unwrap(), want("LABEL=RASPIROOT"));
        let seen = Tree { root_device: Some("/dev/mmcblk0p2".into()), ..tree(&[(DEFAULT, "ROOTPART=$X\n")]) };
        assert_eq!(String::from_utf8(right(&seen).unwrap()).unwrap(), want("/dev/mmcblk0p2"));
        assert!(right(&tree(&[])).unwrap_err().contains("root=LiveOS_rootfs is the overlay"));
        let plain = b"root=PARTUUID=1 root=LABEL=x rw\n".to_vec();
        assert_eq!(repaired(&tree(&[]), plain.clone()).unwrap(), plain);
        assert_eq!(lost_root(b"root=overlayroot root=/dev/x"), None);
    }
}
