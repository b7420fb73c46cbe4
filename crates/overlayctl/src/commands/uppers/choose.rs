// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl uppers use`: another upper from the next boot on, for good or until it has failed; `overlayctl good`.

use crate::output::exit::{Exit, refuse};
use crate::state::kept::{self, Found};
use crate::state::next::{self, Query};
use crate::state::request::without;
use crate::state::tries;
use anyhow::Result;
use clap::Args;
use overlayroot_core::feature::tries::{Boots, MOST, PROGRAM, Set, TIMEOUT};
use overlayroot_core::layout::{DEFAULT_UPPER, paths};
use overlayroot_core::record::Record;
use overlayroot_core::value::diagnostics::escape;
use overlayroot_core::value::field::Origin;
use overlayroot_host::next::NextBoot;
use overlayroot_linux::sys::files;
use std::path::Path;

/// What `overlayctl uppers use` takes.
#[derive(Debug, Args)]
pub struct Use {
    /// Its name, such as work; the default one is overlay
    new: String,
    /// Return to the present upper after so many boots that were not good
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST)))]
    tries: Option<u32>,
    /// Reboot where one of them is not good after so many seconds
    #[arg(long, value_name = "SECONDS", requires = "tries", value_parser = clap::value_parser!(u32).range(i64::from(*TIMEOUT.start())..=i64::from(*TIMEOUT.end())))]
    timeout: Option<u32>,
}

/// Asks the next boots to use it.
pub fn run(args: &Use) -> Result<Exit> {
    let (record, store) = match kept::find()? {
        Found::Upper(record, store) => (record, store),
        Found::None(why) => return refuse(&why),
    };
    let name = &args.new;
    match kept::named(&store, name)? {
        Some(upper) if upper.number.is_none() => {}
        Some(_) => {
            return refuse(&format!(
                "{name} is a kept one: overlayctl uppers rename {name} NAME gives it a name of its own, and restore uses it"
            ));
        }
        None => return refuse(&format!("{} is not an upper here, see overlayctl uppers", escape(name))),
    }
    if store.beside(DEFAULT_UPPER).is_none() {
        return refuse("uppers of overlayroot= have one name");
    }
    if Path::new(paths::TRIED).exists() {
        return refuse("this boot is one of several tries, and not good yet: see overlayctl good");
    }
    let boot = next::find(&Query { lightly: true, frozen: true, ..Query::HERE }).boot;
    if let Some(why) = against(args, &record, store.name(), &boot) {
        return refuse(&why);
    }
    let set = |upper: &str| Set { upper: upper.to_owned() };
    let good = args.tries.map(|_| set(store.name()));
    let boots = Boots { want: set(name), tries: args.tries, good, timeout: args.timeout, returned: None };
    tries::write(&store, &boots)?;
    println!("the next boot {}", boots.words());
    Ok(Exit::Good)
}

/// Why the next boot would not use it, or not as it is asked for.
fn against(args: &Use, record: &Record, current: &str, boot: &NextBoot) -> Option<String> {
    let config = &boot.config;
    if let Origin::Given { text, source } = &config.name.origin {
        if source != paths::EXTRA {
            return Some(format!("{text} in {source} names the upper: change it there"));
        }
    }
    // Where the line is not known, this boot's is all there is to say.
    let known = boot.line.is_ok();
    if record.requested.reset || (known && config.reset.value) {
        return Some("rd.overlay.reset is set, and each boot would discard it: its changes would be lost".to_owned());
    }
    if known && record.requested.spec != config.upper.value.to_string() {
        return Some(format!("the next boot has another upper: {}", escape(&config.upper.value.to_string())));
    }
    if args.tries.is_some() {
        return against_tries(args, current, known && config.readonly.value).or_else(|| lacking(boot));
    }
    // The default one is used by every initramfs.
    if args.new == DEFAULT_UPPER { None } else { lacking(boot) }
}

/// Why its boots could not be counted.
fn against_tries(args: &Use, current: &str, readonly: bool) -> Option<String> {
    let target = ["/usr/lib", "/lib"].map(|lib| format!("{lib}/systemd/system/boot-complete.target"));
    if args.new == current {
        return Some(format!("{current} is in use, and there is nothing to return to"));
    }
    if readonly {
        return Some("rd.overlay.readonly is set for the next boot, and nothing is counted then".to_owned());
    }
    let none = target.iter().all(|path| !Path::new(path).exists());
    none.then(|| "no boot would be good: systemd has no boot-complete.target here (240 and later have it)".to_owned())
}

/// Whether the next boot's initramfs is known to lack the program. Says where that is not known.
fn lacking(boot: &NextBoot) -> Option<String> {
    without(boot.image.path.as_deref(), PROGRAM, "overlayroot_tries")
}

/// Says that this boot is good: the upper that it uses stays.
pub fn good() -> Result<Exit> {
    let store = match kept::find()? {
        Found::Upper(_, store) => store,
        Found::None(why) => return refuse(&why),
    };
    let Some(boots) = tries::read(&store)?.filter(|boots| boots.tries.is_some()) else {
        println!("this boot is not counted");
        return Ok(Exit::Good);
    };
    if boots.want.upper != store.name() {
        return refuse(&format!("this boot uses {}, and the next ones are to try {}", store.name(), boots.want.upper));
    }
    tries::write(&store, &boots.good())?;
    files::remove(paths::TRIED)?;
    println!("{} stays in use", store.name());
    Ok(Exit::Good)
}
