// SPDX-License-Identifier: GPL-2.0-or-later
//! The part of `vm bench` with a network: nodes whose root comes from a server, beside the same boot with dracut's
//! own overlay, one and several at once.

mod boot;
mod page;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, ensure};

use boot::{alone, round};
use page::{Alone, Together};

use crate::case::{Case, RootKind};
use crate::cell::{Cell, Initrd, Suite, Variant};
use crate::engine::Engine;
use crate::host::{self, Host, say};
use crate::images::ImageSet;
use crate::net::{self, Lan};
use crate::plan::{Need, Sets};
use crate::qemu;

const CELL: Cell = Cell { suite: Suite::Trixie, initrd: Initrd::Systemd };
/// What the benches boot from.
pub(super) const NEEDS: [Need; 4] = [
    (CELL, Variant::Net, RootKind::Export, Engine::Qemu),
    (CELL, Variant::Net, RootKind::Squashfs, Engine::Qemu),
    (CELL, Variant::Stocknet, RootKind::Export, Engine::Qemu),
    (CELL, Variant::Stocknet, RootKind::Squashfs, Engine::Qemu),
];

/// One: all of it takes a quarter of an hour, bytes and RAM are the same each time, and the seconds are the emulation's.
const RUNS: usize = 1;
/// Nodes at once; that of one is among the single ones.
const AT_ONCE: [usize; 1] = [2];
const MOST: usize = 2;

/// A way to have the root from a server.
struct Way {
    name: &'static str,
    root: &'static str,
    /// What the server is told.
    serve: &'static str,
    /// `root.squashfs` is given out.
    image: bool,
}

const WAYS: [Way; 3] = [
    Way {
        name: "NFS 4.2",
        root: "root=nfs:192.168.99.1:/export/root:ro,vers=4.2 ip=dhcp",
        serve: "start_nfs",
        image: false,
    },
    Way {
        name: "HTTP squashfs",
        root: "root=live:http://192.168.99.1/root.squashfs ip=dhcp rd.neednet=1",
        serve: "start_http",
        image: true,
    },
    Way { name: "NBD", root: "root=nbd:192.168.99.1:root:ext4:ro ip=dhcp", serve: "start_nbd", image: false },
];

/// Who makes the overlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Ours,
    /// dracut's own module, on a root without this project.
    Stock,
    /// Nobody: the same root, read-only.
    Without,
}

impl Side {
    fn variant(self) -> Variant {
        match self {
            Self::Ours => Variant::Net,
            Self::Stock | Self::Without => Variant::Stocknet,
        }
    }

    fn cmdline(self) -> &'static str {
        match self {
            Self::Ours => "rd.overlay",
            Self::Stock => "rd.live.overlay.overlayfs=1",
            Self::Without => "",
        }
    }

    /// That the root is what the table says.
    fn holds(self) -> &'static str {
        match self {
            Self::Ours => "overlay_root\nrunning",
            Self::Stock => "[ \"$(mount_of / | cut -d ' ' -f 1)\" = overlay ] && is_rw /",
            Self::Without => "ro_root",
        }
    }
}

/// What is the same in all boots.
struct Bench<'a> {
    host: &'a Host,
    sets: &'a Sets,
    dir: &'a Path,
}

/// The chapter of docs/internals/benchmarks.md.
///
/// # Errors
/// When something can't be made, or a node does not come up.
pub(super) fn chapter(host: &Host, sets: &Sets, dir: &Path) -> Result<String> {
    let bench = Bench { host, sets, dir };
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    for way in &WAYS {
        let (side, theirs) = bench.counterpart(way)?;
        let (ours, many) = bench.ours(way)?;
        alone.extend([(way.name, side, theirs), (way.name, Side::Ours, ours)]);
        together.push((way.name, many));
    }
    let set = bench.set(Side::Ours)?;
    let size =
        |path: &Path| -> Result<u64> { Ok(fs::metadata(path).with_context(|| path.display().to_string())?.len()) };
    let image = set.root_disks(RootKind::Squashfs).into_iter().next().context("no image")?;
    let sizes = page::Sizes {
        kernel: size(&set.kernel())?,
        initrd: size(&set.initrd((CELL.initrd, Variant::Net, Engine::Qemu)))?,
        squashfs: size(&image)?,
    };
    Ok(page::chapter(&alone, &together, sizes))
}

