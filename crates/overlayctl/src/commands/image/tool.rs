// SPDX-License-Identifier: GPL-2.0-or-later
//! The programs that make an image: which, how old, and with which arguments.

use anyhow::{Result, bail};
use clap::ValueEnum;
use overlayroot_core::value::diagnostics::steers;
use std::io::ErrorKind;
use std::path::{Component, Path};
use std::process::Command;

/// A kind of image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// By mksquashfs.
    Squashfs,
    /// By mkfs.erofs.
    Erofs,
}

/// How an image is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "their names; clap would print the text beside each")]
pub enum Compression {
    Zstd,
    Xz,
    Gzip,
    Lz4,
}

/// Where the image goes.
#[derive(Debug, Clone)]
pub struct Out {
    /// The path as given.
    pub path: String,
    /// By its suffix.
    pub kind: Kind,
}

/// Understands OUT.
pub fn out(text: &str) -> Result<Out, String> {
    let kind = match Path::new(text).extension().and_then(|suffix| suffix.to_str()) {
        Some("squashfs" | "sqfs") => Kind::Squashfs,
        Some("erofs") => Kind::Erofs,
        _ => return Err("its name must end in .squashfs, .sqfs or .erofs".to_owned()),
    };
    // sha256sum and the boot loaders' files would need each a quoting of their own.
    match text.contains(|letter: char| steers(letter) || letter == '\\') {
        true => Err("its name must not hold backslashes and control characters".to_owned()),
        false => Ok(Out { path: text.to_owned(), kind }),
    }
}

/// Understands `--exclude`: the path as seen from ROOT, without slashes around it.
pub fn inside(text: &str) -> Result<String, String> {
    let mut parts = Vec::new();
    for part in Path::new(text).components() {
        match part {
            Component::Normal(name) => parts.push(name.to_string_lossy()),
            Component::RootDir | Component::CurDir => {}
            Component::Prefix(_) | Component::ParentDir => {
                return Err("must be a path inside ROOT, without '..'".to_owned());
            }
        }
    }
    if parts.is_empty() { Err("ROOT itself can't be left out".to_owned()) } else { Ok(parts.join("/")) }
}

impl Kind {
    /// Its name, which is the kernel's.
    pub fn word(self) -> &'static str {
        if self == Self::Squashfs { "squashfs" } else { "erofs" }
    }

    fn default_compression(self) -> Compression {
        // The newest mkfs.erofs of a stable distribution may know nothing else.
        if self == Self::Squashfs { Compression::Zstd } else { Compression::Lz4 }
    }
}

impl Compression {
    /// Its name for the tool, and the kernel's option that reads it.
    pub fn of(self, kind: Kind) -> (&'static str, &'static str) {
        match (kind, self) {
            (Kind::Squashfs, Self::Zstd) => ("zstd", "CONFIG_SQUASHFS_ZSTD"),
            (Kind::Squashfs, Self::Xz) => ("xz", "CONFIG_SQUASHFS_XZ"),
            (Kind::Squashfs, Self::Gzip) => ("gzip", "CONFIG_SQUASHFS_ZLIB"),
            (Kind::Squashfs, Self::Lz4) => ("lz4", "CONFIG_SQUASHFS_LZ4"),
            (Kind::Erofs, Self::Zstd) => ("zstd", "CONFIG_EROFS_FS_ZIP_ZSTD"),
            (Kind::Erofs, Self::Xz) => ("lzma", "CONFIG_EROFS_FS_ZIP_LZMA"),
            (Kind::Erofs, Self::Gzip) => ("deflate", "CONFIG_EROFS_FS_ZIP_DEFLATE"),
            (Kind::Erofs, Self::Lz4) => ("lz4hc", "CONFIG_EROFS_FS_ZIP"),
        }
    }
}

/// A program that is here and fit.
pub struct Tool {
    /// What it makes.
    pub kind: Kind,
    /// Its name.
    pub program: &'static str,
    /// Its version.
    pub version: String,
    /// How it is to compress.
    pub compression: Compression,
}

/// Looks for the program.
///
/// # Errors
/// Where it is missing, too old, or can't compress so.
pub fn find(kind: Kind, compression: Option<Compression>) -> Result<Tool> {
    let (program, package, ask, help, oldest) = match kind {
        Kind::Squashfs => ("mksquashfs", "squashfs-tools", "-version", "-help", (4, 5)),
        Kind::Erofs => ("mkfs.erofs", "erofs-utils", "--version", "--help", (1, 5)),
    };
    let said = |argument: &str| match Command::new(program).arg(argument).output() {
        Ok(output) => Ok((text(&output.stdout), text(&output.stderr))),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("{program} not found; install the package {package}")
        }
        Err(error) => bail!("running {program}: {error}"),
    };
    // Its exit code tells nothing: mkfs.erofs 1.5 does not know the option, and prints its version.
    let version = version(&said(ask)?.0);
    if numbers(&version) < oldest {
        bail!("{program} is version '{version}', {}.{} or newer is needed", oldest.0, oldest.1);
    }
    let compression = compression.unwrap_or(kind.default_compression());
    let (name, (out, errors)) = (compression.of(kind).0, said(help)?);
    let words = |text: &str| text.split(|letter: char| !letter.is_alphanumeric()).any(|word| word == name);
    if !words(&out) && !words(&errors) {
        bail!("{program} {version} can't compress with {name}; choose another --compression");
    }
    Ok(Tool { kind, program, version, compression })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The first word that begins as a number with a dot does.
