// SPDX-License-Identifier: GPL-2.0-or-later
//! Project quotas: quotactl(2), and the ioctls that put a file into a project. xfs's commands: the kernel takes
//! them for ext4 as well (fs/quota/quota.c), from before Linux 4.18 on.
#![allow(unsafe_code, reason = "ioctls and quotactl on descriptors, strings and structures that live through the call")]

use anyhow::{Context as _, Result, bail};
use nix::libc;
use rustix::ioctl::{Getter, Opcode, Setter, ioctl, opcode};
use std::ffi::CString;
use std::fs::File;
use std::io;

/// The project of an upper: "ovly" in ASCII, which nobody counts up to in /etc/projid.
pub const PROJECT: u32 = 0x6f76_6c79;

/// `struct fsxattr` (kernel: include/uapi/linux/fs.h).
#[repr(C)]
struct Attributes {
    flags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    cow_extent_size: u32,
    rest: [u8; 8],
}

/// FS_XFLAG_PROJINHERIT: what is made in the directory is in its project.
const INHERIT: u32 = 0x200;

/// `struct fs_disk_quota` (kernel: include/uapi/linux/dqblk_xfs.h); sizes in units of 512 bytes.
#[repr(C)]
#[derive(Default)]
struct Limits {
    version: i8,
    kind: i8,
    fields: u16,
    id: u32,
    hard: u64,
    soft: u64,
    inodes: [u64; 2],
    used: u64,
    rest: [u64; 8],
}

/// `struct fs_quota_statv` (same header).
#[repr(C)]
#[derive(Default)]
struct State {
    version: i8,
    pad: u8,
    flags: u16,
    in_core: u32,
    rest: [u64; 19],
}

const PROJECT_QUOTA: libc::c_int = 2;
const SWITCH_ON: libc::c_int = 0x5801;
const GET_LIMITS: libc::c_int = 0x5803;
const SET_LIMITS: libc::c_int = 0x5804;
const GET_STATE: libc::c_int = 0x5808;
/// FS_QUOTA_PDQ_ENFD: limits of projects are enforced.
const ENFORCED: u16 = 1 << 5;
/// FS_DQ_BSOFT and FS_DQ_BHARD.
const BOTH_LIMITS: u16 = (1 << 2) | (1 << 3);

const GET_ATTRIBUTES: Opcode = opcode::read::<Attributes>(b'X', 31);
const SET_ATTRIBUTES: Opcode = opcode::write::<Attributes>(b'X', 32);

mod call {
    use super::{PROJECT_QUOTA, io, libc};

    /// `data` is what the command takes.
    pub unsafe fn quotactl<T>(command: libc::c_int, device: &std::ffi::CStr, id: u32, data: *mut T) -> io::Result<()> {
        let command = (command << 8) | PROJECT_QUOTA;
        let id = libc::c_int::try_from(id).map_err(io::Error::other)?;
        // SAFETY: the name ends by NUL; the caller answers for `data`.
        let result = unsafe { libc::quotactl(command, device.as_ptr(), id, data.cast()) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

/// The project of an open file, and whether a directory hands it on.
///
/// # Errors
/// Where the file system has no projects.
pub fn project_of(file: &File) -> rustix::io::Result<(u32, bool)> {
    let attributes = attributes(file)?;
    Ok((attributes.project, attributes.flags & INHERIT != 0))
}

fn attributes(file: &File) -> rustix::io::Result<Attributes> {
    // SAFETY: an open descriptor, a structure as the kernel fills it.
    unsafe { ioctl(file, Getter::<GET_ATTRIBUTES, Attributes>::new()) }
}

/// Puts an open file into a project; a directory hands it on if `inherit`.
///
/// # Errors
/// Where the file system has no projects, or can't be written.
pub fn set_project(file: &File, project: u32, inherit: bool) -> rustix::io::Result<()> {
    let mut attributes = attributes(file)?;
    attributes.project = project;
    attributes.flags = if inherit { attributes.flags | INHERIT } else { attributes.flags & !INHERIT };
    // SAFETY: an open descriptor, a structure as the kernel reads it.
    unsafe { ioctl(file, Setter::<SET_ATTRIBUTES, _>::new(attributes)) }
}

/// Quotas of projects on a mounted block device.
pub(crate) struct Device {
    path: CString,
}

impl Device {
    /// That of the device node at a path.
    ///
    /// # Errors
    /// Where the path holds a NUL.
    pub(crate) fn at(path: &str) -> Result<Self> {
        Ok(Self { path: CString::new(path).context("a device whose name holds a NUL")? })
    }

    /// Makes sure that limits are enforced.
    pub(crate) fn switch_on(&self) -> Result<()> {
        if self.enforced() {
            return Ok(());
        }
        // A remount from writable to writable leaves ext4 counting only.
        let mut flags = u32::from(ENFORCED);
        // SAFETY: the command takes an unsigned int.
        let switched = unsafe { call::quotactl(SWITCH_ON, &self.path, 0, &raw mut flags) };
        if !self.enforced() {
            switched?;
            bail!("the kernel does not enforce them");
        }
        Ok(())
    }

    pub(crate) fn enforced(&self) -> bool {
        let mut state = State { version: 1, ..State::default() };
        // SAFETY: the command fills a structure of this layout.
        let asked = unsafe { call::quotactl(GET_STATE, &self.path, 0, &raw mut state) };
        asked.is_ok() && state.flags & ENFORCED != 0
    }

    /// Bytes that the project takes.
    pub(crate) fn used(&self) -> io::Result<u64> {
        let mut limits = Limits::default();
        // SAFETY: the command fills a structure of this layout.
        unsafe { call::quotactl(GET_LIMITS, &self.path, PROJECT, &raw mut limits) }?;
        Ok(limits.used.saturating_mul(512))
    }

    /// Limits the project to `bytes`; 0 is no limit.
    pub(crate) fn limit(&self, bytes: u64) -> io::Result<()> {
        let mut limits =
            Limits { version: 1, kind: 2, fields: BOTH_LIMITS, id: PROJECT, hard: bytes / 512, ..Limits::default() };
        // SAFETY: the command reads a structure of this layout.
        unsafe { call::quotactl(SET_LIMITS, &self.path, PROJECT, &raw mut limits) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    #[test]
    fn the_kernels_sizes() {
        assert_eq!((size_of::<Attributes>(), offset_of!(Attributes, project)), (28, 12));
        assert_eq!((size_of::<Limits>(), offset_of!(Limits, hard), offset_of!(Limits, used)), (112, 8, 40));
        assert_eq!((size_of::<State>(), offset_of!(State, flags)), (160, 2));
    }

    #[test]
    fn a_device_without_quotas_is_said() {
        let device = Device { path: c"/dev/null".to_owned() };
        assert!(!device.enforced() && device.used().is_err() && device.switch_on().is_err());
    }
}
