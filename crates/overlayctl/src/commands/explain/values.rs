// SPDX-License-Identifier: GPL-2.0-or-later
//! What the keys take, in words: one row for each form that a value may have. The parsers of the core decide; a test
//! holds this table against their syntax.

use super::form::{Form, Part};
use overlayroot_core::keys::{self, Key};
use overlayroot_core::path::preset::PRESETS;

const WITH_VARIABLES: &str = "may have ${hostname}, ${mac}, ${serial}, ${uuid} and ${ip}";

/// A value that is a word.
const fn word(word: &'static str, says: &'static str) -> Form {
    Form { fixed: word, rest: Part::NONE, says, parameters: &[] }
}

/// A value that is a prefix and a name, which is all the rest.
const fn named(fixed: &'static str, rest: Part, says: &'static str) -> Form {
    Form { fixed, rest, says, parameters: &[] }
}

const fn part(name: &'static str, says: &'static str) -> Part {
    Part { name, says }
}

static BOOL: [Form; 2] = [word("0", "no; also no and off"), word("1", "yes; also the bare key, yes, on and true")];

static DEVICE: [Form; 5] = [
    named("LABEL=", LABEL, "a block device"),
    named("UUID=", UUID, "a block device"),
    named("PARTLABEL=", PARTLABEL, "a block device"),
    named("PARTUUID=", PARTUUID, "a block device"),
    named("/dev/", DEV_PATH, "a block device"),
];
const LABEL: Part = part("NAME", "the label of its file system");
const UUID: Part = part("ID", "the UUID of its file system");
const PARTLABEL: Part = part("NAME", "the partition's name in a GPT");
const PARTUUID: Part = part("ID", "the partition's identity in its table");
const DEV_PATH: Part = part("PATH", "its path, best one that stays the same, as in /dev/disk/by-id");
const ON_DEVICE: &str = "the upper is on a block device; changes stay";
const DEV: Part = part("dev=DEVICE", "on this device: LABEL=, UUID=, PARTLABEL=, PARTUUID= or /dev/");
const FS: Part = part("fs=TYPE", "the file system that is made in it: ext4, xfs or btrfs");
const INODES: Part = part("nr_inodes=N", "at most so many files, such as 200k; 0 is no limit");

static UPPERS: [Form; 13] = [
    word("0", "no overlay: the root stays as it is; also no and off"),
    word("1", "as tmpfs; also the bare key, yes, on and true"),
    word("tmpfs", "the upper is in RAM, half of it at most; changes will be lost at reboot"),
    Form {
        fixed: "tmpfs:",
        rest: Part::NONE,
        says: "the upper is in RAM; changes will be lost at reboot",
        parameters: &[
            part("size=SIZE", "at most so much: a size, or percent of RAM; 0 is no limit"),
            part("nr_blocks=N", "at most so many pages of memory"),
            INODES,
        ],
    },
    Form {
        fixed: "dir:",
        rest: part("PATH", "the directory, made where it does not exist"),
        says: "the upper is in a directory of the root itself; changes stay",
        parameters: &[part("size=SIZE", "held to that by a project quota: a size, or percent of the file system")],
    },
    Form {
        fixed: "loop:",
        rest: part("PATH", "the file, made where it does not exist"),
        says: "the upper is in a file with a file system of its own; changes stay",
        parameters: &[
            DEV,
            part("size=SIZE", "how large the file is: a size, or percent of the file system that holds it"),
            FS,
            part("reserve=SIZE", "how much the file leaves free"),
            part("grow", "file and file system follow a larger size"),
            part("discard", "the file system may give blocks back"),
        ],
    },
    Form {
        fixed: "part:",
        rest: part("LABEL", "the partition's name, and the label of its file system"),
        says: "the upper is on a partition of the root's own disk, made in free space where it does not exist; changes stay",
        parameters: &[
            part(
                "size=SIZE",
                "how large it is: a size, percent of the disk, or rest (all that is free behind the last)",
            ),
            FS,
            part("grow", "it follows what becomes free behind it"),
        ],
    },
    named(
        "subvol:",
        part("NAME", "from the top level of the file system"),
        "the upper is in a subvolume of the root's own btrfs; changes stay",
    ),
    named("LABEL=", LABEL, ON_DEVICE),
    named("UUID=", UUID, ON_DEVICE),
    named("PARTLABEL=", PARTLABEL, ON_DEVICE),
    named("PARTUUID=", PARTUUID, ON_DEVICE),
    named("/dev/", DEV_PATH, ON_DEVICE),
];

static CRYPT: [Form; 1] = [Form {
    fixed: "",
    rest: part("DEVICE", "the encrypted device"),
    says: "not supported in this version: rd.overlay.fallback decides what boots",
    parameters: &[
        part("mapname=NAME", "name of the mapping"),
        part("fstype=TYPE", "file system in it"),
        part("mkfs=0|1", "whether it is made"),
        part("timeout=SECONDS", "how long to wait for the device"),
    ],
}];
static FALLBACK: [Form; 4] = [
    word("tmpfs", "an overlay with its upper in RAM: changes will be lost at reboot, and the boot is degraded"),
    word("ro", "the root read-only, without an overlay"),
    word("none", "the plain root: changes go to the root itself"),
    word("halt", "no root: the emergency shell"),
];
static TIMEOUT: [Form; 1] =
    [named("", part("SECONDS", "0 looks once; 86400, a day, is the most"), "seconds to wait for the upper's device")];
