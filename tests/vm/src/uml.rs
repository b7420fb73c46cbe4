// SPDX-License-Identifier: GPL-2.0-or-later
//! User-mode Linux: Debian unstable's package, unpacked with the library it needs, and run from there. Boots without
//! emulation, in a fifth of its time.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use crate::cpio;
use crate::engine::{self, HOLDS};
use crate::host::{self, Host};
use crate::machine::{Boot, read};
use crate::net::{self, Cable};
use crate::processor::Processor;
use crate::roots;

/// The newest suite: the programs of Debian 12 and 13 die on newer processors, which have more vector state than they
/// have room for.
const SUITE: &str = "sid";
/// With busybox for the trial boot.
const PACKAGES: &str = "user-mode-linux,busybox-static";
/// Where a symbolic link would be in a whole system, and without debugging symbols a fifth of the size.
const FINISH: &str = r#"
cd "$DIR"
for name in lib lib64; do [ -e "$name" ] || ln -s "usr/$name" "$name"; done
find usr/lib/uml/modules -name '*.ko' -exec strip -g {} +
"#;
/// For the trial boot; on an idle machine it takes one second.
const PATIENCE: Duration = Duration::from_secs(40);

/// A user-mode Linux that has booted on this machine.
#[derive(Clone, Debug)]
pub struct Uml {
    root: PathBuf,
    /// The version of its kernel.
    pub version: String,
    /// `on` by seccomp, quicker with many processes; `off` by ptrace.
    seccomp: &'static str,
}

impl Uml {
    /// Unpacks it, and boots it once.
    ///
    /// # Errors
    /// Where it can't be had, or does not run here.
    pub fn find(host: &Host) -> Result<Self> {
        let root = root(host)?;
        let modules = root.join("usr/lib/uml/modules");
        let first = fs::read_dir(&modules)?.next().context("no modules in the package")??;
        let version = first.file_name().to_string_lossy().into_owned();
        let mut why = Vec::new();
        for seccomp in ["on", "off"] {
            let uml = Self { root: root.clone(), version: version.clone(), seccomp };
            match uml.trial(host) {
                Ok(()) => return Ok(uml),
                Err(error) => why.push(format!("seccomp={seccomp}: {error:#}")),
            }
        }
        bail!("{}", why.join("; "))
    }

    /// Puts its modules into a root, beside those of the root's own kernel.
    ///
    /// # Errors
    /// Those of cp(1) and depmod(8).
    pub fn install_modules(&self, root: &Path) -> Result<()> {
        let modules = self.root.join("usr/lib/uml/modules").join(&self.version);
        host::run(Command::new("cp").arg("-r").arg(modules).arg(root.join("usr/lib/modules").join(&self.version)))?;
        host::run(Command::new("depmod").arg("-b").arg(root).arg(&self.version)).map(drop)
    }

    /// Whether a guest can say a word and end.
    fn trial(&self, host: &Host) -> Result<()> {
        let dir = host.work.join(format!("run-{}", std::process::id())).join("trial");
        fs::create_dir_all(&dir)?;
        let tried = self.try_in(host, &dir);
        fs::remove_dir_all(&dir)?;
        tried
    }

    fn try_in(&self, host: &Host, dir: &Path) -> Result<()> {
        const INIT: &str =
            "/bin/busybox mount -t devtmpfs dev /dev\necho works >/dev/ttyS1\n/bin/busybox poweroff -f\n";
        let busybox = ["usr/bin/busybox", "bin/busybox"].iter().find_map(|path| fs::read(self.root.join(path)).ok());
        let files = BTreeMap::from([
            ("/init.sh".to_owned(), INIT.as_bytes().to_vec()),
            ("/bin/busybox".to_owned(), busybox.context("no busybox")?),
            ("/dev/.keep".to_owned(), Vec::new()),
        ]);
        fs::write(dir.join("initrd.img"), cpio::pack(&files))?;
        let processor = Processor::take();
        let mut command = self.command(host, dir, 128, None, &processor);
        command.arg(format!("initrd={}", dir.join("initrd.img").display()));
        command.args(["rdinit=/bin/busybox", "--", "sh", "/init.sh"]);
        command.stdin(Stdio::null()).stdout(fs::File::create(dir.join("serial.log"))?);
        let mut child = command.stderr(fs::File::create(dir.join("uml.log"))?).spawn()?;
        let start = Instant::now();
        while child.try_wait()?.is_none() {
            if start.elapsed() > PATIENCE {
                child.kill()?;
                child.wait()?;
                break;
            }
            sleep(Duration::from_millis(50));
        }
        let said = read(&dir.join("channel"));
        let last = host::tail(&(read(&dir.join("serial.log")) + &read(&dir.join("uml.log"))), 2);
        ensure!(said.contains("works"), "its trial boot ended with: {}", last.replace('\n', " / "));
        Ok(())
    }