fn version(text: &str) -> String {
    let is = |word: &&str| word.starts_with(|first: char| first.is_ascii_digit()) && word.contains('.');
    text.split_whitespace().find(is).unwrap_or_default().to_owned()
}

fn numbers(version: &str) -> (u32, u32) {
    let mut parts = version.split(|letter: char| !letter.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// What is not to be in the image.
#[derive(Debug, Default)]
pub struct LeftOut {
    /// Paths, with all below.
    pub paths: Vec<String>,
    /// Directories at the top that stay, empty.
    pub emptied: &'static [&'static str],
}

impl LeftOut {
    /// Whether this path, seen from ROOT, is one of them.
    pub fn has(&self, path: &str) -> bool {
        let below = |top: &str| path.strip_prefix(top).is_some_and(|rest| rest.starts_with('/'));
        self.paths.iter().any(|whole| path == whole || below(whole)) || self.emptied.iter().any(|top| below(top))
    }
}

impl Tool {
    /// The arguments that make `out` of `root`. Without `uuid` an erofs gets one by chance.
    pub fn arguments(&self, root: &str, out: &str, left_out: &LeftOut, uuid: Option<&str>) -> Vec<String> {
        let name = self.compression.of(self.kind).0;
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        if self.kind == Kind::Erofs {
            // Clusters of one page make a larger image; Linux 5.13 reads larger ones.
            let mut words = vec![format!("-z{name}"), "-C65536".to_owned(), "--quiet".to_owned()];
            words.extend(uuid.map(|uuid| format!("-U{uuid}")));
            words.extend(left_out.paths.iter().map(|path| format!("--exclude-path={path}")));
            if !left_out.emptied.is_empty() {
                words.push(format!("--exclude-regex=^({})/.+", left_out.emptied.join("|")));
            }
            words.extend(owned(&[out, root]));
            return words;
        }
        // Without -exit-on-error a file that can't be read is an empty one in the image.
        let mut words =
            owned(&[root, out, "-noappend", "-xattrs", "-exit-on-error", "-quiet", "-progress", "-comp", name]);
        if self.compression == Compression::Lz4 {
            words.push("-Xhc".to_owned());
        }
        if left_out.paths.is_empty() && left_out.emptied.is_empty() {
            return words;
        }
        // Whatever follows -e is left out, so it comes last; a '*' passes over names with a dot.
        words.extend(["-wildcards", "-e"].map(str::to_owned));
        words.extend(left_out.paths.iter().map(|path| literal(path)));
        words.extend(left_out.emptied.iter().flat_map(|top| [format!("{top}/*"), format!("{top}/.*")]));
        words
    }
}

/// Each letter that could mean something in a pattern stands for itself.
fn literal(path: &str) -> String {
    let mut text = String::new();
    for letter in path.chars() {
        if letter.is_ascii() && !letter.is_ascii_alphanumeric() && letter != '/' {
            text.push('\\');
        }
        text.push(letter);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(kind: Kind, uuid: Option<&str>) -> String {
        let tool = Tool { kind, program: "", version: String::new(), compression: Compression::Lz4 };
        let left_out = LeftOut { paths: vec!["a b/[c]*".to_owned()], emptied: &["proc", "tmp"] };
        tool.arguments("/view", "/o.new", &left_out, uuid).join(" ")
    }

    #[test]
    fn the_arguments() {
        assert_eq!(
            arguments(Kind::Squashfs, None),
            "/view /o.new -noappend -xattrs -exit-on-error -quiet -progress -comp lz4 -Xhc -wildcards -e \
             a\\ b/\\[c\\]\\* proc/* proc/.* tmp/* tmp/.*"
        );
        assert_eq!(
            arguments(Kind::Erofs, Some("0-1")),
            "-zlz4hc -C65536 --quiet -U0-1 --exclude-path=a b/[c]* --exclude-regex=^(proc|tmp)/.+ /o.new /view"
        );
    }

    #[test]
    fn what_is_left_out() {
        let left_out = LeftOut { paths: vec!["var/log".to_owned()], emptied: &["proc"] };
        let is = |path| left_out.has(path);
        assert!(is("var/log") && is("var/log/x") && is("proc/1") && !is("proc") && !is("var/logs") && !is("a/proc/1"));
        assert_eq!(inside("/var//log/").unwrap(), "var/log");
        assert!(inside("../etc").is_err() && inside("/").is_err() && inside("").is_err());
    }

    #[test]
    fn names_and_versions() {
        assert!(out("a.sqfs").unwrap().kind == Kind::Squashfs && out("/x/a.b.erofs").unwrap().kind == Kind::Erofs);
        assert!(out("a.img").is_err() && out("squashfs").is_err() && out("a\n.erofs").is_err());
        assert_eq!(version("mksquashfs version 4.5.1 (2022/03/17)"), "4.5.1");
        assert_eq!(version("mkfs.erofs (erofs-utils) 1.8.2-g12\nlz4"), "1.8.2-g12");
        assert!(numbers("4.10") > (4, 5) && numbers("4.5.1") == (4, 5) && numbers("") < (1, 5));
    }
}