static STALE: [Form; 4] = [
    word("keep", "use the upper, and say nothing"),
    word("warn", "use the upper, and warn"),
    word("park", "keep the upper under another name, and begin a new one"),
    word("reset", "discard the upper, and begin a new one: its changes will be lost"),
];
static SHA256: [Form; 1] =
    [named("", part("HEX", "64 hexadecimal digits, as sha256sum prints them"), "the SHA-256 of the image")];
static HOSTNAME: [Form; 1] = [named("", part("NAME", WITH_VARIABLES), "the name of the machine")];
static POPULATE: [Form; 1] = [Form {
    fixed: "",
    rest: part("URL|PATH", "http://, https://, ftp://, tftp:// or an absolute path in the root"),
    says: "a tar archive, unpacked into an upper that is new; ${hostname}, ${mac}, ${serial}, ${uuid} and ${ip} are filled in",
    parameters: &[
        part("sha256=HEX", "nothing is unpacked unless the archive has this SHA-256"),
        part("devices", "device nodes of the archive are made, too"),
    ],
}];
static GIT: [Form; 1] = [named(
    "",
    part("URL[#REF]", "the address, and behind # a branch, tag or commit"),
    "a repository; ${hostname}, ${mac}, ${serial}, ${uuid} and ${ip} are filled in",
)];
static FILE: [Form; 1] =
    [named("", part("FILE", "an absolute path in the root, as ssh-keygen's allowed signers"), "who may sign")];
static PATHS: [Form; 4] = [
    Form {
        fixed: "persist:",
        rest: part("PATH", "a path of the root, or a preset; * and ? in its last part stand for files"),
        says: "it is kept, also when the upper is discarded",
        parameters: &[DEV],
    },
    Form {
        fixed: "volatile:",
        rest: part("PATH", "a directory of the root, or a preset"),
        says: "it is on a tmpfs of its own; changes in it will be lost at reboot",
        parameters: &[
            part("size=SIZE", "at most so much: a size, or percent of RAM (default 25%)"),
            INODES,
            part("mode=MODE", "its mode, in octal; by default that of the directory"),
            part("copy", "it begins with what the directory holds"),
        ],
    },
    named("bind:", part("PATH", "a path of the root, or a preset"), "it is the lower's own, writable: changes stay"),
    named("readonly:", part("PATH", "a path of the root, or a preset"), "it can't be changed"),
];
static UPPER_NAME: [Form; 1] = [named(
    "",
    part("NAME", "letters, digits, - and _, at most 32"),
    "this upper is used, and created where it does not exist; others beside it stay as they are",
)];
static PERCENT: [Form; 1] =
    [named("", part("PERCENT", "1 to 99"), "percent of bytes, inodes or memory, whichever is most")];
static TEXTFILE: [Form; 1] = [named(
    "",
    part("PATH", "an absolute path; the exporter reads what ends in .prom"),
    "a file for Prometheus' node exporter",
)];

/// The forms that a key's value may have.
pub fn of(key: &Key) -> &'static [Form] {
    let rows: [(&Key, &'static [Form]); 19] = [
        (&keys::OVERLAY, &UPPERS),
        (&keys::RESET, &BOOL),
        (&keys::READONLY, &BOOL),
        (&keys::NAME, &UPPER_NAME),
        (&keys::CRYPT, &CRYPT),
        (&keys::FALLBACK, &FALLBACK),
        (&keys::TIMEOUT, &TIMEOUT),
        (&keys::STALE, &STALE),
        (&keys::IMAGE_SHA256, &SHA256),
        (&keys::IMAGE_CACHE, &DEVICE),
        (&keys::HOSTNAME, &HOSTNAME),
        (&keys::POPULATE, &POPULATE),
        (&keys::GIT, &GIT),
        (&keys::GIT_VERIFY, &FILE),
        (&keys::PATH, &PATHS),
        (&keys::PATH_DEV, &DEVICE),
        (&keys::WATCH_WARN, &PERCENT),
        (&keys::WATCH_CRITICAL, &PERCENT),
        (&keys::WATCH_TEXTFILE, &TEXTFILE),
    ];
    rows.iter().find(|(row, _)| row.name == key.name).map_or(&[], |(_, forms)| forms)
}

/// The names that stand for paths, of the one key that takes them.
pub fn presets(key: &Key) -> Vec<(&'static str, String)> {
    match key.name == keys::PATH.name {
        true => PRESETS.iter().map(|preset| (preset.name, preset.paths.join(", "))).collect(),
        false => Vec::new(),
    }
}
