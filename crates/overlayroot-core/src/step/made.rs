// SPDX-License-Identifier: GPL-2.0-or-later
//! What the initramfs makes without the label that a policy of SELinux has for it: no policy is loaded then. In the
//! root it is listed in the record, for the host to label (docs/guide/selinux.md); what lies beside the root gets the upper's.

use crate::layout::{Store, paths};
use crate::step::Step;
use crate::step::path::PathStep;
use serde::{Deserialize, Serialize};

/// One path of the list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Made {
    /// The path in the root.
    pub path: String,
    /// Whether it counts with all that lies below on the same file system.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
}

/// What steps make whose label is wrong or gone in the booted system: a name that has the label of the directory, and
/// every tmpfs, which forgets what it was given.
pub fn sure(steps: &[Step]) -> Vec<Made> {
    steps.iter().filter_map(|step| Left::by(step).sure).collect()
}

/// Paths in the root of which the steps may have made some part, each with what is on the way there.
pub fn ways(steps: &[Step]) -> Vec<String> {
    steps.iter().filter_map(|step| Left::by(step).way).flat_map(|path| parts("", &path)).collect()
}

/// Directories that are mounted over the root and kept: what lies in them is not the overlay's.
pub fn kept(steps: &[Step]) -> Vec<&str> {
    let paths = steps.iter().filter_map(|step| {
        let Step::Path(PathStep::Persist { path, .. }) = step else { return None };
        Some(path.as_str())
    });
    paths.collect()
}

/// What the steps may have made beside the root, and what the kernel makes in a work directory: ours alone.
pub fn beside(steps: &[Step]) -> Vec<String> {
    steps.iter().flat_map(|step| Left::by(step).beside).collect()
}

/// What one step leaves.
#[derive(Default)]
struct Left {
    /// In the root, with a wrong label for sure.
    sure: Option<Made>,
    /// A path in the root of which some part may be new.
    way: Option<String>,
    /// Paths beside the root.
    beside: Vec<String>,
}

impl Left {
    fn by(step: &Step) -> Self {
        let beside = |beside| Self { beside, ..Self::default() };
        match step {
            Step::Hostname { .. } => {
                Self { sure: Some(Made { path: "/etc/hostname".to_owned(), whole: false }), ..Self::default() }
            }
            // What is mounted there has a label or none; the directories on the way are ours.
            Step::Bind { to, .. } => {
                let to = to.strip_prefix(paths::SYSROOT).filter(|to| to.starts_with('/'));
                Self { way: to.and_then(above), ..Self::default() }
            }
            // The last part is a whiteout.
            Step::Hide { upper, path, .. } => {
                Self { way: above(path), beside: vec![format!("{upper}{path}")], ..Self::default() }
            }
            Step::MakeUpper { store, .. } => beside(of_store(store)),
            Step::MakeLoopFile { file, .. } => beside(match file.strip_prefix(paths::ROOT_KEPT) {
                Some(below) => parts(paths::ROOT_KEPT, below),
                None => vec![file.clone()],
            }),
            Step::Path(step) => Self::by_path(step),
            // Nothing, or nothing without a label: what an upper has, others' files, and what lies in a tmpfs.
            Step::StandDown { .. }
            | Step::Uncover { .. }
            | Step::Clear { .. }
            | Step::MountTmpfs { .. }
            | Step::Look { .. }
            | Step::Check { .. }
            | Step::MountDevice { .. }
            | Step::MountTop { .. }
            | Step::MakeSubvolume { .. }
            | Step::Writable { .. }
            | Step::LookInside { .. }
            | Step::GrowLoopFile { .. }
            | Step::Attach { .. }
            | Step::Part(_)
            | Step::GrowFs { .. }
            | Step::Reset { .. }
            | Step::ResetOnce { .. }
            | Step::Stale(_)
            | Step::Commit(_)
            | Step::Quota(_)
            | Step::Remember { .. }
            | Step::Link { .. }
            | Step::BindLower { .. }
            | Step::LowerReadOnly { .. }
            | Step::LowerFsReadOnly { .. }
            | Step::Park { .. }
            | Step::UnmountRoot { .. }
            | Step::MountOverlay(_)
            | Step::Verify(_)
            | Step::Close { .. }
            | Step::Unpark { .. }
            | Step::Populate(_)
            | Step::RootReadOnly { .. }
            | Step::WriteRun { .. }
            | Step::LinkRun { .. } => Self::default(),
        }
    }

    fn by_path(step: &PathStep) -> Self {
        let stored = |store: &str, mount: &str| parts(mount, store.strip_prefix(mount).unwrap_or_default());
        match step {
            PathStep::Point { path, .. } => Self { way: Some(path.clone()), ..Self::default() },
            PathStep::Volatile { path, .. } => Self {
                sure: Some(Made { path: path.clone(), whole: true }),
                way: Some(path.clone()),
                ..Self::default()
            },
            PathStep::Persist { path, store, mount, .. } => {
                let mut beside = stored(store, mount);
                // It is seen in the root.
                beside.pop();
                Self { way: Some(path.clone()), beside, ..Self::default() }
            }
            // The last part is a pattern.
            PathStep::Restore { path, store, mount, .. } => {
                Self { way: above(path), beside: stored(store, mount), ..Self::default() }
            }
            PathStep::MachineId { path, store, mount, .. } => {
                Self { way: Some(path.clone()), beside: stored(store, mount), ..Self::default() }
            }
            PathStep::OpenDevice { .. }
            | PathStep::OpenRoot { .. }
            | PathStep::Bind { .. }
            | PathStep::ReadOnly { .. } => Self::default(),
        }
    }
}

