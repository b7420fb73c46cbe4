// SPDX-License-Identifier: GPL-2.0-or-later
//! The machine that serves.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use crate::case::FsKind;
use crate::cpio;
use crate::fsimage::{self, Identity};
use crate::host::{self, Host};
use crate::machine;
use crate::recipe::kernel_version;
use crate::roots::{self, Root};

const INIT: &str = include_str!("../../server/init.sh");
const SERVER: &str = include_str!("../../server/server.sh");
const UNIT: &str = include_str!("../../server/overlayroot-vm.service");
/// For a line, such as one that packs a root.
const PATIENCE: Duration = Duration::from_secs(600);

/// What the server boots from.
#[derive(Debug)]
pub struct Image {
    dir: PathBuf,
}

impl Image {
    /// Makes it if it is not there.
    ///
    /// # Errors
    /// When the root or its disk can't be made.
    pub fn open(host: &Host) -> Result<Self> {
        let mut hash = Sha256::new_with_prefix(roots::key(Root::Server));
        for text in [INIT, SERVER, UNIT, include_str!("server.rs")] {
            hash.update(text);
        }
        let dir = host.images.join(format!("server-{}", roots::short(hash)));
        let _lock = host::lock(&host.work.join("server.lock"))?;
        if !dir.exists() {
            let archive = roots::archive(host, Root::Server)?;
            let temporary = dir.with_extension("tmp");
            if temporary.exists() {
                fs::remove_dir_all(&temporary)?;
            }
            host::step("the server's disk", || make(host, &archive, &temporary))?;
            fs::rename(temporary, &dir)?;
        }
        Ok(Self { dir })
    }

    /// A file of the server's root.
    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.dir.join("boot").join(path)
    }
}

/// Boot loaders, which go to the nodes.
const LOADERS: [&str; 6] = [
    "usr/lib/PXELINUX/pxelinux.0",
    "usr/lib/syslinux/modules/bios/ldlinux.c32",
    "usr/lib/syslinux/modules/bios/libcom32.c32",
    "usr/lib/syslinux/modules/bios/libutil.c32",
    "usr/lib/shim/shimx64.efi.signed",
    "usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed",
];

fn make(host: &Host, archive: &Path, dir: &Path) -> Result<()> {
    let tree = dir.join("tree");
    roots::unpack(archive, &tree)?;
    let server = tree.join("usr/lib/overlayroot-vm/server.sh");
    fs::create_dir_all(server.parent().context("no parent")?)?;
    fs::write(&server, SERVER)?;
    host::run(std::process::Command::new("chmod").arg("755").arg(&server))?;
    let units = tree.join("etc/systemd/system");
    fs::write(units.join("overlayroot-vm.service"), UNIT)?;
    symlink("../overlayroot-vm.service", units.join("multi-user.target.wants/overlayroot-vm.service"))?;
    // without an identity systemd takes it for a first boot, and enables every unit that is there
    fs::write(tree.join("etc/machine-id"), "0123456789abcdef0123456789abcdef\n")?;
    let version = kernel_version(&tree)?;
    fs::copy(tree.join(format!("boot/vmlinuz-{version}")), dir.join("vmlinuz"))?;
    let boot = dir.join("boot");
    fs::create_dir(&boot)?;
    for path in LOADERS {
        let name = Path::new(path).file_name().context("no name")?;
        fs::copy(tree.join(path), boot.join(name)).with_context(|| path.to_owned())?;
    }
    fs::write(dir.join("initrd.img"), initrd(&tree, &version)?)?;
    let id = Identity { label: Some("server"), uuid: None };
    fsimage::make(host, &dir.join("root.img"), 1 << 30, FsKind::Ext4, id, &tree)?;
    Ok(fs::remove_dir_all(tree)?)
}

/// busybox, and the modules for a disk and an overlay.
fn initrd(tree: &Path, version: &str) -> Result<Vec<u8>> {
    let mut files = BTreeMap::from([
        ("/init.sh".to_owned(), INIT.as_bytes().to_vec()),
        // switch_root takes a root for an initramfs by this file
        ("/init".to_owned(), Vec::new()),
        (
            "/bin/busybox".to_owned(),
            fs::read(tree.join("usr/bin/busybox")).or_else(|_| fs::read(tree.join("bin/busybox")))?,
        ),
    ]);
    let modules = format!("lib/modules/{version}");
    let from = tree.join("usr").join(&modules);
    let dep = fs::read_to_string(from.join("modules.dep")).context("modules.dep")?;
    let wanted = ["virtio_pci", "virtio_blk", "overlay"];
    for line in dep.lines() {
        let Some((module, needs)) = line.split_once(':') else { continue };
        if wanted.iter().any(|name| module.ends_with(&format!("/{name}.ko"))) {
            for path in needs.split_whitespace().chain([module]) {
                files.insert(format!("/{modules}/{path}"), fs::read(from.join(path))?);
            }
        }
    }
    for name in ["modules.dep", "modules.alias", "modules.builtin"] {
        files.insert(format!("/{modules}/{name}"), fs::read(from.join(name))?);
    }
    Ok(cpio::pack(&files))
}

