// SPDX-License-Identifier: GPL-2.0-or-later
//! Loop devices: attach and detach (loop(4); docs/internals/dependencies.md says why not loopdev).
#![allow(unsafe_code, reason = "ioctls on descriptors that live through the call, structures as the kernel has them")]
#![allow(clippy::unnecessary_cast, reason = "the type of a code differs between machines")]

use crate::sys::{files, program};
use anyhow::{Context, Result, bail};
use linux_raw_sys::loop_device as sys;
use overlayroot_core::value::order::sorted;
use rustix::io::Errno;
use rustix::ioctl::{Getter, IntegerSetter, Ioctl, IoctlOutput, NoArg, Opcode, Setter, ioctl};
use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

mod call {
    use super::{File, Getter, IntegerSetter, Ioctl, IoctlOutput, NoArg, Opcode, Setter, ioctl, sys};
    use rustix::io::Result;
    use std::ffi::c_void;

    /// LOOP_CTL_GET_FREE: its answer is what the call gives back.
    struct GetFree;

    // SAFETY: it takes no argument, and writes nothing.
    unsafe impl Ioctl for GetFree {
        type Output = IoctlOutput;
        const IS_MUTATING: bool = false;

        fn opcode(&self) -> Opcode {
            sys::LOOP_CTL_GET_FREE as Opcode
        }

        fn as_ptr(&mut self) -> *mut c_void {
            std::ptr::null_mut()
        }

        unsafe fn output_from_ptr(out: IoctlOutput, _: *mut c_void) -> Result<IoctlOutput> {
            Ok(out)
        }
    }

    pub fn get_free(control: &File) -> Result<IoctlOutput> {
        // SAFETY: no argument.
        unsafe { ioctl(control, GetFree) }
    }

    pub fn clear_fd(device: &File) -> Result<()> {
        // SAFETY: no argument.
        unsafe { ioctl(device, NoArg::<{ sys::LOOP_CLR_FD as Opcode }>::new()) }
    }

    pub fn set_capacity(device: &File) -> Result<()> {
        // SAFETY: no argument.
        unsafe { ioctl(device, NoArg::<{ sys::LOOP_SET_CAPACITY as Opcode }>::new()) }
    }

    pub fn integer<const CODE: Opcode>(file: &File, number: usize) -> Result<()> {
        // SAFETY: an integer.
        unsafe { ioctl(file, IntegerSetter::<CODE>::new_usize(number)) }
    }

    pub fn configure(device: &File, config: sys::loop_config) -> Result<()> {
        // SAFETY: a structure as the kernel reads it.
        unsafe { ioctl(device, Setter::<{ sys::LOOP_CONFIGURE as Opcode }, _>::new(config)) }
    }

    pub fn set_status(device: &File, info: sys::loop_info64) -> Result<()> {
        // SAFETY: a structure as the kernel reads it.
        unsafe { ioctl(device, Setter::<{ sys::LOOP_SET_STATUS64 as Opcode }, _>::new(info)) }
    }

    pub fn get_status(device: &File) -> Result<sys::loop_info64> {
        // SAFETY: a structure as the kernel fills it.
        unsafe { ioctl(device, Getter::<{ sys::LOOP_GET_STATUS64 as Opcode }, _>::new()) }
    }
}

/// Another process may take the free device first.
const TRIES: u32 = 64;

/// Which calls to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    /// LOOP_CONFIGURE (Linux 5.8), and the older ones where the kernel does not know it.
    Newest,
    /// Those of Linux 4.18: the device is there for a moment before its flags are.
    Old,
}

/// Makes a loop device of a file, with direct I/O where its file system has it, and gives back the node.
///
/// # Errors
/// Where the kernel has no loop driver, no device is free, or the file can't be opened.
pub fn attach(file: &str, read_only: bool, discard: bool, calls: Calls) -> Result<String> {
    let backing = files::open_own(file, !read_only).with_context(|| format!("opening {file}"))?;
    let control = control()?;
    for left in (0..TRIES).rev() {
        let number = call::get_free(&control).context("asking for a free loop device")?;
        let node = format!("/dev/loop{number}");
        let Ok(device) = OpenOptions::new().read(true).write(!read_only).open(&node) else {
            // devtmpfs makes the node a moment later.
            std::thread::sleep(Duration::from_millis(10));
            continue;
        };
        match bind(&device, &backing, file, read_only, calls) {
            Err(Errno::BUSY | Errno::AGAIN) => std::thread::sleep(Duration::from_millis(5)),
            Err(error) => bail!("attaching {file} to {node}: {error}"),
            Ok(()) if discard && left > 0 && takes_none(&node) => {
                drop(device);
                detach(&node)?;
            }
            Ok(()) => {
                settle(&device, &node, discard);
                return Ok(node);
            }
        }
    }
    bail!("{TRIES} free loop devices were taken by others, one after the other")
}

fn control() -> Result<File> {
    const NODE: &str = "/dev/loop-control";
    if !Path::new(NODE).exists() {
        // Its failure shows in the next line.
        let _ = program::run("modprobe", &["-q", "loop"], program::NOWHERE);
    }
    File::open(NODE).context("opening /dev/loop-control: is the loop module in this initramfs?")
}

