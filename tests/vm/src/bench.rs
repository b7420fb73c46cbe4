// SPDX-License-Identifier: GPL-2.0-or-later
//! `vm bench`: this project beside dracut's own overlayfs module, same dracut, same root, same
//! emulated machine: time and processes from "root mounted" to "overlay assembled", and bytes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::case::RootKind;
use crate::cell::{Cell, Initrd, Suite, Variant};
use crate::cpio;
use crate::engine::Engine;
use crate::host::{self, Host, say};
use crate::machine::{Attach, Boot, Machine, read};
use crate::plan::{self, Need, Sets};
use crate::{bench_diff, bench_disk, bench_net, bench_page};

const SUITE: Suite = Suite::Trixie;
const RUNS: usize = 3;
const UNIT: &str = "[Unit]\nDefaultDependencies=no\nBefore=sysroot.mount initrd-root-fs.target\n\
    [Service]\nExecStart=/usr/bin/vm-watch\n";

/// What one boot showed.
#[derive(Clone, Copy, Debug)]
struct Sample {
    micros: u64,
    processes: u64,
}

/// The parts that can be measured alone; all of it where none is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub struct Parts {
    /// Only what needs a disk: reset, writes, making a loop file
    #[arg(long)]
    disk: bool,
    /// Only roots from the network
    #[arg(long)]
    net: bool,
    /// Only `overlayctl diff` beside find, without a guest
    #[arg(long)]
    diff: bool,
}

/// Measures, prints and writes docs/internals/benchmarks.md, or those chapters of it that were asked for.
///
/// # Errors
/// When something can't be made or a boot shows no overlay.
pub fn run(host: &Host, parts: Parts) -> Result<bool> {
    let dir = host.work.join(format!("run-{}", std::process::id()));
    let mut held = true;
    let all = Parts { disk: false, net: false, diff: false };
    if parts == all {
        let (diff, fast) = bench_diff::chapter(host, &dir)?;
        let text = whole(host, &dir)? + &diff;
        say(&text);
        bench_page::write(host, &text)?;
        held = fast;
    } else if parts == (Parts { diff: true, ..all }) {
        let (text, fast) = bench_diff::chapter(host, &dir)?;
        say(&text);
        bench_page::update(host, &text)?;
        held = fast;
    } else {
        ensure!(!parts.diff, "--diff goes alone");
        let mut needs: Vec<Need> = Vec::new();
        needs.extend(parts.disk.then_some(bench_disk::NEED));
        needs.extend(bench_net::NEEDS.into_iter().filter(|_| parts.net));
        let sets = plan::prepare(host, &needs)?;
        for (wanted, measure) in [(parts.disk, bench_disk::chapters as Measure), (parts.net, bench_net::chapter)] {
            if wanted {
                let text = measure(host, &sets, &dir)?;
                say(&text);
                bench_page::update(host, &text)?;
            }
        }
    }
    // of use to nobody any more
    let _ = fs::remove_dir_all(&dir);
    Ok(held)
}

type Measure = fn(&Host, &Sets, &Path) -> Result<String>;

/// The page.
fn whole(host: &Host, dir: &Path) -> Result<String> {
    let cells = Initrd::ALL.map(|initrd| Cell { suite: SUITE, initrd });
    let variants = [Variant::Plain, Variant::Stockonly, Variant::Bare];
    let needs = cells.iter().flat_map(|&cell| variants.map(|v| (cell, v, RootKind::Ext4, Engine::Qemu)));
    let needs: Vec<_> = needs.chain([bench_disk::NEED]).chain(bench_net::NEEDS).collect();
    let sets = plan::prepare(host, &needs)?;
    let mut rows = String::new();
    for cell in cells {
        // dracut 106's own module over a disk root leaves a shell initrd without an init: "Cannot find init!"
        let stock = match cell.initrd {
            Initrd::Systemd => {
                Some(samples(host, &sets, cell, Variant::Stockonly, "rd.live.overlay.overlayfs=1", dir)?)
            }
            Initrd::Shell => None,
        };
        let ours = samples(host, &sets, cell, Variant::Plain, "rd.overlay", dir)?;
        rows.push_str(&compare(cell, stock, ours));
    }
    let mut sizes = String::new();
    for cell in cells {
        sizes.push_str(&size_row(&sets, cell)?);
    }
    let on_disk = bench_disk::chapters(host, &sets, dir)?;
    Ok(page(&rows, &sizes)? + &on_disk + &bench_net::chapter(host, &sets, dir)?)
}

/// The median boot of a few, by time.
fn samples(host: &Host, sets: &Sets, cell: Cell, variant: Variant, cmdline: &str, dir: &Path) -> Result<Sample> {
    let mut all = Vec::new();
    for run in 1..=RUNS {
        let what = format!("{cell} {variant}, boot {run} of {RUNS}");
        all.push(host::step(&what, || sample(host, sets, cell, variant, cmdline, dir))?);
    }
    all.sort_by_key(|sample| sample.micros);
    all.get(RUNS / 2).copied().context("no boots")
}

fn sample(host: &Host, sets: &Sets, cell: Cell, variant: Variant, cmdline: &str, dir: &Path) -> Result<Sample> {
    let set = sets.get(&(cell.suite, variant.flavour())).context("no images")?;
    let machine = Machine::new(host, dir)?;
    let initrd = dir.join("initrd.img");
    fs::write(
        &initrd,
        cpio::join(&fs::read(set.initrd((cell.initrd, variant, Engine::Qemu)))?, &cpio::pack(&watcher(cell)?)),
    )?;
    let root = set.root_disks(RootKind::Ext4).into_iter().next().context("no root")?;
    let boot = Boot {
        engine: Engine::Qemu,
        kernel: set.kernel(),
        initrd,
        cmdline: format!("root=LABEL=root ro {cmdline}"),
        disks: vec![Attach { path: root, serial: "root".to_owned(), writable: false, late: None, slow: false }],
        holds: "overlay_root\n+ cat /run/vm-watch\n".to_owned(),
        ..Boot::default()
    };
    let outcome = machine.boot(&boot)?;
    ensure!(outcome.failure.is_none(), "{:?}\n{}\n{}", outcome.failure, outcome.failed, outcome.console);
    between(&read(&dir.join("channel")))
}

