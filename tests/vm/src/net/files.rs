// SPDX-License-Identifier: GPL-2.0-or-later
//! What the server gives out: kernel, initramfs, images, and the files of each way to boot.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::server::Image;
use super::{Net, Way};
use crate::case::FsKind;
use crate::fsimage::{self, Identity};
use crate::host::{self, Host};
use crate::images::ImageSet;

/// The server's address.
pub const SERVER: &str = "192.168.99.1";

/// Makes the disk in `dir`.
///
/// # Errors
/// Those of copying and of mkfs.
pub fn disk(
    host: &Host,
    net: &Net,
    set: &ImageSet,
    initrd: &Path,
    cmdline: &str,
    loaders: &Image,
    dir: &Path,
) -> Result<PathBuf> {
    let files = dir.join("files");
    fs::create_dir_all(&files)?;
    if net.way != Way::Direct {
        readable_copy(&set.kernel(), &files.join("vmlinuz"))?;
        readable_copy(initrd, &files.join("initrd.img"))?;
    }
    for image in &net.images {
        for path in set.root_disks(image.kind()) {
            readable_copy(&path, &files.join(path.file_name().context("no name")?))?;
        }
    }
    if net.guide.is_none() {
        loader(net.way, cmdline, loaders, &files)?;
    }
    if let Some(lines) = &net.prepare {
        host::shell(lines, &[("FILES", &files), ("TMP", dir)]).context("prepare")?;
    }
    let img = dir.join("files.img");
    let id = Identity { label: Some("files"), uuid: None };
    fsimage::make(host, &img, 1 << 30, FsKind::Ext4, id, &files)?;
    Ok(img)
}

/// Replaces `@SHA256:NAME@` by the sum of that file of the server's.
///
/// # Errors
/// When it can't be read.
pub fn with_sums(dir: &Path, text: &str) -> Result<String> {
    const MARK: &str = "@SHA256:";
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once(MARK) {
        let (name, after) = behind.split_once('@').with_context(|| format!("{MARK} without its end: {behind}"))?;
        let path = dir.join("files").join(name);
        let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
        out.push_str(&format!("{before}{:x}", Sha256::digest(&bytes)));
        rest = after;
    }
    Ok(out + rest)
}

/// dracut writes its images for root alone; who serves them runs as somebody else.
fn readable_copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| from.display().to_string())?;
    Ok(fs::set_permissions(to, Permissions::from_mode(0o644))?)
}

fn loader(way: Way, cmdline: &str, loaders: &Image, files: &Path) -> Result<()> {
    let copy = |from: &str, to: &str| readable_copy(&loaders.file(from), &files.join(to));
    let dnsmasq = |text: &str| fs::write(files.join("dnsmasq.conf"), text);
    match way {
        Way::Direct => {}
        Way::Ipxe => {
            dnsmasq("dhcp-boot=boot.ipxe\n")?;
            let script = format!(
                "#!ipxe\nkernel http://{SERVER}/vmlinuz initrd=initrd.img {cmdline}\n\
                 initrd http://{SERVER}/initrd.img\nboot\n"
            );
            fs::write(files.join("boot.ipxe"), script)?;
        }
        Way::Pxelinux => {
            dnsmasq("dhcp-boot=pxelinux.0\n")?;
            for name in ["pxelinux.0", "ldlinux.c32", "libcom32.c32", "libutil.c32"] {
                copy(name, name)?;
            }
            fs::create_dir_all(files.join("pxelinux.cfg"))?;
            let menu = format!(
                "SERIAL 0\nDEFAULT node\nLABEL node\n  KERNEL vmlinuz\n  INITRD initrd.img\n  APPEND {cmdline}\n"
            );
            fs::write(files.join("pxelinux.cfg/default"), menu)?;
        }
        Way::Uefi => {
            dnsmasq("dhcp-boot=shimx64.efi\n")?;
            copy("shimx64.efi.signed", "shimx64.efi")?;
            copy("grubnetx64.efi.signed", "grubx64.efi")?;
            fs::create_dir_all(files.join("grub"))?;
            let menu =
                format!("set timeout=0\nmenuentry node {{\n  linux vmlinuz {cmdline}\n  initrd initrd.img\n}}\n");
            fs::write(files.join("grub/grub.cfg"), menu)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums() -> Result<()> {
        let dir = tempfile::tempdir()?;
        fs::create_dir(dir.path().join("files"))?;
        fs::write(dir.path().join("files/a"), "abc")?;
        let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(with_sums(dir.path(), "x=@SHA256:a@,@SHA256:a@ y")?, format!("x={sum},{sum} y"));
        assert_eq!(with_sums(dir.path(), "plain")?, "plain");
        assert!(with_sums(dir.path(), "@SHA256:b@").is_err());
        assert!(with_sums(dir.path(), "@SHA256:a").is_err());
        Ok(())
    }
}
