// SPDX-License-Identifier: GPL-2.0-or-later
//! Who makes a host's initramfs when a kernel is installed or updated. The module gets into dracut's only: with
//! another one the next update takes the overlay away. Pure.

use crate::loader::Tree;
use crate::loader::line::lines;

/// A program that makes an initramfs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generator {
    /// Fedora, RHEL, openSUSE; Debian and Ubuntu with the package dracut.
    Dracut,
    /// Debian and Ubuntu.
    InitramfsTools,
    /// Debian, on request.
    TinyInitramfs,
    /// Arch.
    Mkinitcpio,
    /// Arch, on request.
    Booster,
}

impl Generator {
    /// All of them.
    pub const ALL: [Generator; 5] =
        [Self::Dracut, Self::InitramfsTools, Self::TinyInitramfs, Self::Mkinitcpio, Self::Booster];

    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Dracut => "dracut",
            Self::InitramfsTools => "initramfs-tools",
            Self::TinyInitramfs => "tiny-initramfs",
            Self::Mkinitcpio => "mkinitcpio",
            Self::Booster => "booster",
        }
    }

    /// What has dracut make the images in its place.
    fn way(self) -> &'static str {
        match self {
            Self::Dracut => "",
            Self::InitramfsTools | Self::TinyInitramfs => {
                "apt install dracut (it replaces this one), then overlayctl enable --rebuild"
            }
            Self::Mkinitcpio | Self::Booster => {
                "have dracut run at kernel updates in its place (its pacman hook, or initrd_generator=dracut in \
                 /etc/kernel/install.conf), then overlayctl enable --rebuild"
            }
        }
    }

    /// Whether what its hook starts is installed. Debian leaves hooks behind when a package is removed.
    fn installed(self, tree: &Tree) -> bool {
        match self {
            Self::Dracut => tree.has("dracut"),
            // dracut has a program of that name, too, from 112 on
            Self::InitramfsTools => {
                let text = tree.files.get(UPDATE_INITRAMFS);
                text.is_some_and(|text| String::from_utf8_lossy(text).contains("mkinitramfs"))
            }
            Self::TinyInitramfs => tree.has("update-tirfs"),
            Self::Mkinitcpio => tree.has("mkinitcpio"),
            Self::Booster => tree.has("booster"),
        }
    }
}

/// initramfs-tools' program.
pub const UPDATE_INITRAMFS: &str = "usr/sbin/update-initramfs";
/// kernel-install's configuration, the administrator's first.
pub const INSTALL_CONF: [&str; 2] = ["etc/kernel/install.conf", "usr/lib/kernel/install.conf"];
/// Debian, Ubuntu and theirs: packages of kernels run the hooks in `/etc/kernel`.
pub const DEBIAN: &str = "etc/debian_version";

/// Hooks by which images are made, in the order in which they run: the last one's image stays. Beside each the file
/// that masks it, where there is such a thing.
pub const HOOKS: [(&str, Option<&str>, Generator); 8] = [
    ("etc/kernel/postinst.d/dracut", None, Generator::Dracut),
    ("etc/kernel/postinst.d/initramfs-tools", None, Generator::InitramfsTools),
    ("etc/kernel/postinst.d/tiny-initramfs", None, Generator::TinyInitramfs),
    (
        "usr/share/libalpm/hooks/90-mkinitcpio-install.hook",
        Some("etc/pacman.d/hooks/90-mkinitcpio-install.hook"),
        Generator::Mkinitcpio,
    ),
    (
        "usr/share/libalpm/hooks/90-booster-install.hook",
        Some("etc/pacman.d/hooks/90-booster-install.hook"),
        Generator::Booster,
    ),
    (
        "usr/lib/kernel/install.d/50-booster.install",
        Some("etc/kernel/install.d/50-booster.install"),
        Generator::Booster,
    ),
    ("usr/lib/kernel/install.d/50-dracut.install", Some("etc/kernel/install.d/50-dracut.install"), Generator::Dracut),
    (
        "usr/lib/kernel/install.d/50-mkinitcpio.install",
        Some("etc/kernel/install.d/50-mkinitcpio.install"),
        Generator::Mkinitcpio,
    ),
];

