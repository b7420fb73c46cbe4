// SPDX-License-Identifier: GPL-2.0-or-later
//! Wordings that were hard to read when tried as a new user would, and what is said instead. A row stands for a kind:
//! what it never allows is looked for in all that users read.

/// One wording.
pub struct Row {
    /// Phrases, in lower case, that do not stand anywhere.
    pub never: &'static [&'static str],
    /// What stood there.
    pub was: &'static str,
    /// What to say. '...' stands for a value.
    pub say: &'static str,
    /// A part of the name of the place that says so; empty where `say` is advice.
    pub stands: &'static str,
    /// Where a phrase is right: part of the place's name, a phrase near it, and why.
    pub right: &'static [(&'static str, &'static str, &'static str)],
}

const fn row(never: &'static [&'static str], was: &'static str, say: &'static str, stands: &'static str) -> Row {
    Row { never, was, say, stands, right: &[] }
}

/// The table.
pub const ROWS: &[Row] = &[
    row(
        &["that can do it"],
        "overlayroot-rs: for an initramfs that can do it: dracut --force --add overlayroot-rs",
        "Not active yet. To enable: overlayctl enable --rebuild",
        "debian/overlayroot-rs.postinst",
    ),
    row(
        &["were told", "was told", "overlays were"],
        "Turn what other overlays were told into a configuration file",
        "Import settings from other overlay tools",
        "overlayctl migrate --help",
    ),
    row(
        &["watch how full", "how full the upper is, and tell", "tell of each", "tells of each"],
        "Watch how full the upper is, and tell of each level",
        "Monitor usage and alert at thresholds",
        "overlayctl watch --help",
    ),
    row(
        &["what runs is not", "is not what was asked for", "is not what you asked for"],
        "Exit with 1 and the reasons if what runs is not what was asked for",
        "Verify that the running root matches the request",
        "overlayctl check --help",
    ),
    row(
        &["begun on", "was begun", "were begun", "files begun"],
        "Tell whether the upper was begun on another lower",
        "Check whether the upper matches the current lower",
        "overlayctl stale --help",
    ),
    row(
        &["resets and removals", "removals left"],
        "What resets and removals left",
        "Manage discarded uppers",
        "overlayctl trash --help",
    ),
    row(
        &["say before the boot", "says before the boot", "is configured will work"],
        "Say before the boot whether what is configured will work",
        "Check the configuration before booting",
        "overlayctl doctor --help",
    ),
    row(
        &["anew"],
        "Begin the upper anew at the next boot, once",
        "Discard all changes at the next boot",
        "overlayctl reset --help",
    ),
    row(
        &["give what", "its selinux labels"],
        "Give what the initramfs left in an upper in RAM its SELinux labels",
        "Relabel initramfs files (SELinux)",
        "overlayctl label --help",
    ),
    row(
        &["more room, or less", "give the upper", "gives the upper"],
        "Give the upper in use more room, or less, while it runs",
        "Resize the active upper",
        "overlayctl resize --help",
    ),
    row(
        &["so many looks", "the looks", "the last look", "first look", "one look", "a look walks"],
        "End after so many looks",
        "Exit after N updates",
        "overlayctl top --help",
    ),
    row(
        &["so far below", "shown on their own"],
        "Directories so far below PATH are shown on their own",
        "Maximum directory depth",
        "overlayctl du --help",
    ),
    row(
        &["begins anew", "is in ram: it"],
        "the upper is in RAM: it begins anew at each boot",
        "the upper is in RAM and is discarded at every boot",
        "overlayctl/src/state/kept.rs",
    ),
    row(
        &["overlay of this project", "of this project", "this project's"],
        "there is no overlay of this project on the root",
        "the root is not managed by overlayroot-rs",
        "overlayroot-core/src/step/effective.rs",
    ),
    row(
        &["hide what has changed", "hides what has changed", "hides that has changed", "has changed below"],
        "17 paths of the upper hide what has changed below",
        "... changed files of the lower are hidden by the upper",
        "overlayctl/src/commands/stale.rs",
    ),
    row(
        &["counts as begun", "told again"],
        "the upper counts as begun on this lower; the next change of it is told again",
        "accepted; you will be warned if the lower changes again",
        "overlayctl/src/commands/stale.rs",
    ),
    row(
        &["taken back:", "takes it back", "takes that back"],
        "taken back: the next boot uses the upper as it is",
        "cancelled; the upper will be kept",
        "overlayctl/src/commands/reset.rs",
    ),
    row(
        &["kernel does not say", "changes may not appear before"],
        "The kernel does not say what the running overlay shows of files that change under it",
        "Changes may not appear until you reboot",
        "overlayctl/src/commands/shell/keeper.rs",
    ),
    row(
        &["was serviced", "serviced:", "for servicing", "is serviced"],
        "the lower was serviced: reboot",
        "the lower was modified; reboot required",
        "overlayctl/src/commands/shell/keeper.rs",
    ),
    row(
        &["after the kernel, by", "s after the kernel,", "by the unit", "by the hook"],
        "17 steps in 113 ms, 14.4 s after the kernel, by the unit",
        "set up in ... ms by ...",
        "overlayctl/src/commands/status.rs",
    ),
    row(
        &["no boot loader looks", "where no boot loader"],
        "/boot/grub/grub.cfg lies in the overlay that runs now, where no boot loader looks",
        "... is in the overlay; the boot loader would not see it",
        "overlayctl/src/commands/enable.rs",
    ),
    row(
        &["every file is as it was", "is as it was", "as it was before"],
        "nothing was changed: every file is as it was: grubby",
        "failed, all changes rolled back",
        "overlayctl/src/commands/enable/apply.rs",
    ),
    row(
        &["boot loader that is known", "is is not known", "are is not known"],
        "no boot loader that is known: what the next boot's arguments are is not known",
        "unsupported boot loader; cannot check the next boot",
        "overlayroot-host/src/doctor/loader.rs",
    ),
    row(
        &["works against", "work against"],
        "no line works against the overlay",
        "no conflicting fstab entries",
        "overlayroot-host/src/doctor/mod.rs",
    ),
    row(
        &[
            "nobody else makes",
            "nobody else does",
            "nobody makes",
            "nobody does",
            "packages that make the root an overlay",
        ],
        "nobody else makes the root an overlay",
        "no other overlay tool found",
        "overlayroot-host/src/doctor/mod.rs",
    ),
    row(
        &["no kind of upper", "taken as tmpfs", "kind of upper not understood"],
        "no kind of upper, taken as tmpfs",
        "unknown upper type",
        "overlayroot-core/src/upper/mod.rs",
    ),
    row(
        &["did not appear", "does not appear within"],
        "LABEL=data did not appear within 0.0 s",
        "... not found ... (the boot waits ... s)",
        "crates/",
    ),
    row(
        &["no key of", "no keys of"],
        "tmpfs: no key of overlayroot-rs",
        "unknown argument '...'; ...",
        "overlayroot-host/src/loader/ask.rs",
    ),
    row(
        &["goes before", "go before", "occurrence counts", "last counts", "last one counts", "within one the last"],
        "The kernel command line goes before /etc/overlayroot-rs.conf; within one the last occurrence counts",
        "The kernel command line overrides ...; the last value wins",
        "overlayctl/src/commands/explain.rs",
    ),
    row(
        &["take the machine down", "takes the machine down"],
        "8 GiB: full, it would take the machine down",
        "... larger than RAM and swap ...: the system would run out of memory",
        "overlayroot-core/src/upper/tmpfs/resize.rs",
    ),
    row(
        &["is nothing, not", "is nothing, and"],
        "/upper.img is nothing, not a file",
        "... does not exist",
        "overlayroot-linux/src/",
    ),
    // Of the same kinds, found in the documents.
    row(
        &["what became of", "what becomes of", "becomes of each"],
        "/run/overlayroot/pull.json: What became of the pull.",
        "The result of the pull",
        "docs/reference/man/overlayctl.8",
    ),
    row(
        &["can't be had", "can be had", "to be had", "could not be had"],
        "What to boot where the overlay can't be had as asked",
        "What to boot where the requested overlay can't be made",
        "docs/reference/man/overlayroot-rs.7",
    ),
    row(
        &["passed over", "passes over", "pass over"],
        "Empty lines and lines that begin with # are passed over",
        "Empty lines and lines that begin with # are ignored",
        "docs/reference/man/overlayroot-rs.conf.5",
    ),
    row(
        &["counts as fit", "fit any more", "fits any more"],
        "Where packages were changed, its fingerprint does not fit any more at the next boot",
        "it does not match the current lower at the next boot",
        "docs/reference/man/overlayctl.8",
    ),
    row(
        &["whoever", "somebody", "nobody", "everybody"],
        "whoever is on the way can change the archive",
        "anyone on the network path can change the archive",
        "docs/reference/man/overlayroot-rs.7",
    ),
    row(
        &["gone at the next boot", "gone with the next boot", "gone at each boot"],
        "Changes go into RAM, and are gone at the next boot",
        "Changes go to RAM and are lost at reboot",
        "README.md",
    ),
    // `-n` is --dry-run of every verb
    row(
        &["-n 2", "-n n"],
        "Where the output is no terminal, the looks stand one below the other; `-n 2` ends after two",
        "-c 2 exits after two",
        "docs/guide/changes.md",
    ),
];
