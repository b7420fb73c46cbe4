// SPDX-License-Identifier: GPL-2.0-or-later
//! The machine that serves.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use super::wire::Cable;
use crate::case::FsKind;
use crate::cpio;
use crate::engine::Engine;
use crate::fsimage::{self, Identity};
use crate::host::{self, Host};
use crate::machine;
use crate::processor::Processor;
use crate::qemu;
use crate::recipe::kernel_version;
use crate::roots::{self, Root};
use crate::uml;

const INIT: &str = include_str!("../../server/init.sh");
const SERVER: &str = include_str!("../../server/server.sh");
const UNIT: &str = include_str!("../../server/overlayroot-vm.service");
/// For a line, such as one that packs a root.
const PATIENCE: Duration = Duration::from_secs(600);
/// For one that only tells what is there.
const SHORT: Duration = Duration::from_secs(20);

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
        hash.update(host.uml().map_or("", |uml| uml.version.as_str()));
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

    /// As user-mode Linux, with its port at descriptor 0, without the last of its arguments.
    fn uml(&self, host: &Host, dir: &Path, disks: [&Path; 3], cable: &Cable, processor: &Processor) -> Result<Command> {
        let mut command = host.uml()?.command(host, dir, machine::MEMORY, Some(cable), processor);
        command.arg(format!("initrd={}", self.dir.join("initrd.img").display()));
        command.args(disks.iter().enumerate().map(|(index, disk)| uml::attach(dir, index, disk, false)));
        command.arg("ssl1=fd:0,fd:0");
        Ok(command)
    }

    /// The same by QEMU, without its arguments.
    fn qemu(&self, host: &Host, dir: &Path, disks: [&Path; 3], cable: &Cable) -> Command {
        let kernel = self.dir.join("vmlinuz");
        let mut command = qemu::qemu(host, dir, machine::MEMORY, host.accel(&kernel), Some(cable));
        command.arg("-kernel").arg(kernel).arg("-initrd").arg(self.dir.join("initrd.img"));
        command.arg("-serial").arg(format!("file:{}", dir.join("serial.log").display()));
        command.args(["-chardev", "socket,id=commands,fd=0"]);
        command.args(["-device", "virtserialport,chardev=commands,name=commands"]);
        for (index, disk) in disks.into_iter().enumerate() {
            let (unlocked, path) = (qemu::UNLOCKED, disk.display());
            let drive = format!("if=none,id=d{index},format=raw,cache=unsafe,snapshot=on,{unlocked},file={path}");
            command.args(["-drive", &drive, "-device", &format!("virtio-blk-pci,drive=d{index}")]);
        }
        qemu::plug_in(&mut command, cable, ",romfile=");
        command
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
    host::run(Command::new("chmod").arg("755").arg(&server))?;
    let units = tree.join("etc/systemd/system");
    fs::write(units.join("overlayroot-vm.service"), UNIT)?;
    symlink("../overlayroot-vm.service", units.join("multi-user.target.wants/overlayroot-vm.service"))?;
    // without an identity systemd takes it for a first boot, and enables every unit that is there
    fs::write(tree.join("etc/machine-id"), "0123456789abcdef0123456789abcdef\n")?;
    let version = kernel_version(&tree)?;
    fs::copy(tree.join(format!("boot/vmlinuz-{version}")), dir.join("vmlinuz"))?;
    let mut versions = vec![version];
    if let Ok(uml) = host.uml() {
        uml.install_modules(&tree)?;
        versions.push(uml.version.clone());
    }
    let boot = dir.join("boot");
    fs::create_dir(&boot)?;
    for path in LOADERS {
        let name = Path::new(path).file_name().context("no name")?;
        fs::copy(tree.join(path), boot.join(name)).with_context(|| path.to_owned())?;
    }
    fs::write(dir.join("initrd.img"), initrd(&tree, &versions)?)?;
    let id = Identity { label: Some("server"), uuid: None };
    fsimage::make(host, &dir.join("root.img"), 1 << 30, FsKind::Ext4, id, &tree)?;
    Ok(fs::remove_dir_all(tree)?)
}