    /// Its command, with RAM in MiB and its network, without what it boots from. /dev/ttyS1 of the guest is `channel`
    /// in `dir`, and /dev/ttyS2 is `files`. It stays on that processor.
    pub(crate) fn command(
        &self,
        host: &Host,
        dir: &Path,
        memory: u32,
        cable: Option<&Cable>,
        processor: &Processor,
    ) -> Command {
        let mut command = net::inside(cable);
        processor.keep(&mut command);
        command.args(["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation=private", "--"]);
        command.arg(host.vm_dir().join("host/uml.sh")).arg(&self.root).arg(&host.work).arg(&host.images).arg(dir);
        command.arg("/usr/bin/linux.uml").arg(format!("seccomp={}", self.seccomp)).arg(format!("mem={memory}M"));
        command.args(["con0=null,fd:1", "con=null", "ssl=null", "ssl1=null,fd:3", "ssl2=null,fd:4"]);
        // 512 terminals of a kind that nobody uses any more: udev looks at each, twice, for half of a boot's time
        command.args(["console=tty0", "pty.legacy_count=0", "panic=-1", "noreboot", "umid=vm"]);
        command.arg(format!("uml_dir={}", dir.display()));
        if let Some(cable) = cable {
            // gro: a tap gives it segments as large as the sender's card was told, which it would cut off
            command.arg(format!("vec0:transport=tap,ifname={},depth=64,gro=1,mac={}", cable.tap, cable.mac));
        }
        // logind starts over and over where the kernel has no graphics at all
        command.args(["loglevel=6", "audit=0", "systemd.mask=systemd-logind.service"]);
        command
    }

    /// A boot's whole command.
    pub(crate) fn boot(&self, host: &Host, dir: &Path, boot: &Boot, processor: &Processor) -> Command {
        let cable = boot.nic.as_ref().map(|nic| &nic.cable);
        let mut command = self.command(host, dir, boot.memory, cable, processor);
        command.arg(format!("initrd={}", boot.initrd.display()));
        for (index, disk) in boot.disks.iter().enumerate().filter(|(_, disk)| disk.late.is_none()) {
            command.arg(attach(dir, index, &disk.path, disk.writable));
        }
        // only to be read
        command.arg(format!("ubd{HOLDS}r={}", dir.join("holds.img").display()));
        let arguments = engine::names(engine::Engine::Uml, &boot.cmdline, &boot.disks);
        command.args(arguments.split_ascii_whitespace());
        command
    }
}

/// A disk; what is written to one that is not writable goes into a file beside it.
pub(crate) fn attach(dir: &Path, index: usize, path: &Path, writable: bool) -> String {
    if writable {
        return format!("ubd{index}={}", path.display());
    }
    format!("ubd{index}={},{}", dir.join(written(index)).display(), path.display())
}

/// What a guest wrote to a disk that is not writable: of use to no other boot.
pub(crate) fn written(index: usize) -> String {
    format!("ubd{index}.cow")
}

/// The control socket of the guest whose files are in `dir`.
pub(crate) fn control(dir: &Path) -> PathBuf {
    dir.join("vm/mconsole")
}

/// The unpacked package, of its newest version when it was fetched; kept until this recipe changes.
fn root(host: &Host) -> Result<PathBuf> {
    let mut hash = Sha256::new_with_prefix(PACKAGES);
    hash.update(FINISH);
    let name = format!("uml-{}", roots::short(hash));
    let archive = host.cache.join(format!("{name}.tar.zst"));
    let dir = host.work.join(&name);
    let _lock = host::lock(&host.cache.join("uml.lock"))?;
    if !archive.exists() {
        host::step("user-mode Linux (mmdebstrap)", || fetch(host, &archive))?;
    }
    if !dir.exists() {
        let temporary = dir.with_extension("tmp");
        if temporary.exists() {
            fs::remove_dir_all(&temporary)?;
        }
        roots::unpack(&archive, &temporary)?;
        fs::rename(temporary, &dir)?;
    }
    Ok(dir)
}

fn fetch(host: &Host, archive: &Path) -> Result<()> {
    let dir = host.work.join(format!("root-uml-{}", std::process::id()));
    let made = roots::extract(host, SUITE, PACKAGES, &dir)
        .and_then(|()| host::shell(FINISH, &[("DIR", &dir)]))
        .and_then(|()| roots::pack(&dir, archive));
    fs::remove_dir_all(&dir).with_context(|| dir.display().to_string())?;
    made
}