/// Who does it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Makes {
    /// Nobody looked.
    #[default]
    NotKnown,
    /// Nobody that is known of.
    Nobody,
    /// This one.
    One {
        /// It.
        generator: Generator,
        /// The file, or the fact, by which that is seen.
        by: String,
    },
}

impl Makes {
    /// The generator, where it is another than dracut.
    pub fn other(&self) -> Option<(Generator, &str)> {
        match self {
            Self::One { generator: Generator::Dracut, .. } | Self::NotKnown | Self::Nobody => None,
            Self::One { generator, by } => Some((*generator, by.as_str())),
        }
    }

    /// What becomes of an overlay that is enabled with another generator than dracut in place, and what to do.
    pub fn warning(&self) -> Option<(String, &'static str)> {
        let (generator, by) = self.other()?;
        let text = format!(
            "{} makes the initramfs at each kernel update ({by}): after the next one the root is plain, and changes go to \
             the disk",
            generator.word()
        );
        Some((text, generator.way()))
    }
}

/// Judges a host.
pub fn makes(tree: &Tree) -> Makes {
    let one = |generator: Generator, by: String| Makes::One { generator, by };
    let debian = tree.files.contains_key(DEBIAN);
    let runs = |of: &str| {
        let hooks = HOOKS.iter().rev().filter(|(path, ..)| path.starts_with(of) && tree.hooks.contains(*path));
        hooks.map(|(path, _, generator)| (*path, *generator)).find(|(_, generator)| generator.installed(tree))
    };
    if let Some((path, generator)) = runs("etc/kernel/postinst.d/") {
        return one(generator, format!("/{path}"));
    }
    // dracut-core, which the package needs, has kernel-install's plugin, too, which no package of Debian's kernels runs.
    if debian {
        return Makes::Nobody;
    }
    if let Some((path, generator)) = runs("usr/share/libalpm/hooks/") {
        return one(generator, format!("/{path}"));
    }
    if let Some((path, generator)) = configured(tree) {
        return one(generator, format!("initrd_generator in /{path}"));
    }
    if let Some((path, generator)) = runs("usr/lib/kernel/install.d/") {
        return one(generator, format!("/{path}"));
    }
    let mut all = Generator::ALL.into_iter().filter(|generator| generator.installed(tree));
    match (all.next(), all.next()) {
        (Some(only), None) => one(only, "no other is installed".to_owned()),
        (Some(_), Some(_)) | (None, _) => Makes::Nobody,
    }
}

/// What kernel-install's configuration names.
fn configured(tree: &Tree) -> Option<(&'static str, Generator)> {
    INSTALL_CONF.into_iter().find_map(|path| {
        let text = tree.files.get(path)?;
        let mut said = lines(text).into_iter().filter_map(|line| line.trim_ascii().strip_prefix(b"initrd_generator="));
        let word = String::from_utf8_lossy(said.next_back()?).trim().to_owned();
        Some((path, Generator::ALL.into_iter().find(|generator| generator.word() == word)?))
    })
}

/// Who made an initramfs, by the names of its files.
pub fn of_image(names: &[String]) -> Option<Generator> {
    let below = |at: &str| names.iter().any(|name| name.starts_with(at));
    let has = |file: &str| names.iter().any(|name| name == file);
    if below("usr/lib/dracut/") || below("lib/dracut/") {
        Some(Generator::Dracut)
    } else if has("conf/initramfs.conf") {
        Some(Generator::InitramfsTools)
    } else if has("etc/booster.init.yaml") {
        Some(Generator::Booster)
    } else if has("init_functions") && has("config") {
        Some(Generator::Mkinitcpio)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
