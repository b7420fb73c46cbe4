// SPDX-License-Identifier: GPL-2.0-or-later
//! Guests in QEMU, with a suite's own kernel.

use std::path::Path;
use std::process::Command;

use crate::engines::Accel;
use crate::host::Host;
use crate::machine::{Attach, Boot, Nic};
use crate::net::{self, Cable};
use crate::ram::BALLOON;

/// Address randomisation costs this emulation half of its time; the rest is not tested.
pub(crate) const ALWAYS: &str = "console=ttyS0 nokaslr norandmaps mitigations=off audit=0 panic=-1 loglevel=6";

/// A CPU with few features has few modules loaded for it: a boot with `max` takes half as long again. Newer
/// kernels need cx16 left out under old QEMUs.
const CPU: &str = "qemu64,-cx16";

/// For a drive: a guest of the other engine reads the same image and has its own lock on it.
pub(crate) const UNLOCKED: &str = "file.locking=off";

/// UEFI: Debian's packages ovmf, Fedora's edk2-ovmf.
const FIRMWARE: [&str; 3] =
    ["/usr/share/ovmf/OVMF.fd", "/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_CODE.fd"];

/// A boot's whole command.
pub(crate) fn boot(host: &Host, dir: &Path, boot: &Boot, accel: Accel) -> Command {
    let file = |name: &str| dir.join(name).display().to_string();
    let cable = boot.nic.as_ref().map(|nic| &nic.cable);
    let mut command = qemu(host, dir, boot.memory, accel, cable);
    if boot.nic.as_ref().is_none_or(|nic| !nic.boots) {
        command.arg("-kernel").arg(&boot.kernel).arg("-initrd").arg(&boot.initrd);
        command.arg("-append").arg(arguments(&boot.cmdline));
    }
    if let Some(nic) = &boot.nic {
        plug(&mut command, nic);
    }
    command.arg("-serial").arg(format!("file:{}", file("serial.log")));
    command.arg("-chardev").arg(format!("file,id=verdict,path={}", file("channel")));
    command.args(["-device", "virtserialport,chardev=verdict,name=verdict"]);
    let holds =
        Attach { path: dir.join("holds.img"), serial: "holds".to_owned(), writable: false, late: None, slow: false };
    for (index, attach) in boot.disks.iter().chain([&holds]).enumerate() {
        let snapshot = if attach.writable { "off" } else { "on" };
        let path = attach.path.display();
        // unsafe: what QEMU has written survives its end, and the host stays up
        let slow = if attach.slow { ",throttling.bps-write=10000000,throttling.iops-write=500" } else { "" };
        let drive =
            format!("if=none,id=d{index},format=raw,cache=unsafe,snapshot={snapshot}{slow},{UNLOCKED},file={path}");
        command.args(["-drive", &drive]);
        if attach.late.is_none() {
            command.args(["-device", &format!("virtio-blk-pci,drive=d{index},serial={}", attach.serial)]);
        }
    }
    if boot.measured {
        command.args(["-device", &format!("virtio-balloon-pci,id={BALLOON}")]);
    }
    if boot.measured || boot.disks.iter().any(|attach| attach.late.is_some()) {
        command.arg("-qmp").arg(format!("unix:{},server=on,wait=off", file("qmp")));
    }
    command
}

/// All kernel arguments; a case that looks for audit messages has them.
fn arguments(cmdline: &str) -> String {
    let audited = cmdline.split_ascii_whitespace().any(|word| word == "audit=1");
    let always = if audited { ALWAYS.replace(" audit=0", "") } else { ALWAYS.to_owned() };
    format!("{always} {cmdline}")
}

fn plug(command: &mut Command, nic: &Nic) {
    let rom = match (nic.boots, nic.uefi) {
        // OVMF has a driver of its own; a card that does not boot needs none, which saves a second
        (false, _) => ",romfile=",
        (true, true) => ",romfile=,bootindex=1",
        (true, false) => ",bootindex=1",
    };
    plug_in(command, &nic.cable, rom);
    command.args(["-smbios", &format!("type=1,serial={},uuid={}", nic.serial, nic.uuid)]);
    if nic.uefi {
        // none of them: QEMU's own error names the first
        let found = FIRMWARE.iter().find(|path| Path::new(path).exists());
        command.args(["-bios", found.unwrap_or(&FIRMWARE[0])]);
    }
}

/// A card of QEMU's; `more` is what else its device is told.
pub(crate) fn plug_in(command: &mut Command, cable: &Cable, more: &str) {
    command.args(["-netdev", &format!("tap,id=net,ifname={},script=no,downscript=no", cable.tap)]);
    command.args(["-device", &format!("virtio-net-pci,netdev=net,mac={}{more}", cable.mac)]);
}

/// QEMU with a machine as every guest gets it, its RAM in MiB, without what it boots from and without a card.
pub(crate) fn qemu(host: &Host, dir: &Path, memory: u32, accel: Accel, cable: Option<&Cable>) -> Command {
    let mut command = net::inside(cable);
    command.arg(&host.qemu);
    command.env("TMPDIR", dir);
    let (accel, cpu) = match accel {
        Accel::Kvm => ("kvm", "host"),
        Accel::Tcg => ("tcg", CPU),
    };
    command.args(["-accel", accel, "-cpu", cpu, "-smp", "1", "-m", &memory.to_string(), "-no-reboot"]);
    command.args(["-nodefaults", "-display", "none", "-device", "virtio-rng-pci", "-device", "virtio-serial-pci"]);
    command
}

/// Leaves out modules which take a second or more of emulated time each: for disks that nobody has here, and
/// those of btrfs unless it has a part.
pub(crate) fn blacklist(btrfs: bool) -> String {
    format!("module_blacklist=ata_piix,ata_generic,pata_acpi{}", if btrfs { "" } else { ",btrfs,raid6_pq,xor" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::Engines;

    #[test]
    fn the_machine_is_as_the_boot_says() {
        let place = std::path::PathBuf::from("/nowhere");
        let host = Host {
            repo: place.clone(),
            cache: place.clone(),
            work: place.clone(),
            images: place.clone(),
            qemu: "qemu".into(),
            engines: Engines::default(),
        };
        let line = |boot: &Boot| {
            let command = super::boot(&host, &place, boot, Accel::Tcg);
            command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
        };
        let plain = line(&Boot::default());
        assert!(plain.contains(" -m 1024 ") && !plain.contains("balloon") && !plain.contains("-qmp"), "{plain}");
        let cable = Cable { namespace: "/proc/7/ns/net".into(), tap: "tap2".into(), mac: "52:54:00:99:01:02".into() };
        let nic = Nic { cable, serial: "SN2".into(), uuid: String::new(), boots: true, uefi: false };
        let plugged = line(&Boot { nic: Some(nic), ..Boot::default() });
        assert!(plugged.contains("--net=/proc/7/ns/net -- qemu ") && !plugged.contains("unshare"), "{plugged}");
        assert!(plugged.contains("tap,id=net,ifname=tap2,") && plugged.contains(",bootindex=1"), "{plugged}");
        assert!(!plugged.contains("-kernel") && plugged.contains("serial=SN2"), "{plugged}");
        let measured = line(&Boot { memory: 512, measured: true, ..Boot::default() });
        assert!(measured.contains(" -m 512 "), "{measured}");
        assert!(measured.contains("virtio-balloon-pci,id=balloon0") && measured.contains("-qmp unix:"), "{measured}");
    }
}
