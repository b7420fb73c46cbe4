// SPDX-License-Identifier: GPL-2.0-or-later
//! A disk that remembers each write in the order in which the kernel sent it: a loop device over a file of a FUSE
//! server in this process, which speaks as much of the protocol as that takes (kernel: include/uapi/linux/fuse.h).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use crate::{Disk, run};
use nix::mount::{MsFlags, mount, umount};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

const AT: &str = "/run-tape";
const FILE: u64 = 2;
const MOST: usize = 128 << 10;

/// What happened, in order.
#[derive(Clone, Debug)]
pub enum Event {
    /// Bytes at a place.
    Write(u64, Vec<u8>),
    /// All of before is on the disk.
    Flush,
}

struct Held {
    bytes: Vec<u8>,
    events: Vec<Event>,
}

/// The disk.
pub struct Tape {
    held: Arc<Mutex<Held>>,
    server: Option<JoinHandle<()>>,
}

impl Tape {
    /// A disk of zeroes, and its loop device.
    pub fn new(mib: usize) -> (Self, Disk) {
        let held = Arc::new(Mutex::new(Held { bytes: vec![0; mib << 20], events: Vec::new() }));
        let device = File::options().read(true).write(true).open("/dev/fuse").expect("/dev/fuse");
        fs::create_dir_all(AT).unwrap();
        let data = format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd());
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(Some("tape"), AT, Some("fuse"), flags, Some(data.as_str())).expect("a FUSE mount");
        let theirs = held.clone();
        let server = std::thread::spawn(move || serve(device, &theirs));
        let image = PathBuf::from(AT).join("disk");
        let node = run("losetup", &["--find", "--show", image.to_str().unwrap()]).trim().to_owned();
        (Self { held, server: Some(server) }, Disk { node, image })
    }

    /// What is on it now; what comes later is remembered from here on.
    pub fn rewind(&self) -> Vec<u8> {
        run("sync", &[]);
        let mut held = self.held.lock().unwrap();
        held.events.clear();
        held.bytes.clone()
    }

    /// What was written since, without waiting for what was not.
    pub fn events(&self) -> Vec<Event> {
        self.held.lock().unwrap().events.clone()
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        let _ = umount(AT);
        // The last reference to the mount may be a loop device that is not detached yet.
        drop(self.server.take().filter(JoinHandle::is_finished));
    }
}

fn serve(mut device: File, held: &Mutex<Held>) {
    let mut request = vec![0; MOST + (1 << 16)];
    while let Ok(length) = device.read(&mut request) {
        let (head, body) = request[..length].split_at(40);
        let opcode = u32::from_le_bytes(head[4..8].try_into().unwrap());
        let node = u64::from_le_bytes(head[16..24].try_into().unwrap());
        // FORGET, INTERRUPT, BATCH_FORGET want no answer
        if matches!(opcode, 2 | 36 | 42) {
            continue;
        }
        let (error, answer) = match answer(opcode, node, body, &mut held.lock().unwrap()) {
            Ok(answer) => (0, answer),
            Err(error) => (-(error as i32), Vec::new()),
        };
        let length = u32::try_from(16 + answer.len()).unwrap();
        let message = [&length.to_le_bytes()[..], &error.to_le_bytes(), &head[8..16], &answer].concat();
        // ENOENT: whoever asked has gone
        let _ = device.write_all(&message);
    }
}

fn answer(opcode: u32, node: u64, body: &[u8], held: &mut Held) -> Result<Vec<u8>, nix::errno::Errno> {
    let number = |at: usize| u64::from_le_bytes(body[at..at + 8].try_into().unwrap());
    let place = || usize::try_from(number(8)).unwrap();
    let length = || u32::from_le_bytes(body[16..20].try_into().unwrap()) as usize;
    let nothing = Ok(Vec::new());
    match opcode {
        // LOOKUP
        1 if body == b"disk\0" => Ok([&entry()[..], &attributes(FILE, held)].concat()),
        // GETATTR, SETATTR
        3 | 4 => Ok([&[0; 16][..], &attributes(node, held)].concat()),
        // OPEN, OPENDIR
        14 | 27 => Ok(vec![0; 16]),
        // READ
        15 => {
            let end = (place() + length()).min(held.bytes.len());
            Ok(held.bytes.get(place()..end).unwrap_or_default().to_vec())
        }
        // WRITE
        16 => {
            let data = &body[40..40 + length()];
            held.bytes[place()..place() + data.len()].copy_from_slice(data);
            held.events.push(Event::Write(number(8), data.to_vec()));
            Ok([&body[16..20], &[0; 4]].concat())
        }
        // FSYNC
        20 => {
            held.events.push(Event::Flush);
            nothing
        }
        // RELEASE, FLUSH, RELEASEDIR, DESTROY
        18 | 25 | 29 | 38 => nothing,
        // INIT: version 7.31, big writes
        26 => {
            let words = [7, 31, 0, 1 << 5, 0, MOST as u32, 1].map(u32::to_le_bytes);
            let mut all = words.concat();
            all.resize(64, 0);
            Ok(all)
        }
        1 => Err(nix::errno::Errno::ENOENT),
        _ => Err(nix::errno::Errno::ENOSYS),
    }
}

/// `struct fuse_entry_out` as far as the attributes.
fn entry() -> Vec<u8> {
    let mut entry = vec![0; 40];
    entry[..8].copy_from_slice(&FILE.to_le_bytes());
    entry
}

/// `struct fuse_attr`.
fn attributes(node: u64, held: &Held) -> Vec<u8> {
    let size = if node == FILE { held.bytes.len() as u64 } else { 0 };
    let mode: u32 = if node == FILE { 0o100_600 } else { 0o040_700 };
    let longs = [node, size, size / 512, 0, 0, 0].map(u64::to_le_bytes).concat();
    let words = [0, 0, 0, mode, 1, 0, 0, 0, 4096, 0].map(u32::to_le_bytes).concat();
    [longs, words].concat()
}