/// What runs the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// server.sh alone: up within seconds.
    Script,
    /// Its systemd: a machine like any other.
    Systemd,
}

/// A server that runs; it ends with this value.
#[derive(Debug)]
pub struct Server {
    child: Child,
    dir: PathBuf,
    port: Mutex<(UnixStream, BufReader<UnixStream>)>,
}

impl Server {
    /// Starts it with the export's disk and that of the files, and a socket in `dir` for each node.
    ///
    /// # Errors
    /// When QEMU can't be started, or the server does not answer.
    pub fn start(host: &Host, image: &Image, dir: &Path, init: Init, disks: [&Path; 2], nodes: usize) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let log = File::create(dir.join("qemu.log"))?;
        let mut command = machine::qemu(host, dir, machine::MEMORY, host.accel(&image.dir.join("vmlinuz")));
        command.arg("-kernel").arg(image.dir.join("vmlinuz")).arg("-initrd").arg(image.dir.join("initrd.img"));
        // with the kernel's names for its cards, which udev would change meanwhile
        let init = if init == Init::Systemd { "vm.server=systemd net.ifnames=0" } else { "" };
        let faster = format!("{} {init}", machine::blacklist(false));
        command.arg("-append").arg(format!("{} {faster} rdinit=/bin/busybox -- sh /init.sh", machine::ALWAYS));
        command.arg("-serial").arg(format!("file:{}", dir.join("serial.log").display()));
        let port = dir.join("commands");
        command.arg("-chardev").arg(format!("socket,id=commands,path={},server=on,wait=off", port.display()));
        command.args(["-device", "virtserialport,chardev=commands,name=commands"]);
        let root = image.dir.join("root.img");
        for (index, disk) in [&[root.as_path()], &disks[..]].concat().into_iter().enumerate() {
            let drive = format!("if=none,id=d{index},format=raw,cache=unsafe,snapshot=on,file={}", disk.display());
            command.args(["-drive", &drive, "-device", &format!("virtio-blk-pci,drive=d{index}")]);
        }
        for node in 1..=nodes {
            let path = cable(dir, node);
            let netdev = format!("stream,id=n{node},server=on,addr.type=unix,addr.path={}", path.display());
            let nic = format!("virtio-net-pci,netdev=n{node},mac=52:54:00:99:00:{node:02x},romfile=");
            command.args(["-netdev", &netdev, "-device", &nic]);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut child = command.spawn().context("QEMU of the server")?;
        match connect(&mut child, &port) {
            Ok(stream) => {
                let port = Mutex::new((stream.try_clone()?, BufReader::new(stream)));
                let server = Self { child, dir: dir.to_path_buf(), port };
                server.answer("its start")?;
                Ok(server)
            }
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error.context(host::tail(&machine::read(&dir.join("qemu.log")), 10)))
            }
        }
    }

    /// Runs a line of shell on it, and gives back what it printed.
    ///
    /// # Errors
    /// When it fails there.
    pub fn run(&self, line: &str) -> Result<String> {
        {
            let mut port = self.port.lock().map_err(|_| anyhow::anyhow!("the server's port is lost"))?;
            writeln!(port.0, "{line}")?;
        }
        self.answer(line)
    }

    fn answer(&self, line: &str) -> Result<String> {
        let mut port = self.port.lock().map_err(|_| anyhow::anyhow!("the server's port is lost"))?;
        let mut said = String::new();
        loop {
            let mut text = String::new();
            let console = || host::tail(&machine::read(&self.dir.join("serial.log")), 15);
            let read = port.1.read_line(&mut text);
            let bytes = read.with_context(|| format!("the server does not answer to: {line}\n{}", console()))?;
            ensure!(bytes > 0, "the server ended at: {line}\n{}", console());
            match text.trim_end().split_once(' ') {
                Some(("|", words)) => said.push_str(&format!("{words}\n")),
                Some(("DONE", "0")) => return Ok(said),
                Some(("DONE", status)) => bail!("on the server: {line} ended with {status}\n{said}"),
                _ => {}
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The socket that is a node's cable.
pub fn cable(dir: &Path, node: usize) -> PathBuf {
    dir.join(format!("cable{node}"))
}

/// The port's socket is there a moment after QEMU began.
fn connect(child: &mut Child, port: &Path) -> Result<UnixStream> {
    let start = Instant::now();
    loop {
        if let Ok(stream) = UnixStream::connect(port) {
            stream.set_read_timeout(Some(PATIENCE))?;
            return Ok(stream);
        }
        if let Some(status) = child.try_wait()? {
            bail!("QEMU of the server: {status}");
        }
        ensure!(start.elapsed() < PATIENCE, "QEMU of the server opens no port");
        std::thread::sleep(Duration::from_millis(50));
    }
}