fn bind(device: &File, backing: &File, name: &str, read_only: bool, calls: Calls) -> rustix::io::Result<()> {
    let fd = backing.as_raw_fd();
    // SAFETY: plain integers and arrays of them; zero is a value of each.
    let mut config: sys::loop_config = unsafe { std::mem::zeroed() };
    config.fd = u32::try_from(fd).map_err(|_| Errno::BADF)?;
    config.info.lo_flags = if read_only { sys::LO_FLAGS_READ_ONLY as u32 } else { 0 };
    let room = config.info.lo_file_name.len() - 1;
    for (to, from) in config.info.lo_file_name.iter_mut().take(room).zip(name.bytes()) {
        *to = from;
    }
    if calls == Calls::Newest {
        match call::configure(device, config) {
            Err(Errno::INVAL | Errno::NOTTY) => {}
            result => return result,
        }
    }
    call::integer::<{ sys::LOOP_SET_FD as Opcode }>(device, usize::try_from(fd).map_err(|_| Errno::BADF)?)?;
    call::set_status(device, config.info).inspect_err(|_| {
        let _ = call::clear_fd(device);
    })
}

/// What is good to have, and missing on some kernels and file systems.
fn settle(device: &File, node: &str, discard: bool) {
    // Without direct I/O every page is cached twice.
    if let Err(error) = call::integer::<{ sys::LOOP_SET_DIRECT_IO as Opcode }>(device, 1) {
        crate::log::debug!("{node} has no direct I/O: {error}");
    }
    if !discard {
        if let Err(error) = files::tell_kernel(&queue(node, "discard_max_bytes"), "0") {
            crate::log::warning!("{node} takes discards, which punch holes into its file: {error}");
        }
    }
}

fn queue(node: &str, limit: &str) -> String {
    format!("/sys/block/{}/queue/{limit}", node.trim_start_matches("/dev/"))
}

/// Whether discards were cut off by whoever had the device before: it could have them from its file.
fn takes_none(node: &str) -> bool {
    let is_zero = |limit| files::ask_kernel(queue(node, limit)).map(|bytes| bytes.trim() == "0");
    is_zero("discard_max_bytes").unwrap_or(false) && !is_zero("discard_max_hw_bytes").unwrap_or(true)
}

/// Gives a loop device back. While others have it open, as udev has for a moment, the kernel does so at its
/// last close, and the file's own file system can't be made read-only before: that is waited for, two seconds.
pub fn detach(node: &str) -> Result<()> {
    let device = File::open(node).with_context(|| format!("opening {node}"))?;
    match call::clear_fd(&device) {
        Ok(()) | Err(Errno::NXIO) => {}
        Err(error) => bail!("detaching {node}: {error}"),
    }
    drop(device);
    let file = format!("/sys/block/{}/loop/backing_file", node.trim_start_matches("/dev/"));
    for _ in 0..100 {
        if !Path::new(&file).exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    renew(node);
    Ok(())
}

/// A device that took no discards would never take any again (seen with Linux 6.18: its granularity is lost),
/// so that whoever has it next gets a new one. The kernel keeps one that is in use.
fn renew(node: &str) {
    let number = node.strip_prefix("/dev/loop").and_then(|number| number.parse().ok());
    if let (Some(number), Ok(control)) = (number, control()) {
        if call::integer::<{ sys::LOOP_CTL_REMOVE as Opcode }>(&control, number).is_ok() {
            let _ = call::integer::<{ sys::LOOP_CTL_ADD as Opcode }>(&control, number);
        }
    }
}

/// The nodes of the loop devices made of this file. Its device and inode tell, for the name that the
/// kernel shows may be that of another mount.
pub fn of_file(file: &str) -> Result<Vec<String>> {
    let wanted = fs::metadata(file).with_context(|| format!("looking at {file}"))?;
    let mut nodes = Vec::new();
    for entry in fs::read_dir("/sys/block").context("listing the block devices")?.flatten() {
        // There is such a file for a device in use only.
        if entry.path().join("loop/backing_file").exists() {
            let node = format!("/dev/{}", entry.file_name().to_string_lossy());
            // It may have been given back since.
            let status = status(&node);
            // The kernel counts devices here as stat(2) does (huge_encode_dev).
            if status.is_ok_and(|info| info.lo_device == wanted.dev() && info.lo_inode == wanted.ino()) {
                nodes.push(node);
            }
        }
    }
    Ok(sorted(nodes))
}

fn status(node: &str) -> Result<sys::loop_info64> {
    Ok(call::get_status(&File::open(node)?)?)
}

/// Gives a mounted loop device back as soon as it is unmounted: nothing else does at a shutdown, and the file
/// system under the file could not be unmounted. (kernel: drivers/block/loop.c, LOOP_CLR_FD of an open device)
pub fn give_back_after_use(node: &str) -> Result<()> {
    let device = File::open(node).with_context(|| format!("opening {node}"))?;
    call::clear_fd(&device).with_context(|| format!("letting {node} go with its mount"))
}

/// Lets a loop device follow its file, which has grown.
pub fn follow(node: &str) -> Result<()> {
    let device = File::open(node).with_context(|| format!("opening {node}"))?;
    call::set_capacity(&device).with_context(|| format!("telling {node} that its file has grown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_named() {
        let error = attach("/no/such/file", false, false, Calls::Newest).unwrap_err();
        assert!(format!("{error:#}").contains("/no/such/file"));
    }
}
