// SPDX-License-Identifier: GPL-2.0-or-later
//! The overlay mount of a plan, and its options as the kernel reads them.

use serde::{Deserialize, Serialize};

/// An overlay mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlay {
    /// Where.
    pub at: String,
    /// Source in mountinfo.
    pub source: String,
    /// Lowers, topmost first.
    pub lowers: Vec<String>,
    /// Upper directory.
    pub upper: String,
    /// Work directory.
    pub work: String,
    /// Further options.
    pub options: Vec<String>,
}

impl Overlay {
    /// mount(2)'s data. The kernel cuts it at one page, see [`Overlay::MOST`].
    pub fn data(&self) -> String {
        let lowers: Vec<String> = self.lowers.iter().map(|path| escape(path, true)).collect();
        let mut out = vec![
            format!("lowerdir={}", lowers.join(":")),
            format!("upperdir={}", escape(&self.upper, false)),
            format!("workdir={}", escape(&self.work, false)),
        ];
        out.extend(self.options.iter().cloned());
        out.join(",")
    }

    /// Most bytes of [`Overlay::data`] that the kernel reads (fs/namespace.c, copy_mount_options: a
    /// page with its last byte set to NUL); what is longer is cut in silence.
    pub const MOST: usize = 4095;
}

/// overlayfs reads `\`, `,` and, in `lowerdir`, `:` only behind a backslash.
fn escape(path: &str, lower: bool) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        if c == '\\' || c == ',' || (lower && c == ':') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_in_paths_are_escaped() {
        let overlay = Overlay {
            at: "/sysroot".into(),
            source: "x".into(),
            lowers: vec!["/a:b,c\\d".into(), "/e".into()],
            upper: "/u:,".into(),
            work: "/w".into(),
            options: vec!["index=off".into()],
        };
        assert_eq!(overlay.data(), r"lowerdir=/a\:b\,c\\d:/e,upperdir=/u:\,,workdir=/w,index=off");
    }
}
