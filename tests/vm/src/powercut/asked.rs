// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether a guest runs what was asked for: by its mounts and its record.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::scenario::{Chain, PLACE, Place, Step};
use crate::engine::{self, Engine};

/// Judges what the guest's program said.
///
/// # Errors
/// What is not as asked.
pub(crate) fn check(chain: &Chain, engine: Engine, step: Step, said: &str) -> Result<()> {
    ensure!(!said.contains("TRASH failed"), "the trash can't be emptied");
    let refused = said.lines().find(|line| line.starts_with("COMMIT failed"));
    ensure!(refused.is_none(), "{refused:?}");
    let mounts: Vec<_> = said.lines().filter_map(|line| mount(line.strip_prefix("MOUNT ")?)).collect();
    let (root, overlay, super_options) = last(&mounts, "/")?;
    ensure!(overlay.starts_with("overlay LiveOS_rootfs"), "/ is {overlay}");
    ensure!(has(root, "rw") && has(super_options, "rw"), "/ is read-only: {root} {super_options}");
    ensure!(has(super_options, "upperdir=/run/overlayfs"), "no upper: {super_options}");
    let (lower, ..) = last(&mounts, "/run/rootfsbase")?;
    ensure!(has(lower, "ro"), "the lower is writable: {lower}");
    let text: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("RECORD ")).collect();
    record(chain, engine, step, &serde_json::from_str(&text.join("\n")).context("the record")?)?;
    let device = match chain.place {
        Place::Loop => Some("ext4 /dev/loop"),
        Place::Part => Some("ext4 /dev/vda2"),
        Place::Dir | Place::Subvol => None,
    };
    if let Some(device) = device {
        let (_, source, _) = last(&mounts, "/run/overlayfs-backing")?;
        ensure!(source.starts_with(&engine::names(engine, device, &[])), "the upper is on {source}");
        let size = said.lines().find_map(|line| line.strip_prefix("SIZE ")).context("no size")?;
        let (is, least) = (size.trim().parse::<u64>()?, chain.least_kibi(step));
        ensure!(is >= least, "the upper has {is} KiB, and should have {least}");
    }
    Ok(())
}

fn record(chain: &Chain, engine: Engine, step: Step, record: &Value) -> Result<()> {
    let (upper, at, place) = match chain.place {
        Place::Dir => ("dir", "/effective/path", PLACE.to_owned()),
        Place::Loop => ("loop", "/effective/path", format!("{PLACE}.img")),
        Place::Part => ("device", "/effective/device", engine::names(engine, "/dev/vda2", &[])),
        Place::Subvol => ("subvol", "/effective/path", PLACE.trim_start_matches('/').to_owned()),
    };
    let wanted = [
        ("/outcome", Value::from("applied")),
        ("/effective/root", Value::from("overlay")),
        ("/effective/upper", Value::from(upper)),
        (at, Value::from(place)),
        ("/effective/reset", Value::from(step.reset)),
        ("/reasons", Value::Array(Vec::new())),
    ];
    for (at, value) in wanted {
        ensure!(record.pointer(at) == Some(&value), "the record's {at} is not {value}: {record}");
    }
    Ok(())
}

/// A mount: where, its options, type and source, the file system's options.
type Mount<'a> = (&'a str, &'a str, String, &'a str);

fn mount(line: &str) -> Option<Mount<'_>> {
    let (left, right) = line.split_once(" - ")?;
    let (mut left, mut right) = (left.split(' ').skip(4), right.split(' '));
    let source = format!("{} {}", right.next()?, right.next()?);
    Some((left.next()?, left.next()?, source, right.next()?))
}

fn last<'a>(mounts: &'a [Mount<'_>], at: &str) -> Result<(&'a str, &'a str, &'a str)> {
    let found = mounts.iter().rfind(|mount| mount.0 == at);
    let (_, options, source, super_options) = found.with_context(|| format!("nothing is mounted at {at}"))?;
    Ok((options, source, super_options))
}

fn has(options: &str, option: &str) -> bool {
    options.split(',').any(|one| one == option)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::powercut::scenario::{When, chains};

    #[test]
    fn the_mounts_and_the_record_decide() {
        let said = "UP\nMOUNT 1 0 254:0 / /run/rootfsbase ro,relatime - ext4 /dev/vda rw\n\
            MOUNT 2 1 0:9 / / rw,relatime shared:1 - overlay LiveOS_rootfs rw,upperdir=/run/overlayfs\n\
            MOUNT 3 1 7:0 / /run/overlayfs-backing rw - ext4 /dev/loop0 rw\nRECORD {\"outcome\":\"applied\",\
            \"effective\":{\"root\":\"overlay\",\"upper\":\"loop\",\"path\":\"/var/lib/upper.img\",\"reset\":false},\
            \"reasons\":[]}\nSIZE 56000\n";
        let chain = chains(2, None).remove(0);
        let step = Step { when: When::Load, reset: false, grown: 0 };
        check(&chain, Engine::Qemu, step, said).unwrap();
        for (from, to) in
            [("ro,", "rw,"), ("applied", "degraded"), ("56000", "40000"), ("shared:1 - overlay", "- tmpfs")]
        {
            assert!(check(&chain, Engine::Qemu, step, &said.replacen(from, to, 1)).is_err(), "{from}");
        }
        assert!(check(&chain, Engine::Qemu, Step { reset: true, ..step }, said).is_err());
    }
}
