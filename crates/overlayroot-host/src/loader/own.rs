// SPDX-License-Identifier: GPL-2.0-or-later
//! Our own configuration files, with what asks for an overlay taken out of them: `overlayctl disable` makes it a
//! comment, so that it can be put back.

use super::line::{lines, split_end};
use super::{CONF, CONF_D, Edit, Tree};
use overlayroot_core::keys::{CRYPT, OVERLAY, parse_bool};

/// The edits that have no file of ours ask for an overlay.
pub fn silence(tree: &Tree) -> Vec<Edit> {
    let own = tree.files.iter().filter(|(path, _)| *path == CONF || path.starts_with(CONF_D));
    let edits =
        own.map(|(path, text)| Edit { path: path.clone(), before: Some(text.clone()), after: Some(silenced(text)) });
    edits.filter(|edit| edit.before != edit.after).collect()
}

fn silenced(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 8);
    for line in lines(text) {
        if asks(split_end(line).0) {
            out.push(b'#');
        }
        out.extend_from_slice(line);
    }
    out
}

/// Whether a line asks for an overlay, as the parser reads it.
fn asks(line: &[u8]) -> bool {
    let Ok(line) = std::str::from_utf8(line).map(str::trim) else { return false };
    let (key, value) = match line.split_once('=') {
        Some((key, value)) => (key.trim(), Some(value.trim().trim_matches(['"', '\'']))),
        None => (line, None),
    };
    let named = [OVERLAY.name, CRYPT.name].contains(&key) || OVERLAY.deprecated.contains(&key);
    named && parse_bool(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use overlayroot_core::config::{Config, Inputs};
    use overlayroot_core::parse::cmdline::Source;

    #[test]
    fn what_asks_becomes_a_comment() {
        let text = "# mine\nrd.overlay = tmpfs\nrd.overlay.timeout=5\n rd.overlay\r\nrd.overlay=0\nrd.live.overlay.overlayfs=1\n\
                    rd.overlay.crypt=/dev/vdb";
        let got = String::from_utf8(silenced(text.as_bytes())).unwrap();
        let want = "# mine\n#rd.overlay = tmpfs\nrd.overlay.timeout=5\n# rd.overlay\r\nrd.overlay=0\n\
                    #rd.live.overlay.overlayfs=1\n#rd.overlay.crypt=/dev/vdb";
        assert_eq!(got, want);
        let conf = vec![Source::new("c", got.clone())];
        assert!(!Config::read(&Inputs { conf, ..Inputs::default() }).asks_for_overlay());
        assert_eq!(String::from_utf8(silenced(got.as_bytes())).unwrap(), want);
    }

    #[test]
    fn only_files_that_ask_are_written() {
        let files = [
            ("etc/overlayroot-rs.conf.d/a.conf", "rd.overlay\n"),
            (CONF, "rd.overlay.timeout=5\n"),
            ("etc/x", "rd.overlay"),
        ];
        let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
        let edits = silence(&Tree { files: files.into(), ..Tree::default() });
        assert_eq!(edits.len(), 1);
        assert_eq!(
            (edits[0].path.as_str(), edits[0].after.as_deref()),
            ("etc/overlayroot-rs.conf.d/a.conf", Some(&b"#rd.overlay\n"[..]))
        );
    }
}
