// SPDX-License-Identifier: GPL-2.0-or-later
//! `tmpfs`: an upper in RAM.

pub mod resize;

use crate::facts::Kernel;
use crate::layout::{self, Places, paths};
use crate::step::Step;
use crate::step::effective::{Effective, UpperKind};
use crate::upper::diagnosis::Diagnosis;
use crate::upper::request::{Request, UpperPlan};
use crate::upper::resize::Resize;
use crate::value::diagnostics::{Problem, escape, suggest};
use crate::value::size::{bytes_of, limit, mebi};

/// Limits of a tmpfs upper, each checked to be something the kernel takes (tmpfs(5)).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tmpfs {
    /// Bytes with an optional suffix k, m, g, t, p or e, or percent of RAM (`50%`).
    pub size: Option<String>,
    /// Limit in pages instead of bytes.
    pub nr_blocks: Option<String>,
    /// Limit on the number of files.
    pub nr_inodes: Option<String>,
}

impl Tmpfs {
    /// The size used where none is asked for; the kernel's own default, made visible.
    pub const DEFAULT_SIZE: &str = "50%";

    /// Mount options; the size is always said.
    pub fn options(&self) -> String {
        let default = self.nr_blocks.is_none().then_some(Self::DEFAULT_SIZE);
        let mut out = Vec::new();
        let sizes = [
            ("size", self.size.as_deref().or(default)),
            ("nr_blocks", self.nr_blocks.as_deref()),
            ("nr_inodes", self.nr_inodes.as_deref()),
        ];
        for (key, value) in sizes {
            out.extend(value.map(|value| format!("{key}={value}")));
        }
        // Nobody but root gets into it: its names are public. The upper is a directory in it, with the root's mode.
        out.push("mode=0700".to_owned());
        out.join(",")
    }

    /// As it is written for `rd.overlay=`: the mode is no word of the key.
    pub fn as_argument(&self) -> String {
        format!("tmpfs:{}", self.options().replace(",mode=0700", ""))
    }
}

/// How one in use gets another size.
pub(super) const RESIZE: Resize = Resize::Remount;

/// What the doctor says of its limit. `ram`, `swap`: bytes of the machine; 0 RAM where that is not known.
pub(super) fn diagnosed(asked: &Tmpfs, ram: u64, swap: u64) -> Option<Diagnosis> {
    let told = |text: String, todo| Some(Diagnosis { check: "memory", text, todo });
    if ram == 0 {
        return None;
    }
    match bytes(asked, ram)? {
        0 => told(format!("the upper in RAM has no limit: it can use all of the {}", mebi(ram)), "set a size="),
        size => {
            let text = format!("the upper may use {} of {} RAM, with {} swap", mebi(size), mebi(ram), mebi(swap));
            // A quarter is little for the system itself.
            let fits = size <= ram.saturating_add(swap) / 4 * 3;
            told(text, if fits { "" } else { "set a smaller size=, or use an upper on disk" })
        }
    }
}

/// Bytes of the limit; 0 for none, nothing where it can't be told.
fn bytes(asked: &Tmpfs, ram: u64) -> Option<u64> {
    const PAGE: u64 = 4096;
    let size = |text: &str| match text.strip_suffix('%') {
        Some(percent) => u64::try_from(u128::from(ram) * percent.parse::<u128>().ok()? / 100).ok(),
        None => bytes_of(text),
    };
    match (&asked.nr_blocks, &asked.size) {
        (Some(pages), None) => Some(bytes_of(pages)?.saturating_mul(PAGE)),
        (_, given) => size(given.as_deref().unwrap_or(Tmpfs::DEFAULT_SIZE)),
    }
}

/// An upper in RAM.
pub fn plan(request: Request<'_>, kernel: &Kernel, tmpfs: &Tmpfs) -> UpperPlan {
    let places = layout::tmpfs(request.names);
    let effective = Effective { upper: UpperKind::Tmpfs, options: tmpfs.options(), ..Effective::overlay(&places) };
    let note = request.readonly.then(|| "rd.overlay.readonly has no effect without a device".to_owned());
    UpperPlan {
        lowers: vec![places.lower.clone()],
        options: features(kernel),
        open: Vec::new(),
        kept: None,
        make: steps(&places, tmpfs, paths::SYSROOT),
        hidden: None,
        effective,
        notes: note.into_iter().collect(),
        places,
    }
}

/// The overlay's options for an upper in RAM. It is new at each boot, so no other lower comes under it: what is renamed,
/// or gets another mode or owner, leaves its content in the lower and takes no RAM. Both or neither: `metacopy` (Linux
/// 4.19) needs `redirect_dir`. It would switch `nfs_export` off: where somebody has switched that on, that stays.
pub(crate) fn features(kernel: &Kernel) -> Vec<String> {
    let among = |list: &[String], name: &str| list.iter().any(|feature| feature == name);
    match among(&kernel.features, "metacopy") && !among(&kernel.on_by_default, "nfs_export") {
        true => ["metacopy=on", "redirect_dir=on"].map(str::to_owned).to_vec(),
        false => Vec::new(),
    }
}

/// Mounts the tmpfs and makes an upper in it, with the attributes of the directory `like`.
pub(crate) fn steps(places: &Places, tmpfs: &Tmpfs, like: &str) -> Vec<Step> {
    vec![
        Step::MountTmpfs {
            at: places.upper_fs.clone(),
            source: places.tmpfs_source.to_owned(),
            options: tmpfs.options(),
        },
        Step::MakeUpper { store: places.store.clone(), like: like.to_owned() },
    ]
}

/// The parameters behind `tmpfs:`, comma separated; what is wrong is left out and said.
pub fn parse_tmpfs(params: &str) -> (Tmpfs, Vec<Problem>) {
    const KEYS: [&str; 3] = ["size", "nr_blocks", "nr_inodes"];
    let mut tmpfs = Tmpfs::default();
    let mut problems = Vec::new();
    for param in params.split(',').filter(|param| !param.is_empty()) {
        let (key, value) = param.split_once('=').unwrap_or((param, ""));
        let slot = match key {
            "size" => &mut tmpfs.size,
            "nr_blocks" => &mut tmpfs.nr_blocks,
            "nr_inodes" => &mut tmpfs.nr_inodes,
            _ => {
                let text = format!("unknown tmpfs parameter '{}', ignored", escape(key));
                problems.push(Problem::new(text, suggest(key, KEYS)));
                continue;
            }
        };
        match limit(key, value) {
            Ok(limit) => *slot = Some(limit),
            Err(problem) => problems.push(Problem::new(format!("{}, ignored", problem.text), None)),
        }
    }
    (tmpfs, problems)
}
