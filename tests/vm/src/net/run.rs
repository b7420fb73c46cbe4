// SPDX-License-Identifier: GPL-2.0-or-later
//! Runs a case with a network: the server, then every boot on all nodes at once.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use super::server::{Image, Init, Server};
use super::wire::{Cable, Wire};
use super::{Net, Way, console, files, guide};
use crate::case::{Case, PlannedBoot};
use crate::disk::CaseDisk;
use crate::engine::Engine;
use crate::host::Host;
use crate::images::ImageSet;
use crate::machine::{Attach, Boot, Machine, Nic, Outcome, read};

/// What a case is run with.
pub(crate) struct Stage<'a> {
    pub host: &'a Host,
    pub case: &'a Case,
    pub net: &'a Net,
    pub set: &'a ImageSet,
    pub initrd: &'a Path,
    pub export: &'a Path,
    pub dir: &'a Path,
    /// What runs the nodes.
    pub engine: Engine,
    /// Arguments before those of a boot.
    pub arguments: String,
    /// Its boots are measured, and end at the verdict.
    pub measured: bool,
}

/// Runs it; `judge` is told each node's outcome.
pub(crate) fn run(stage: &Stage<'_>, judge: &mut dyn FnMut(Outcome, &PlannedBoot) -> Result<()>) -> Result<()> {
    let lan = Lan::start(stage)?;
    let mut boots = stage.case.boots();
    for line in boots.iter_mut().flat_map(|boot| &mut boot.console) {
        *line = files::with_sums(stage.dir, line)?;
    }
    let before = lan.server.run("sum")?;
    lan.serve(&stage.net.server)?;
    let log = lan.nodes.first().context("no node")?.dir.join("serial.log");
    for (index, planned) in boots.iter().enumerate() {
        let what = format!("boot {} of {}", index + 1, boots.len());
        let events = |over: &AtomicBool| console::follow(&stage.net.event, &log, &lan.server, over);
        let (outcomes, happened) = lan.boot(planned, stage.net.nodes, events).with_context(|| what.clone())?;
        // a node that failed says more than an event that did not come
        if outcomes.iter().all(|outcome| outcome.failure.is_none()) {
            happened.with_context(|| what.clone())?;
        }
        if outcomes.iter().any(|outcome| outcome.failure.is_some()) {
            lan.server.keep_services();
        }
        for outcome in outcomes {
            let shutdown = outcome.shutdown;
            judge(outcome, planned).with_context(|| what.clone())?;
            let most = Duration::from_secs(stage.net.shutdown);
            ensure!(shutdown <= most, "{what}: the shutdown took {} s", shutdown.as_secs());
        }
        for node in &lan.nodes {
            node.disks.iter().try_for_each(|disk| disk.check(&node.dir)).with_context(|| what.clone())?;
        }
    }
    for node in &lan.nodes {
        node.disks.iter().try_for_each(|disk| disk.after(&node.dir))?;
    }
    lan.serve(&stage.net.after)?;
    let after = lan.server.run("mountpoint -q /export/root || mount -o ro /dev/vdb /export/root; sum")?;
    ensure!(before == after, "the export changed:\n{before}{after}");
    Ok(())
}

/// The server, and the machines on its cables.
pub(crate) struct Lan<'a> {
    stage: &'a Stage<'a>,
    server: Server,
    nodes: Vec<Node>,
    /// The last to go.
    _wire: Wire,
}

impl<'a> Lan<'a> {
    /// Starts the server; the nodes are off.
    pub(crate) fn start(stage: &'a Stage<'a>) -> Result<Self> {
        let image = Image::open(stage.host)?;
        let boots = stage.case.boots();
        let first = boots.first().context("no boot")?;
        let always = crate::qemu::ALWAYS;
        let served = format!("{always} {} {}", stage.arguments, first.cmdline);
        let guide = stage.net.guide.as_ref();
        let blocks =
            guide.map(|way| guide::write(&stage.host.repo, way, &stage.dir.join("files/guide"))).transpose()?;
        let disk = files::disk(stage.host, stage.net, stage.set, stage.initrd, &served, &image, stage.dir)?;
        let dir = stage.dir.join("server");
        let init = if blocks.is_some() { Init::Systemd } else { Init::Script };
        let wire = Wire::new(stage.net.nodes)?;
        let server = Server::start(stage.host, &image, &dir, init, [stage.export, &disk], &wire.server())?;
        if let Some(blocks) = blocks {
            guide::follow(&server, &blocks, &format!("{always} {}", crate::qemu::blacklist(stage.case.btrfs)))?;
        }
        let nodes = (1..=stage.net.nodes).map(|number| Node::new(stage, number, wire.node(number)));
        let nodes = nodes.collect::<Result<_>>()?;
        Ok(Self { stage, server, nodes, _wire: wire })
    }

