// SPDX-License-Identifier: GPL-2.0-or-later
//! The text of a boot loader entry (the Boot Loader Specification, type 1), and of GRUB's environment block.

use super::line::{lines, split_end, with, without};
use overlayroot_core::parse::cmdline::{is_space, spans};

/// The variable of the environment block that entries of RHEL 8 and older Fedora refer to.
const KERNELOPTS: &[u8] = b"$kernelopts";

/// The rest of a line behind a keyword, with the blank before it; `None` for another keyword.
fn behind<'a>(line: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let rest = line.trim_ascii_start().strip_prefix(key.as_bytes())?;
    rest.first().is_some_and(|&byte| is_space(byte)).then_some(rest)
}

/// The value of a keyword's first line.
pub fn value(text: &[u8], key: &str) -> Option<String> {
    let found = lines(text).into_iter().find_map(|line| behind(split_end(line).0, key));
    found.map(|rest| String::from_utf8_lossy(rest.trim_ascii()).into_owned())
}

/// The values of a keyword that may occur more than once.
pub fn values(text: &[u8], key: &str) -> Vec<String> {
    let found = lines(text).into_iter().filter_map(|line| behind(split_end(line).0, key));
    found.map(|rest| String::from_utf8_lossy(rest.trim_ascii()).into_owned()).collect()
}

/// All `options`, joined.
pub fn options(text: &[u8]) -> Vec<u8> {
    let found: Vec<&[u8]> = lines(text).iter().filter_map(|line| behind(split_end(line).0, "options")).collect();
    found.concat()
}

/// Whether the arguments stand in the environment block.
pub fn uses_kernelopts(text: &[u8]) -> bool {
    spans(&options(text)).iter().any(|(_, arg)| arg.key == KERNELOPTS)
}

/// An entry with exactly these arguments of ours, behind the others of its last `options`.
///
/// # Errors
/// A quote that is not closed.
pub fn edit(text: &[u8], args: &[String]) -> Result<Vec<u8>, String> {
    let all = lines(text);
    let last = all.iter().rposition(|line| behind(split_end(line).0, "options").is_some());
    let mut out: Vec<u8> = Vec::with_capacity(text.len() + 64);
    for (i, line) in all.iter().enumerate() {
        let (body, end) = split_end(line);
        let Some(rest) = behind(body, "options") else {
            out.extend_from_slice(line);
            continue;
        };
        let head = body.get(..body.len() - rest.len()).unwrap_or_default();
        let mut kept = without(rest);
        if Some(i) == last {
            kept = with(&kept, args)?;
        }
        // A line that was only ours goes as a whole, with its end.
        if kept.is_empty() && !rest.is_empty() {
            if end.is_empty() {
                let shorter = split_end(&out).0.len();
                out.truncate(shorter);
            }
            continue;
        }
        out.extend_from_slice(head);
        out.extend_from_slice(&kept);
        out.extend_from_slice(end);
    }
    if last.is_none() && !args.is_empty() {
        let line = format!("options {}", args.join(" "));
        match text.is_empty() || text.ends_with(b"\n") {
            true => out.extend_from_slice(format!("{line}\n").as_bytes()),
            false => out.extend_from_slice(format!("\n{line}").as_bytes()),
        }
    }
    Ok(out)
}

/// Bytes of GRUB's environment block; it must keep them, for GRUB writes it by its place on the disk.
const BLOCK: usize = 1024;

/// The value of a variable of the block, as it stands there.
pub fn variable(block: &[u8], name: &str) -> Option<Vec<u8>> {
    lines(block).into_iter().find_map(|line| {
        let line = split_end(line).0;
        line.strip_prefix(name.as_bytes())?.strip_prefix(b"=").map(<[u8]>::to_vec)
    })
}

/// The block with exactly these arguments of ours in `kernelopts`.
///
/// # Errors
/// A block that is not one, and arguments that do not fit.
pub fn edit_block(block: &[u8], args: &[String]) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(BLOCK);
    let all = lines(block);
    // The filling begins behind the last line end.
    for line in all.iter().filter(|line| line.ends_with(b"\n")) {
        match line.strip_prefix(b"kernelopts=") {
            Some(rest) => {
                let (body, end) = split_end(rest);
                out.extend_from_slice(b"kernelopts=");
                out.extend_from_slice(&with(&without(body), args)?);
                out.extend_from_slice(end);
            }
            None => out.extend_from_slice(line),
        }
    }
    if block.len() != BLOCK || !block.starts_with(b"# GRUB Environment Block\n") {
        return Err("not an environment block of GRUB".to_owned());
    }
    if out.len() > BLOCK {
        return Err(format!("the arguments do not fit into its {BLOCK} bytes"));
    }
    out.resize(BLOCK, b'#');
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = "title Fedora\nversion 6.1\nlinux /vmlinuz-6.1\noptions root=UUID=1 ro \n";

    fn args(list: &[&str]) -> Vec<String> {
        list.iter().map(|arg| (*arg).to_owned()).collect()
    }

    fn edited(text: &str, list: &[&str]) -> String {
        String::from_utf8(edit(text.as_bytes(), &args(list)).unwrap()).unwrap()
    }

    #[test]
    fn entries() {
        let there = edited(ENTRY, &["rd.overlay=tmpfs"]);
        assert!(there.ends_with("\noptions root=UUID=1 ro  rd.overlay=tmpfs\n"), "{there}");
        assert_eq!(edited(&there, &[]), ENTRY);
        assert_eq!(edited(&there, &["rd.overlay=tmpfs"]), there);
        let two = "options a rd.overlay\noptions b\n";
        assert_eq!(edited(two, &["rd.overlay=x"]), "options a\noptions b rd.overlay=x\n");
        for none in ["title x\n", "title x", "", "title x\noptions\n"] {
            let there = edited(none, &["rd.overlay=tmpfs", "rd.overlay.reset"]);
            assert!(there.contains("options rd.overlay=tmpfs rd.overlay.reset"), "{there}");
            assert_eq!(edited(&there, &[]), none);
        }
        assert_eq!(value(ENTRY.as_bytes(), "linux").as_deref(), Some("/vmlinuz-6.1"));
        assert!(uses_kernelopts(b"options $kernelopts $tuned_params\n") && !uses_kernelopts(ENTRY.as_bytes()));
    }

    #[test]
    fn the_environment_block_keeps_its_size() {
        let mut block = b"# GRUB Environment Block\nsaved_entry=a\nkernelopts=root=x ro\n".to_vec();
        block.resize(1024, b'#');
        let there = edit_block(&block, &args(&["rd.overlay=tmpfs"])).unwrap();
        assert_eq!(there.len(), 1024);
        assert_eq!(variable(&there, "kernelopts").unwrap(), b"root=x ro rd.overlay=tmpfs");
        assert_eq!(edit_block(&there, &[]).unwrap(), block);
        assert!(edit_block(&block, &args(&[&"x".repeat(1000)])).unwrap_err().contains("do not fit"));
        assert!(edit_block(b"kernelopts=x\n", &[]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn there_and_back_is_the_same(
            text in proptest::collection::vec("(title|linux|options)([ \\t][ a-z=./$]{0,12})?", 0..6), end in "\\n|"
        ) {
            let text = text.join("\n") + &end;
            let there = edited(&text, &["rd.overlay=tmpfs", "rd.overlay.timeout=5"]);
            proptest::prop_assert!(there.contains("rd.overlay=tmpfs rd.overlay.timeout=5"));
            proptest::prop_assert_eq!(edited(&there, &[]), text);
        }
    }
}
