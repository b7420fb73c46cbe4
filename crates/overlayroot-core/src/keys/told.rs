// SPDX-License-Identifier: GPL-2.0-or-later
//! What people are told of a key: a part of the table that no initramfs carries, for nothing there asks for it.

use crate::keys::Key;

/// Name, form of the value, and what it does in one sentence.
static TOLD: [(&str, &str, &str); 19] = [
    (
        "rd.overlay",
        "[0|1|tmpfs[:size=SIZE,nr_blocks=N,nr_inodes=N]|dir:PATH[,size=SIZE]|loop:PATH[,dev=DEVICE,size=SIZE,fs=TYPE,reserve=SIZE,grow,discard]|part:LABEL[,size=SIZE|rest,fs=TYPE,grow]|subvol:NAME|LABEL=NAME|UUID=ID|PARTLABEL=NAME|PARTUUID=ID|/dev/PATH]",
        "Make the root an overlay, with its upper in RAM, in a directory, a file or a subvolume of the root itself, on a new partition of its disk, or on a block device.",
    ),
    ("rd.overlay.reset", "[BOOL]", "Discard the upper at every boot with this key (once: overlayctl reset)."),
    ("rd.overlay.readonly", "[BOOL]", "Use the upper as a read-only layer; changes go to RAM and are lost at reboot."),
    (
        "rd.overlay.name",
        "NAME",
        "Which upper to use, where a device, file, directory or subvolume holds several; created if it does not exist.",
    ),
    (
        "rd.overlay.crypt",
        "DEVICE[,mapname=NAME][,fstype=TYPE][,mkfs=0|1][,timeout=SECONDS]",
        "An encrypted upper; not supported, the fallback applies.",
    ),
    (
        "rd.overlay.fallback",
        "tmpfs|ro|none|halt",
        "What to boot if the overlay fails: a RAM overlay, the root read-only, the plain root, or the emergency shell.",
    ),
    ("rd.overlay.timeout", "SECONDS", "How long to wait for the upper's device to appear; 0 looks once."),
    (
        "rd.overlay.stale",
        "keep|warn|park|reset",
        "What to do with an upper that does not match the current lower: use it, use it and warn, keep it under another name and create a new one, or discard it and create a new one.",
    ),
    (
        "rd.overlay.image.sha256",
        "HEX",
        "Boot only the image with this SHA-256 (root=live:); any other ends in the emergency shell, whatever the fallback.",
    ),
    (
        "rd.overlay.image.cache",
        "LABEL=NAME|UUID=ID|PARTLABEL=NAME|PARTUUID=ID|/dev/PATH",
        "Cache the image of root=live:URL on this device, and reuse it while its SHA-256 matches.",
    ),
    (
        "rd.overlay.hostname",
        "NAME",
        "Hostname, in the kernel and in /etc/hostname of the overlay. May contain ${hostname}, ${mac}, ${serial}, ${uuid}, ${ip}.",
    ),
    (
        "rd.overlay.populate",
        "URL|PATH[,sha256=HEX][,devices]",
        "Unpack a tar archive into a new upper, from a server or from the root itself. May contain variables as the hostname.",
    ),
    (
        "rd.overlay.git",
        "URL[#REF]",
        "Repository that the booted system fetches once the network is up, to run its overlayroot.d/* as root. May contain variables as the hostname.",
    ),
    (
        "rd.overlay.git.verify",
        "FILE",
        "File in the root with the allowed signers of the tag or commit; nothing signed by others runs.",
    ),
    (
        "rd.overlay.path",
        "persist:PATH[,dev=DEVICE]|volatile:PATH[,size=SIZE,nr_inodes=N,mode=MODE,copy]|bind:PATH|readonly:PATH|[KIND:]PRESET[,PARAMETERS]",
        "Policy for one path: kept, on a tmpfs of its own, the lower's own and writable, or read-only. Can be repeated.",
    ),
    (
        "rd.overlay.path.dev",
        "LABEL=NAME|UUID=ID|PARTLABEL=NAME|PARTUUID=ID|/dev/PATH",
        "Default device for paths of persist: that name none; without it they are kept beside the upper.",
    ),
    (
        "rd.overlay.watch.warn",
        "PERCENT",
        "Usage at which overlayctl watch and status warn: bytes, inodes, and memory for an upper in RAM.",
    ),
    ("rd.overlay.watch.critical", "PERCENT", "Usage at which they report critical; more than rd.overlay.watch.warn."),
    (
        "rd.overlay.watch.textfile",
        "PATH",
        "File that overlayctl watch writes the usage of the upper to, for Prometheus' node exporter.",
    ),
];

impl Key {
    /// The value's form.
    pub fn syntax(&self) -> &'static str {
        self.told().0
    }

    /// What it does, in one sentence.
    pub fn help(&self) -> &'static str {
        self.told().1
    }

    /// A test holds that each key is there.
    fn told(&self) -> (&'static str, &'static str) {
        let found = TOLD.iter().find(|(name, ..)| *name == self.name);
        found.map_or(("", ""), |(_, syntax, help)| (*syntax, *help))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::KEYS;

    #[test]
    fn every_key_is_told_in_its_place() {
        let names = TOLD.map(|(name, ..)| name);
        assert_eq!(names, KEYS.map(|key| key.name));
        assert!(KEYS.iter().all(|key| !key.syntax().is_empty() && key.help().ends_with('.')));
    }
}