    /// Has the server run lines of shell.
    pub(crate) fn serve(&self, lines: &str) -> Result<()> {
        lines.lines().filter(|line| !line.trim().is_empty()).try_for_each(|line| self.server.run(line).map(drop))
    }

    /// Bytes that went out of the server, from its start.
    pub(crate) fn sent(&self) -> Result<u64> {
        let said = self.server.run("sent")?;
        said.trim().parse().with_context(|| format!("the server sent {said:?}"))
    }

    /// What a node's agent wrote in its last boot.
    pub(crate) fn said(&self, node: usize) -> Result<String> {
        Ok(read(&self.nodes.get(node).context("no such node")?.dir.join("channel")))
    }

    /// Boots so many nodes at once; `meanwhile` is done until it ends, or is told that all nodes did.
    pub(crate) fn boot<T: Send>(
        &self,
        planned: &PlannedBoot,
        count: usize,
        meanwhile: impl FnOnce(&AtomicBool) -> Result<T> + Send,
    ) -> Result<(Vec<Outcome>, Result<T>)> {
        let (stage, over) = (self.stage, AtomicBool::new(false));
        let nodes = self.nodes.get(..count).context("fewer nodes than are to boot")?;
        for node in nodes {
            node.forget()?;
        }
        thread::scope(|scope| {
            let beside = scope.spawn(|| meanwhile(&over));
            let running: Vec<_> = nodes
                .iter()
                .map(|node| scope.spawn(move || Machine::new(stage.host, &node.dir)?.boot(&node.boot(stage, planned)?)))
                .collect();
            let ended: Vec<_> = running.into_iter().map(|node| node.join()).collect();
            over.store(true, Ordering::Relaxed);
            let happened = beside.join().map_err(|_| anyhow!("what is done beside the nodes panicked"))?;
            let outcomes: Result<Vec<_>> =
                ended.into_iter().map(|node| node.map_err(|_| anyhow!("a node panicked"))?).collect();
            Ok((outcomes?, happened))
        })
    }
}

/// A machine that boots from the server.
struct Node {
    number: usize,
    dir: PathBuf,
    disks: Vec<CaseDisk>,
    cable: Cable,
}

impl Node {
    fn new(stage: &Stage<'_>, number: usize, cable: Cable) -> Result<Self> {
        let dir = stage.dir.join(format!("node{number}"));
        fs::create_dir_all(&dir)?;
        let disks = stage.case.disk.iter().map(|spec| CaseDisk::make(stage.host, &dir, spec)).collect::<Result<_>>()?;
        Ok(Self { number, dir, disks, cable })
    }

    /// Removes the logs of the boot before, which are no sign of the one to come.
    fn forget(&self) -> Result<()> {
        for name in ["serial.log", "channel"] {
            match fs::remove_file(self.dir.join(name)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
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
            engine: stage.engine,
            kernel: stage.set.kernel(),
            initrd: stage.initrd.to_path_buf(),
            cmdline: mine(&format!("{} {}", stage.arguments, planned.cmdline))?,
            disks: disks.collect(),
            holds: mine(&planned.holds)?,
            stage: planned.stage,
            timeout: Duration::from_secs(stage.case.timeout),
            memory: stage.case.memory,
            measured: stage.measured,
            nic: Some(Nic {
                cable: self.cable.clone(),
                serial: format!("SN{:04}", self.number),
                uuid: format!("00000000-0000-4000-8000-{:012}", self.number),
                boots: stage.net.way != Way::Direct,
                uefi: stage.net.way == Way::Uefi,
            }),
            ..Boot::default()
        })
    }
}
