// SPDX-License-Identifier: GPL-2.0-or-later
//! What a module adds to the packed initramfs: for the page, and as a limit that `vm content` holds.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::case::RootKind;
use crate::cell::{Cell, Initrd, Suite, Variant};
use crate::engine::Engine;
use crate::host;
use crate::plan::{Need, Sets};

/// What the module may add to an image of Debian 13 at most, in KB of 1000 bytes.
pub(crate) const ADDED_AT_MOST: u64 = 362;
/// What it added at 1f1728d to the image with systemd.
const BEFORE: u64 = 300;

/// Those that are weighed.
pub(crate) const CELLS: [Cell; 2] =
    [Cell { suite: Suite::Trixie, initrd: Initrd::Systemd }, Cell { suite: Suite::Trixie, initrd: Initrd::Shell }];
const VARIANTS: [Variant; 3] = [Variant::Bare, Variant::Stockonly, Variant::Plain];

pub(super) fn needs() -> Vec<Need> {
    let of = |cell: Cell| VARIANTS.map(|variant| (cell, variant, RootKind::Ext4, Engine::Qemu));
    CELLS.into_iter().flat_map(of).collect()
}

/// The chapter of docs/internals/benchmarks.md, and whether the limit holds.
///
/// # Errors
/// When an image can't be weighed.
pub(super) fn chapter(sets: &Sets) -> Result<(String, bool)> {
    let (mut rows, mut held) = (String::new(), true);
    for cell in CELLS {
        let [bare, stock, ours] = host::step(&format!("the images of {cell} packed"), || all(sets, cell))?;
        let added = |with: u64| kb(with.saturating_sub(bare));
        held &= added(ours) <= ADDED_AT_MOST;
        rows.push_str(&row(cell, kb(bare), added(stock), added(ours)));
    }
    Ok((text(&rows), held))
}

/// KB that this project's module adds to the image of a cell; fails above the limit.
///
/// # Errors
/// The limit is exceeded, or an image can't be weighed.
pub(crate) fn check(sets: &Sets, cell: Cell) -> Result<u64> {
    let [bare, ours] = side_by_side([Variant::Bare, Variant::Plain].map(|variant| move || size(sets, cell, variant)))?;
    let added = kb(ours.saturating_sub(bare));
    ensure!(added <= ADDED_AT_MOST, "it adds {added} KB, of at most {ADDED_AT_MOST} (tests/vm/src/bench/size.rs)");
    Ok(added)
}

fn all(sets: &Sets, cell: Cell) -> Result<[u64; 3]> {
    side_by_side(VARIANTS.map(|variant| move || size(sets, cell, variant)))
}

/// Each packs with one thread.
fn side_by_side<const N: usize>(work: [impl FnOnce() -> Result<u64> + Send; N]) -> Result<[u64; N]> {
    let sizes: Result<Vec<_>> = thread::scope(|scope| {
        let threads: Vec<_> = work.into_iter().map(|one| scope.spawn(one)).collect();
        threads.into_iter().map(|one| one.join().map_err(|_| anyhow!("a thread panicked"))?).collect()
    });
    sizes?.try_into().map_err(|_| anyhow!("not {N} sizes"))
}

/// Bytes of the image.
fn size(sets: &Sets, cell: Cell, variant: Variant) -> Result<u64> {
    let set = sets.get(&(cell.suite, variant.flavour())).context("no images")?;
    weigh(&set.initrd((cell.initrd, variant, Engine::Qemu)))
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

/// Rounded up: a limit is no range.
fn kb(bytes: u64) -> u64 {
    bytes.div_ceil(1000)
}

fn row(cell: Cell, bare: u64, stock: u64, ours: u64) -> String {
    let before = match cell.initrd {
        Initrd::Systemd => format!("{BEFORE} KB"),
        Initrd::Shell => String::new(),
    };
    format!("| {cell} | {bare} KB | {stock} KB | {ours} KB | {before} |\n")
}

fn text(rows: &str) -> String {
    format!(
        "\n## Bytes added to the compressed initramfs\n\n\
         Packed by `zstd -15`, dracut's default level, with one thread: with several its sizes vary. The image without\n\
         either module, with Debian 13's own kernel, and what each module adds, overlay.ko and e2fsck included where the image did\n\
         not have them. KB are 1000 bytes. `make check` fails where the module adds more than {ADDED_AT_MOST} KB.\n\n\
         | | without | dracut's own module adds | ours adds | 1f1728d |\n|---|---|---|---|---|\n{rows}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kilobytes_are_rounded_up_and_shown() {
        assert_eq!([0, 1, 1000, 264_001].map(kb), [0, 1, 1, 265]);
        let rows = CELLS.map(|cell| row(cell, 18_636, 0, 265)).concat();
        let text = text(&rows);
        assert!(text.contains("| trixie/systemd | 18636 KB | 0 KB | 265 KB | 300 KB |\n"), "{text}");
        assert!(text.contains("| trixie/shell | 18636 KB | 0 KB | 265 KB |  |\n"), "{text}");
        assert!(text.contains(&format!("more than {ADDED_AT_MOST} KB")), "{text}");
    }

    #[test]
    fn sizes_keep_their_order() {
        let sizes = side_by_side([300, 10, 200].map(|us| {
            move || {
                thread::sleep(std::time::Duration::from_micros(us));
                Ok(us)
            }
        }));
        assert_eq!(sizes.unwrap(), [300, 10, 200]);
    }
}
