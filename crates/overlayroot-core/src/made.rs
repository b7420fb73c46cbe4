// SPDX-License-Identifier: GPL-2.0-or-later
//! What the initramfs makes without the label that a policy of SELinux has for it: no policy is loaded then. In the
//! root it is listed in the record, for the host to label (docs/selinux.md); what lies beside the root gets the upper's.

use crate::layout::Store;
use crate::path_step::PathStep;
use crate::paths;
use crate::step::Step;
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
    let one = |step: &Step| match step {
        Step::Hostname { .. } => Some(Made { path: "/etc/hostname".to_owned(), whole: false }),
        Step::Path(PathStep::Volatile { path, .. }) => Some(Made { path: path.clone(), whole: true }),
        _ => None,
    };
    steps.iter().filter_map(one).collect()
}

/// Paths in the root of which the steps may have made some part, each with what is on the way there.
pub fn ways(steps: &[Step]) -> Vec<String> {
    let one = |step: &Step| match step {
        // What is mounted there has a label or none; the directories on the way are ours.
        Step::Bind { to, .. } => {
            let to = to.strip_prefix(paths::SYSROOT).filter(|to| to.starts_with('/'))?;
            Some(to.rsplit_once('/')?.0.to_owned())
        }
        // The last part is a whiteout, or a pattern.
        Step::Hide { path, .. } | Step::Path(PathStep::Restore { path, .. }) => {
            Some(path.rsplit_once('/')?.0.to_owned())
        }
        Step::Path(
            PathStep::Point { path, .. }
            | PathStep::MachineId { path, .. }
            | PathStep::Persist { path, .. }
            | PathStep::Volatile { path, .. },
        ) => Some(path.clone()),
        _ => None,
    };
    steps.iter().filter_map(one).flat_map(|path| parts("", &path)).collect()
}

/// Directories that are mounted over the root and kept: what lies in them is not the overlay's.
pub fn kept(steps: &[Step]) -> Vec<&str> {
    let paths = steps.iter().filter_map(|step| match step {
        Step::Path(PathStep::Persist { path, .. }) => Some(path.as_str()),
        _ => None,
    });
    paths.collect()
}

/// What the steps may have made beside the root, and what the kernel makes in a work directory: ours alone.
pub fn beside(steps: &[Step]) -> Vec<String> {
    steps.iter().flat_map(beside_of).collect()
}

fn beside_of(step: &Step) -> Vec<String> {
    match step {
        Step::MakeUpper { store, .. } => of_store(store),
        Step::Hide { upper, path, .. } => vec![format!("{upper}{path}")],
        Step::MakeLoopFile { file, .. } => match file.strip_prefix(paths::ROOT_KEPT) {
            Some(below) => parts(paths::ROOT_KEPT, below),
            None => vec![file.clone()],
        },
        Step::Path(PathStep::Persist { store, mount, .. }) => {
            let mut all = parts(mount, store.strip_prefix(mount.as_str()).unwrap_or_default());
            // It is seen in the root.
            all.pop();
            all
        }
        Step::Path(PathStep::Restore { store, mount, .. } | PathStep::MachineId { store, mount, .. }) => {
            parts(mount, store.strip_prefix(mount.as_str()).unwrap_or_default())
        }
        _ => Vec::new(),
    }
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
        let of_device = beside(&[upper(layout::device(&crate::config::Names::Dracut).store)]);
        let at = "/run/initramfs/overlayroot/upper";
        let names = [".overlayroot", ".overlayroot/trash", ".overlayroot/overlay.json", "ovlwork"];
        let names = names.into_iter().chain(["ovlwork/work", "ovlwork/index"]);
        assert_eq!(of_device, names.map(|name| format!("{at}/{name}")).collect::<Vec<_>>());
        let of_dir = beside(&[upper(layout::directory("/srv/up").store)]);
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