/// The watcher and what starts it, in a systemd initrd or a shell one.
fn watcher(cell: Cell) -> Result<BTreeMap<String, Vec<u8>>> {
    let program = std::env::current_exe()?.with_file_name("vm-watch");
    let program = fs::read(&program).context("vm-watch is not built: cargo build -p overlayroot-vm --bins")?;
    let mut files = BTreeMap::from([("/usr/bin/vm-watch".to_owned(), program)]);
    match cell.initrd {
        Initrd::Systemd => {
            files.insert("/etc/systemd/system/vm-watch.service".to_owned(), UNIT.into());
            let wants = "[Unit]\nWants=vm-watch.service\n";
            files.insert("/etc/systemd/system/sysinit.target.d/vm-watch.conf".to_owned(), wants.into());
        }
        Initrd::Shell => {
            let hook = "/usr/bin/vm-watch &\n";
            files.insert("/var/lib/dracut/hooks/cmdline/01-vm-watch.sh".to_owned(), hook.into());
        }
    }
    Ok(files)
}

fn between(channel: &str) -> Result<Sample> {
    let find = |word: &str| -> Result<(u64, u64)> {
        let line = channel.lines().find_map(|line| line.strip_prefix("SHOW ")?.trim().strip_prefix(word));
        let mut numbers = line.with_context(|| format!("the watcher saw no {word}"))?.split_whitespace();
        Ok((numbers.next().context("no time")?.parse()?, numbers.next().context("no count")?.parse()?))
    };
    let (root, overlay) = (find("root ")?, find("overlay ")?);
    Ok(Sample { micros: overlay.0 - root.0, processes: overlay.1 - root.1 })
}

fn compare(cell: Cell, stock: Option<Sample>, ours: Sample) -> String {
    let ms = |sample: Sample| sample.micros / 1000;
    let Some(stock) = stock else {
        return format!("| {cell} | does not boot | {} ms | | | {} |\n", ms(ours), ours.processes);
    };
    let ratio = ours.micros * 100 / stock.micros.max(1);
    let (theirs, mine) = (ms(stock), ms(ours));
    format!("| {cell} | {theirs} ms | {mine} ms | {ratio} % | {} | {} |\n", stock.processes, ours.processes)
}

fn size_row(sets: &Sets, cell: Cell) -> Result<String> {
    let size = |variant: Variant| -> Result<u64> {
        let set = sets.get(&(cell.suite, variant.flavour())).context("no images")?;
        weigh(&set.initrd((cell.initrd, variant, Engine::Qemu)))
    };
    let bare = size(Variant::Bare)?;
    let added = |variant| -> Result<u64> { Ok(size(variant)?.saturating_sub(bare) / 1000) };
    let (stock, ours) = (added(Variant::Stockonly)?, added(Variant::Plain)?);
    Ok(format!("| {cell} | {} KB | {stock} KB | {ours} KB |\n", bare / 1000))
}

/// Bytes of an image packed by one thread at dracut's level. With several, zstd's own size of one and the
/// same archive differs by 200 KB.
fn weigh(image: &Path) -> Result<u64> {
    let mut unpack = Command::new("zstd").args(["-dcq"]).arg(image).stdout(Stdio::piped()).spawn()?;
    let archive = unpack.stdout.take().context("no archive")?;
    let packed = Command::new("zstd").args(["-q", "-T1", "-15", "-c"]).stdin(archive).output()?;
    ensure!(unpack.wait()?.success() && packed.status.success(), "{} can't be weighed", image.display());
    Ok(u64::try_from(packed.stdout.len())?)
}

fn page(rows: &str, sizes: &str) -> Result<String> {
    let date = host::shell_text("date -u +%Y-%m-%d")?;
    Ok(format!(
        "<!-- SPDX-License-Identifier: GPL-2.0-or-later -->\n# Benchmarks\n\n\
         Written by `make bench` on {date}. Debian 13 (dracut 106, systemd 257, kernel 6.12) in QEMU with software\n\
         emulation and one CPU: times are several times those of a real machine, their ratio is what counts.\n\
         Stock is dracut's own `overlayfs` module of the same dracut with `rd.live.overlay.overlayfs=1`; ours is\n\
         `rd.overlay`. Same root, same machine, one boot at a time, median of {RUNS}.\n\n\
         ## From the root mounted to the overlay assembled\n\n\
         A watcher in the initramfs sleeps in poll(2) on mountinfo and notes when /sysroot is first mounted and\n\
         when an overlay is on it, and the kernel's count of started processes at both. With a systemd initrd the\n\
         stock module acts after fstab was parsed and the mount hooks ran; ours acts as soon as the root is there.\n\
         With a shell initrd dracut 106's own module ends in \"Cannot find init!\" over a disk root.\n\n\
         | | stock | ours | ours/stock | processes, stock | processes, ours |\n|---|---|---|---|---|---|\n{rows}\n\
         ## Bytes added to the compressed initramfs\n\n\
         Packed by `zstd -15`, dracut's default level, with one thread: with several its sizes vary. The image\n\
         without either module, and what each adds, overlay.ko and e2fsck included where the image did not have them.\n\n\
         | | without | stock adds | ours adds |\n|---|---|---|---|\n{sizes}"
    ))
}
