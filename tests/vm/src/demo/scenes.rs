// SPDX-License-Identifier: GPL-2.0-or-later
//! What the demonstration shows: the questions of somebody who is new, in their order.

/// One boot. In `holds` a line `+ COMMAND` is shown with what it prints, `+ # TEXT` is a remark, and `+ ## TEXT` the
/// next question; the other lines are checked by what the kernel reports, and not shown.
pub(super) struct Scene {
    pub(super) title: &'static str,
    /// Kernel arguments.
    pub(super) cmdline: &'static str,
    pub(super) holds: &'static str,
    /// Whether the disk's checksum is taken after it.
    pub(super) sum: bool,
}

pub(super) const SCENES: [Scene; 5] = [
    Scene {
        title: "What is it?",
        cmdline: "rd.overlay=tmpfs:size=25%",
        holds: "running\n\
            overlay_root\n\
            lower_ro\n\
            + # The root is an overlay: an upper that takes changes, the disk below.\n\
            + findmnt -o TARGET,SOURCE,FSTYPE /\n\
            + overlayctl status\n\
            + ## Where did my change go?\n\
            + echo 'made by hand' > /etc/demo\n\
            + cat /etc/demo\n\
            + # The lower, which is the disk, does not have it:\n\
            + ls /run/rootfsbase/etc/demo\n\
            + # The upper, which is in RAM, does:\n\
            + overlayctl diff /etc/demo\n\
            file_has /run/overlayfs/etc/demo hand\n\
            absent /run/rootfsbase/etc/demo\n",
        sum: false,
    },
    Scene {
        title: "Is my disk untouched? (rebooted)",
        cmdline: "rd.overlay=tmpfs:size=25%",
        holds: "running\n\
            overlay_root\n\
            absent /etc/demo\n\
            + ls /etc/demo\n",
        sum: true,
    },
    Scene {
        title: "What stays, where I want it to? (rebooted, upper on a second disk)",
        cmdline: "rd.overlay=LABEL=persist",
        holds: "running\n\
            overlay_root\n\
            mounted_from /run/overlayfs-backing /dev/vdb\n\
            absent /etc/demo\n\
            + echo 'made by hand' > /etc/demo\n\
            + overlayctl status\n",
        sum: false,
    },
    Scene {
        title: "... and it stays (rebooted)",
        cmdline: "rd.overlay=LABEL=persist",
        holds: "running\n\
            file_has /etc/demo hand\n\
            + cat /etc/demo\n\
            + ## How do I reset?\n\
            + overlayctl reset\n",
        sum: false,
    },
    Scene {
        title: "... and it is gone (rebooted)",
        cmdline: "rd.overlay=LABEL=persist",
        holds: "running\n\
            overlay_root\n\
            absent /etc/demo\n\
            + ls /etc/demo\n\
            + ## What changed?\n\
            + echo '192.0.2.7 printer' >> /etc/hosts\n\
            + rm /etc/issue\n\
            + overlayctl diff /etc\n\
            + overlayctl diff -p /etc/hosts\n\
            whiteout /etc/issue\n",
        sum: true,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_scene_says_fits_a_terminal() {
        for scene in &SCENES {
            let said = scene.holds.lines().filter_map(|line| line.strip_prefix("+ "));
            // "$ " stands before a command
            for text in said.chain([scene.title, scene.cmdline]) {
                assert!(text.chars().count() <= 78, "{text}");
            }
        }
        let [.., last] = &SCENES;
        assert!(last.sum && last.holds.contains("overlayctl diff"));
    }
}