impl Bench<'_> {
    fn set(&self, side: Side) -> Result<&ImageSet> {
        self.sets.get(&(CELL.suite, side.variant().flavour())).context("no images")
    }

    /// The same boot with dracut's own overlay; without any where that one does not come up twice.
    fn counterpart(&self, way: &Way) -> Result<(Side, Alone)> {
        let mut why = String::new();
        for _ in 0..2 {
            match self.with(way, Side::Stock, |lan, case| alone(lan, case, &label(way, Side::Stock)))? {
                Ok(figures) => return Ok((Side::Stock, figures)),
                Err(failure) => why = failure,
            }
            say(&format!("     dracut's own overlay does not come up over {}: {why}", way.name));
        }
        // a squashfs by HTTP always has dracut's own overlay: there is no boot without
        ensure!(!way.image, "{}: {why}", way.name);
        say(&format!("     {}: measured without an overlay instead", way.name));
        let figures = self.with(way, Side::Without, |lan, case| alone(lan, case, &label(way, Side::Without)))?;
        Ok((Side::Without, figures.map_err(|failure| anyhow!("{}: {failure}", way.name))?))
    }

    fn ours(&self, way: &Way) -> Result<(Alone, Vec<Together>)> {
        let label = label(way, Side::Ours);
        let measured = self.with(way, Side::Ours, |lan, case| {
            let one = match alone(lan, case, &label)? {
                Ok(one) => one,
                Err(failure) => return Ok(Err(failure)),
            };
            let mut many = vec![Together { nodes: 1, ms: one.ms, bytes: one.bytes }];
            for nodes in AT_ONCE {
                let what = format!("{label}, {nodes} nodes at once");
                match host::step(&what, || round(lan, case, nodes))? {
                    Ok(round) => many.push(Together { nodes, ms: round.ms, bytes: round.bytes }),
                    Err(failure) => return Ok(Err(failure)),
                }
            }
            Ok(Ok((one, many)))
        })?;
        measured.map_err(|failure| anyhow!("{label}: {failure}"))
    }

    /// Starts a server for that way and root, and does the work with it. The inner error is a guest's.
    fn with<T>(
        &self,
        way: &Way,
        side: Side,
        work: impl FnOnce(&Lan<'_>, &Case) -> Result<Result<T, String>>,
    ) -> Result<Result<T, String>> {
        let case = case(way, side)?;
        let set = self.set(side)?;
        let dir = self.dir.join("net");
        fs::create_dir_all(&dir)?;
        let stage = net::Stage {
            host: self.host,
            case: &case,
            net: case.net.as_ref().context("no network")?,
            set,
            initrd: &set.initrd((CELL.initrd, case.variant, Engine::Qemu)),
            export: &set.root_disks(RootKind::Export).into_iter().next().context("no export")?,
            dir: &dir,
            engine: Engine::Qemu,
            // NFS 4 servers tell clients apart by their names
            arguments: format!("{} ro {} systemd.hostname=node@NODE@", way.root, qemu::blacklist(false)),
            measured: true,
        };
        let lan = host::step(&format!("server, {}", label(way, side)), || {
            let lan = Lan::start(&stage)?;
            lan.serve(&stage.net.server)?;
            Ok(lan)
        })?;
        let done = work(&lan, &case)?;
        if done.is_ok() {
            // what a failed boot left stays to be looked at
            drop(lan);
            fs::remove_dir_all(&dir)?;
        }
        Ok(done)
    }
}

fn label(way: &Way, side: Side) -> String {
    format!("{}, {}", way.name, page::name(side))
}

/// The boots are those of a case without a file.
fn case(way: &Way, side: Side) -> Result<Case> {
    let (variant, cmdline, holds) = (side.variant().to_string(), side.cmdline(), side.holds());
    let images = if way.image { "\"squashfs\"" } else { "" };
    let server = format!("{}\nstart_dhcp", way.serve);
    let text = format!(
        "summary = \"measured\"\nroot = \"export\"\nvariant = {variant:?}\ntimeout = 600\ncmdline = {cmdline:?}\n\
         holds = {holds:?}\n[net]\nnodes = {MOST}\nimages = [{images}]\nserver = {server:?}\n"
    );
    Case::parse("bench/net", &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_boot_is_a_case() {
        for way in &WAYS {
            for side in [Side::Ours, Side::Stock, Side::Without] {
                let case = case(way, side).unwrap();
                let net = case.net.as_ref().unwrap();
                assert_eq!((net.nodes, net.images.len(), case.variant), (MOST, usize::from(way.image), side.variant()));
                assert_eq!(net.server.lines().collect::<Vec<_>>(), [way.serve, "start_dhcp"]);
                assert_eq!(case.boots()[0].cmdline, side.cmdline());
                assert_eq!(case.boots()[0].holds, side.holds());
            }
        }
    }
}
