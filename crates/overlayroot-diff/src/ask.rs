// SPDX-License-Identifier: GPL-2.0-or-later
//! What the kernel has to be asked of names in a directory, a few at a time: both inodes, and whether the attributes are
//! the same where that will matter. It decides nothing: what is not asked here, the walk asks itself.

use crate::judge::{Content, judge};
use crate::layers::Dir;
use crate::names::Entry;
use crate::stat::{Answer, Stat, Type};
use crate::xattr::{Brief, Xattrs};

/// So many at a time: what the first call brought into the processor's cache is there for the next, and going from one
/// directory to the other costs little.
pub(crate) const FEW: usize = 8;

/// What is asked in one directory.
#[derive(Clone)]
pub(crate) struct Question {
    pub upper: Option<Dir>,
    /// The first of the lowers.
    pub lower: Option<Dir>,
    /// The upper's inode is wanted where the lower has nothing, too.
    pub stat: bool,
    /// Attributes matter where the content differs, too.
    pub detail: bool,
}

/// What was said of a name.
#[derive(Default)]
pub(crate) struct Asked {
    pub upper: Option<Answer>,
    pub lower: Option<Answer>,
    pub attributes: Option<Attributes>,
}

/// Those of what the upper and the first of the lowers have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attributes {
    /// They are the same, overlayfs's own left out.
    pub same: bool,
    /// Neither has any of overlayfs's own: the data is where the inode is.
    pub plain: bool,
}

impl Question {
    /// Whether there is anything to ask.
    pub fn any(&self) -> bool {
        self.lower.is_some() || (self.upper.is_some() && self.stat)
    }

    /// Asks.
    pub fn ask<'a>(&self, entries: impl Iterator<Item = Entry<'a>> + Clone, xattrs: &mut Xattrs) -> Box<[Asked]> {
        let lower = self.lower.as_ref().map(|lower| xattrs.enter(lower.shared()));
        let lower = |entry: Entry<'_>| lower.map(|lower| Stat::at(lower, entry.name));
        let mut all: Vec<Asked> =
            entries.clone().map(|entry| Asked { lower: lower(entry), ..Asked::default() }).collect();
        let mut briefs: Vec<Option<Brief>> = Vec::new();
        for (entry, asked) in entries.clone().zip(&mut all) {
            let Some(upper) = self.upper.as_ref().filter(|_| entry.upper) else { continue };
            let compared = matches!(asked.lower, Some(Ok(_)));
            if entry.kind == Type::Directory || !(self.stat || compared || !is_clear(upper, entry.kind)) {
                continue;
            }
            asked.upper = Some(Stat::at(xattrs.enter(upper.shared()), entry.name));
            if self.attributes_matter(asked) {
                briefs.push(xattrs.brief(upper.fd(), entry.name));
            }
        }
        let mut briefs = briefs.into_iter();
        for (entry, asked) in entries.zip(&mut all) {
            let Some(lower) = self.lower.as_ref().filter(|_| self.attributes_matter(asked)) else { continue };
            let Some(now) = briefs.next().flatten() else { continue };
            xattrs.enter(lower.shared());
            let both = xattrs.brief(lower.fd(), entry.name).map(|was| (now, was));
            asked.attributes = both.map(|(now, was)| Attributes { same: now.same(&was), plain: !now.own && !was.own });
        }
        all.into_boxed_slice()
    }

    fn attributes_matter(&self, asked: &Asked) -> bool {
        let (Some(Ok(now)), Some(Ok(was))) = (&asked.upper, &asked.lower) else { return false };
        let compared = now.kind == was.kind && now.kind != Type::Directory;
        compared && (self.detail || judge(now, was, false).1 != Content::Differs)
    }
}

/// Whether an entry of an upper is what its type says, and no whiteout, without a look at its inode.
pub(crate) fn is_clear(upper: &Dir, kind: Type) -> bool {
    match kind {
        Type::File => !upper.xwhiteouts(),
        Type::Symlink | Type::Block | Type::Fifo | Type::Socket => true,
        Type::Directory | Type::Char | Type::Unknown => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Names;
    use std::fs::{self, File};
    use std::mem::MaybeUninit;

    fn open(path: std::path::PathBuf, layer: usize) -> Dir {
        Dir::new(File::open(path).unwrap().into(), layer, false)
    }

    #[test]
    fn attributes_are_asked_for_where_they_can_matter() {
        let top = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let at = |path: &str| top.path().join(path);
        for dir in ["upper", "lower", "upper/6-directory", "lower/6-directory"] {
            fs::create_dir(at(dir)).unwrap();
        }
        for (name, now, was) in [
            ("0-same", "1", Some("1")),
            ("1-longer", "22", Some("1")),
            ("2-new", "1", None),
            ("3-labelled", "1", Some("2")),
            ("4-longer-labelled", "22", Some("1")),
        ] {
            fs::write(at(&format!("upper/{name}")), now).unwrap();
            if let Some(was) = was {
                fs::write(at(&format!("lower/{name}")), was).unwrap();
            }
            if name.ends_with("labelled") {
                let name = at(&format!("upper/{name}"));
                rustix::fs::setxattr(name, "user.label", b"x", rustix::fs::XattrFlags::empty()).unwrap();
            }
        }
        std::os::unix::fs::symlink("a", at("upper/5-link")).unwrap();
        fs::write(at("lower/5-link"), "1").unwrap();
        let question = Question {
            upper: Some(open(at("upper"), usize::MAX)),
            lower: Some(open(at("lower"), 0)),
            stat: false,
            detail: false,
        };
        let mut names = Names::default();
        let mut room = vec![MaybeUninit::uninit(); 4096];
        names.read(question.upper.as_ref().unwrap().fd(), true, &mut room).unwrap();
        names.sort();
        let ask = |question: &Question| {
            let mut xattrs = Xattrs::new(true);
            let asked = question.ask((0..7).map(|number| names.get(number).unwrap()), &mut xattrs);
            let attributes = |asked: &Asked| asked.attributes.map(|attributes| attributes.same);
            asked.iter().map(|asked| (asked.upper.is_some(), attributes(asked))).collect::<Vec<_>>()
        };
        let (same, differ) = (Some(true), Some(false));
        let want =
            [(true, same), (true, None), (false, None), (true, differ), (true, None), (true, None), (false, None)];
        assert_eq!(ask(&question), want);
        let all =
            [(true, same), (true, same), (true, None), (true, differ), (true, differ), (true, None), (false, None)];
        assert_eq!(ask(&Question { stat: true, detail: true, ..question }), all);
    }
}