/// The directory that a path is in.
fn above(path: &str) -> Option<String> {
    path.rsplit_once('/').map(|(above, _)| above.to_owned())
}

fn of_store(store: &Store) -> Vec<String> {
    // The root's own file system is labelled; the top of another one is not ours.
    let mut all = match store.upper.strip_prefix(paths::ROOT_KEPT) {
        Some(below) => parts(paths::ROOT_KEPT, below),
        None => Vec::new(),
    };
    let meta = store.trash.rsplit_once('/').map(|(meta, _)| meta.to_owned());
    all.extend(meta.into_iter().chain([store.trash.clone(), store.fingerprint.clone(), store.work.clone()]));
    // fs/overlayfs/super.c, ovl_get_workdir and ovl_get_indexdir.
    all.extend(["work", "index"].map(|name| format!("{}/{name}", store.work)));
    all
}

/// Each directory on the way to a path below `base`, and the path itself, the first first.
fn parts(base: &str, path: &str) -> Vec<String> {
    let mut way = base.to_owned();
    let names = path.split('/').filter(|name| !name.is_empty());
    let grow = |name: &str| {
        way = format!("{way}/{name}");
        way.clone()
    };
    names.map(grow).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout;

    fn layers() -> Vec<String> {
        vec!["/run/overlayfs".into(), "/run/rootfsbase".into()]
    }

    fn keep(path: &str, store: &str) -> Step {
        let (path, root, mount) = (path.to_owned(), "/sysroot".to_owned(), "/m".to_owned());
        Step::Path(PathStep::Persist { path, root, store: store.to_owned(), mount, layers: layers() })
    }

    #[test]
    fn the_name_and_every_tmpfs_are_listed() {
        let (path, root, options) = ("/var/tmp".to_owned(), "/sysroot".to_owned(), String::new());
        let volatile = PathStep::Volatile { path, root, options, mode: None, copy: true, layers: layers() };
        let hostname = Step::Hostname { name: "n".into(), upper: "/u".into(), lowers: vec!["/l".into()] };
        let steps = [hostname, Step::Path(volatile), keep("/srv/a", "/m/.overlayroot/keep/srv-a.dir")];
        let made = sure(&steps);
        assert_eq!(
            serde_json::to_string(&made).unwrap(),
            r#"[{"path":"/etc/hostname"},{"path":"/var/tmp","whole":true}]"#
        );
        assert_eq!(serde_json::from_str::<Vec<Made>>(r#"[{"path":"/etc/hostname"}]"#).unwrap(), made[..1]);
        assert_eq!(ways(&steps), ["/var", "/var/tmp", "/srv", "/srv/a"]);
        assert_eq!(kept(&steps), ["/srv/a"]);
    }

    #[test]
    fn parts_of_the_ways_into_the_root() {
        let bind = |to: &str| Step::Bind { from: "/media/root-ro".into(), to: to.into() };
        let (store, mount) = ("/m/keep/files".to_owned(), "/m".to_owned());
        let restore = PathStep::Restore { path: "/etc/ssh/ssh_host_*".into(), store, mount, layers: layers() };
        let steps = [bind("/sysroot/media/root-ro"), bind("/run/rootfsbase"), bind("/sysroot"), Step::Path(restore)];
        assert_eq!(ways(&steps), ["/media", "/etc", "/etc/ssh"]);
        assert_eq!(beside(&steps), ["/m/keep", "/m/keep/files"]);
    }

    #[test]
    fn what_is_ours_beside_the_root() {
        let upper = |store: Store| Step::MakeUpper { store, like: "/sysroot".into() };
        let of_device = beside(&[upper(layout::device(&crate::layout::Names::Dracut, "overlay").store)]);
        let at = "/run/initramfs/overlayroot/upper";
        let names = [".overlayroot", ".overlayroot/trash", ".overlayroot/overlay.json", "ovlwork"];
        let names = names.into_iter().chain(["ovlwork/work", "ovlwork/index"]);
        assert_eq!(of_device, names.map(|name| format!("{at}/{name}")).collect::<Vec<_>>());
        let of_dir = beside(&[upper(layout::directory("/srv/up", "overlay").store)]);
        let at = "/run/initramfs/overlayroot/root/srv";
        assert_eq!(of_dir[..3], [at.to_owned(), format!("{at}/up"), format!("{at}/up/overlay")]);
        assert!(of_dir.contains(&format!("{at}/up/ovlwork/work")), "{of_dir:?}");
        let hide = [Step::Hide { upper: "/u".into(), like: "/l".into(), path: "/srv/up".into() }];
        assert_eq!((beside(&hide), ways(&hide)), (vec!["/u/srv/up".to_owned()], vec!["/srv".to_owned()]));
        assert_eq!(
            beside(&[keep("/srv/a", "/m/.overlayroot/keep/srv-a.dir")]),
            ["/m/.overlayroot", "/m/.overlayroot/keep"]
        );
    }
}