/// busybox, and each kernel's modules for a disk and an overlay.
fn initrd(tree: &Path, versions: &[String]) -> Result<Vec<u8>> {
    let mut files = BTreeMap::from([
        ("/init.sh".to_owned(), INIT.as_bytes().to_vec()),
        // switch_root takes a root for an initramfs by this file
        ("/init".to_owned(), Vec::new()),
        (
            "/bin/busybox".to_owned(),
            fs::read(tree.join("usr/bin/busybox")).or_else(|_| fs::read(tree.join("bin/busybox")))?,
        ),
    ]);
    for version in versions {
        modules(tree, version, &mut files)?;
    }
    Ok(cpio::pack(&files))
}

fn modules(tree: &Path, version: &str, files: &mut BTreeMap<String, Vec<u8>>) -> Result<()> {
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
    Ok(())
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
    /// Held for as long as it runs.
    _processor: Processor,
    port: Mutex<(UnixStream, BufReader<UnixStream>)>,
}

impl Server {
    /// Starts it with the export's disk and that of the files: by user-mode Linux, whatever the nodes run by, where
    /// this machine has it.
    ///
    /// # Errors
    /// When the engine can't be started, or the server does not answer.
    pub fn start(host: &Host, image: &Image, dir: &Path, init: Init, disks: [&Path; 2], cable: &Cable) -> Result<Self> {
        fs::create_dir_all(dir)?;
        // with the kernel's names for its cards, which udev would change meanwhile
        let systemd = if init == Init::Systemd { "vm.server=systemd net.ifnames=0 " } else { "" };
        let arguments = format!("{systemd}rdinit=/bin/busybox -- sh /init.sh");
        let log = File::create(dir.join("engine.log"))?;
        let disks = [&image.dir.join("root.img"), disks[0], disks[1]];
        let processor = Processor::take();
        let mut command = match host.engine(Engine::Uml)? {
            Engine::Uml => {
                let mut command = image.uml(host, dir, disks, cable, &processor)?;
                command.args(arguments.split_ascii_whitespace());
                // its console is what it prints
                command.stdout(File::create(dir.join("serial.log"))?);
                command
            }
            Engine::Qemu => {
                let mut command = image.qemu(host, dir, disks, cable);
                let faster = qemu::blacklist(false);
                command.arg("-append").arg(format!("{} {faster} {arguments}", qemu::ALWAYS));
                command.stdout(log.try_clone()?);
                command
            }
        };
        let (port, theirs) = UnixStream::pair()?;
        port.set_read_timeout(Some(PATIENCE))?;
        let child = command.stdin(Stdio::from(OwnedFd::from(theirs))).stderr(log).spawn().context("the server")?;
        // its end of the port is held by nobody else: when it ends, so does the port
        drop(command);
        let port = Mutex::new((port.try_clone()?, BufReader::new(port)));
        let server = Self { child, dir: dir.to_path_buf(), _processor: processor, port };
        server.answer("its start")?;
        Ok(server)
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

    /// Puts what its services say of a boot that failed beside its other logs.
    pub(crate) fn keep_services(&self) {
        let port = self.port.lock().map(|port| port.0.set_read_timeout(Some(SHORT)));
        let lines = "tail -n 60 /tmp/dnsmasq.log /tmp/nginx.log; ip -s link; ip neigh; true";
        // one that answers no more was what failed
        let said =
            port.map_or_else(|_| String::new(), |_| self.run(lines).unwrap_or_else(|error| format!("{error:#}\n")));
        let _ = fs::write(self.dir.join("services.log"), said);
        let _ = self.port.lock().map(|port| port.0.set_read_timeout(Some(PATIENCE)));
    }

    fn answer(&self, line: &str) -> Result<String> {
        let mut port = self.port.lock().map_err(|_| anyhow::anyhow!("the server's port is lost"))?;
        let mut said = String::new();
        loop {
            let mut text = String::new();
            let logs = || ["serial.log", "engine.log"].map(|log| machine::read(&self.dir.join(log))).concat();
            let console = || host::tail(&logs(), 15);
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
