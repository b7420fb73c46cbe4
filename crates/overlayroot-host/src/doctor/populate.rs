// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether `rd.overlay.populate` can work at the next boot: what only the image, the root and the command line tell.

use crate::doctor::{Finding, Grade, KernelImage, finding};
use overlayroot_core::config::{Config, Inputs};
use overlayroot_core::facts::Facts;
use overlayroot_core::keys::{POPULATE, parse_bool};
use overlayroot_core::parse::cmdline::{Arg, lex};

/// The programs in the image of a kernel.
pub(crate) fn image(config: &Config, kernel: &KernelImage, found: &mut Vec<Finding>) {
    let (Some(asked), Some(image), Ok(files)) = (&config.populate.value, &kernel.image, &kernel.files) else {
        return;
    };
    let word = if asked.is_url() { "yes" } else { "local" };
    for program in asked.programs().into_iter().filter(|program| !files.iter().any(|file| file == program)) {
        let text = format!("{image} lacks {program}, which {} needs", POPULATE.name);
        let todo =
            format!("overlayroot_populate={word} in /etc/dracut.conf.d, and dracut --force --kver {}", kernel.release);
        found.push(finding("populate", Grade::Problem, text, todo));
    }
}

/// The archive and the way to it.
pub(crate) fn way(inputs: &Inputs, config: &Config, facts: &Facts, found: &mut Vec<Finding>) {
    let Some(asked) = config.populate.value.as_ref().filter(|asked| !asked.mistaken) else {
        return;
    };
    let before = found.len();
    let key = POPULATE.name;
    if facts.archive.missing {
        let text = format!("{key}: {asked} is not in the root");
        found.push(finding("populate", Grade::Problem, text, "copy it into the lower").in_root());
    }
    if asked.is_url() && !networked(&lex(&inputs.cmdline), facts) {
        let text = format!("{key} needs the network, and nothing asks for it in the initramfs");
        found.push(finding("populate", Grade::Warning, text, "rd.neednet=1 ip=dhcp on the kernel command line"));
    }
    if asked.is_url() && asked.sha256.is_none() && !asked.source.to_string().starts_with("https:") {
        let text =
            format!("{key}: anyone on the network path can change the archive, which is unpacked with all rights");
        found.push(finding("populate", Grade::Note, text, "https, or sha256="));
    }
    if found.len() == before {
        found.push(finding("populate", Grade::Ok, format!("a new upper begins with {asked}"), ""));
    }
}

/// Whether dracut brings the network up before the root is mounted.
fn networked(args: &[Arg], facts: &Facts) -> bool {
    let value = |arg: &Arg| String::from_utf8_lossy(arg.value.as_deref().unwrap_or_default()).into_owned();
    let far = ["nfs:", "nfs4:", "nbd:", "iscsi:", "live:http", "live:ftp", "live:nfs", "dhcp", "/dev/nfs"];
    let root = |text: &str| far.iter().any(|begin| text.starts_with(begin));
    let asks = args.iter().any(|arg| match arg.key.as_slice() {
        b"rd.neednet" => parse_bool(Some(value(arg).as_str())),
        b"root" => root(&value(arg)),
        b"netroot" => true,
        _ => false,
    });
    asks || facts.root.as_ref().is_some_and(|root| root.fstype.starts_with("nfs"))
}
