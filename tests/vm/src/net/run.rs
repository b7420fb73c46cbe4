// SPDX-License-Identifier: GPL-2.0-or-later
//! Runs a case with a network: the server, then every boot on all nodes at once.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use super::server::{Image, Init, Server, cable};
use super::{Net, Way, console, files, guide};
use crate::case::{Case, PlannedBoot};
use crate::disk::CaseDisk;
use crate::host::Host;
use crate::images::ImageSet;
use crate::machine::{Attach, Boot, Machine, Nic, Outcome};

/// What a case is run with.
pub(crate) struct Stage<'a> {
    pub host: &'a Host,
    pub case: &'a Case,
    pub net: &'a Net,
    pub set: &'a ImageSet,
    pub initrd: &'a Path,
    pub export: &'a Path,
    pub dir: &'a Path,
    /// Arguments before those of a boot.
    pub arguments: String,
}

/// Runs it; `judge` is told each node's outcome.
pub(crate) fn run(stage: &Stage<'_>, judge: &mut dyn FnMut(Outcome, &PlannedBoot) -> Result<()>) -> Result<()> {
    let image = Image::open(stage.host)?;
    let boots = stage.case.boots();
    let first = boots.first().context("no boot")?;
    let always = crate::machine::ALWAYS;
    let served = format!("{always} {} {}", stage.arguments, first.cmdline);
    let blocks =
        stage.net.guide.as_ref().map(|way| guide::write(&stage.host.repo, way, &stage.dir.join("files/guide")));
    let blocks = blocks.transpose()?;
    let disk = files::disk(stage.host, stage.net, stage.set, stage.initrd, &served, &image, stage.dir)?;
    let dir = stage.dir.join("server");
    let init = if blocks.is_some() { Init::Systemd } else { Init::Script };
    let server = Server::start(stage.host, &image, &dir, init, [stage.export, &disk], stage.net.nodes)?;
    if let Some(blocks) = blocks {
        guide::follow(&server, &blocks, &format!("{always} {}", crate::machine::blacklist(stage.case.btrfs)))?;
    }
    let before = server.run("sum")?;
    for line in stage.net.server.lines().filter(|line| !line.trim().is_empty()) {
        server.run(line)?;
    }
    let mut nodes = Vec::new();
    for number in 1..=stage.net.nodes {
        nodes.push(Node::new(stage, number)?);
    }
    for (index, planned) in boots.iter().enumerate() {
        let what = format!("boot {} of {}", index + 1, boots.len());
        for outcome in boot(stage, &server, &nodes, planned).with_context(|| what.clone())? {
            let shutdown = outcome.shutdown;
            judge(outcome, planned).with_context(|| what.clone())?;
            let most = Duration::from_secs(stage.net.shutdown);
            ensure!(shutdown <= most, "{what}: the shutdown took {} s", shutdown.as_secs());
        }
        for node in &nodes {
            node.disks.iter().try_for_each(|disk| disk.check(&node.dir)).with_context(|| what.clone())?;
        }
    }
    for line in stage.net.after.lines().filter(|line| !line.trim().is_empty()) {
        server.run(line)?;
    }
    let after = server.run("mountpoint -q /export/root || mount -o ro /dev/vdb /export/root; sum")?;
    ensure!(before == after, "the export changed:\n{before}{after}");
    Ok(())
}

/// All nodes at once, and what happens to the server meanwhile.
fn boot(stage: &Stage<'_>, server: &Server, nodes: &[Node], planned: &PlannedBoot) -> Result<Vec<Outcome>> {
    let over = AtomicBool::new(false);
    let log = nodes.first().context("no node")?.dir.join("serial.log");
    thread::scope(|scope| {
        let events = scope.spawn(|| console::follow(&stage.net.event, &log, server, &over));
        let running: Vec<_> = nodes
            .iter()
            .map(|node| scope.spawn(move || Machine::new(stage.host, &node.dir)?.boot(&node.boot(stage, planned)?)))
            .collect();
        let ended: Vec<_> = running.into_iter().map(|node| node.join()).collect();
        over.store(true, Ordering::Relaxed);
        let happened = events.join().map_err(|_| anyhow!("the events panicked"))?;
        let outcomes: Result<Vec<_>> =
            ended.into_iter().map(|node| node.map_err(|_| anyhow!("a node panicked"))?).collect();
        let outcomes = outcomes?;
        // a node that failed says more than an event that did not come
        if outcomes.iter().all(|outcome| outcome.failure.is_none()) {
            happened?;
        }
        Ok(outcomes)
    })
}

/// A machine that boots from the server.
struct Node {
    number: usize,
    dir: PathBuf,
    disks: Vec<CaseDisk>,
}

impl Node {
    fn new(stage: &Stage<'_>, number: usize) -> Result<Self> {
        let dir = stage.dir.join(format!("node{number}"));
        std::fs::create_dir_all(&dir)?;
        let disks = stage.case.disk.iter().map(|spec| CaseDisk::make(stage.host, &dir, spec)).collect::<Result<_>>()?;
        Ok(Self { number, dir, disks })
    }

    fn boot(&self, stage: &Stage<'_>, planned: &PlannedBoot) -> Result<Boot> {
        let mine = |text: &str| files::with_sums(stage.dir, &text.replace("@NODE@", &self.number.to_string()));
        let disks = self.disks.iter().map(|disk| Attach {
            path: disk.img.clone(),
            serial: disk.spec.name.clone(),
            writable: true,
            late: None,
            slow: false,
        });
        Ok(Boot {
            kernel: stage.set.kernel(),
            initrd: stage.initrd.to_path_buf(),
            cmdline: mine(&format!("{} {}", stage.arguments, planned.cmdline))?,
            disks: disks.collect(),
            holds: mine(&planned.holds)?,
            stage: planned.stage,
            timeout: Duration::from_secs(stage.case.timeout),
            nic: Some(Nic {
                socket: cable(&stage.dir.join("server"), self.number),
                mac: format!("52:54:00:99:01:{:02x}", self.number),
                serial: format!("SN{:04}", self.number),
                uuid: format!("00000000-0000-4000-8000-{:012}", self.number),
                boots: stage.net.way != Way::Direct,
                uefi: stage.net.way == Way::Uefi,
            }),
        })
    }
}
