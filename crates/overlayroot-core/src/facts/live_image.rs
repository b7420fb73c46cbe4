// SPDX-License-Identifier: GPL-2.0-or-later
//! `root=live:`: dracut's dmsquash-live fetches or finds an image, mounts it, and makes an overlay of its own over
//! it, in RAM without a limit that one could set. Where one of ours is asked for, the image is the lower of that.

use crate::layout::paths;
use crate::parse::cmdline::Arg;
use crate::parse::mountinfo::Mount;
use serde::{Deserialize, Serialize};

/// The name under which it stands among [`crate::facts::Rival`]s.
pub const NAME: &str = "dmsquash-live";

/// The overlay that dmsquash-live made, to be put back where ours fails.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Live {
    /// Its source in mountinfo.
    pub source: String,
    /// Where the image is mounted.
    pub lower: String,
    /// Its upper directory.
    pub upper: String,
    /// Its work directory.
    pub work: String,
}

/// Whether the boot is one of an image.
pub fn asked(args: &[Arg]) -> bool {
    args.iter().any(|arg| arg.key == b"root" && arg.value.as_ref().is_some_and(|value| value.starts_with(b"live:")))
}

/// The overlay of dmsquash-live that is the root, if it is one.
/// (dracut 059 to 106: modules.d/90dmsquash-live, 90overlayfs; 111: 70overlayfs)
pub fn overlay(args: &[Arg], root: &Mount) -> Option<Live> {
    if !asked(args) || root.fstype != "overlay" || root.source != paths::OVERLAY_SOURCE {
        return None;
    }
    let live = Live {
        source: root.source.clone(),
        lower: root.super_option("lowerdir")?,
        upper: root.super_option("upperdir")?,
        work: root.super_option("workdir")?,
    };
    (live.lower == paths::LOWER).then_some(live)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::cmdline::{Source, lex};
    use crate::parse::mountinfo;

    #[test]
    fn what_dmsquash_live_makes() {
        let line = "30 1 0:40 / /sysroot rw,relatime - overlay LiveOS_rootfs rw,lowerdir=/run/rootfsbase,\
                    upperdir=/run/overlayfs,workdir=/run/ovlwork";
        let mount = mountinfo::parse(line).remove(0);
        let args = |text: &str| lex(&[Source::new("c", text)]);
        let live = overlay(&args("root=live:http://x/y"), &mount).unwrap();
        assert_eq!((live.upper.as_str(), live.work.as_str()), ("/run/overlayfs", "/run/ovlwork"));
        assert_eq!(overlay(&args("root=LABEL=root"), &mount), None);
        let other = mountinfo::parse(&line.replace("/run/rootfsbase", "/run/overlayfs-r:/run/rootfsbase")).remove(0);
        assert_eq!(overlay(&args("root=live:/dev/sr0"), &other), None);
        assert!(!asked(&args("root= live:http://x/y root=nfs:live:/x")));
    }
}
