// SPDX-License-Identifier: GPL-2.0-or-later
//! The next boot of a system: its boot loader's files, its configuration, the initramfs that it loads, and what the
//! planner makes of them. Every verb that speaks of the next boot asks here.

mod images;
pub mod initrd;
pub mod listing;
#[cfg(test)]
pub mod loaders_tests;

pub use images::of_release;

use crate::state::{loader_files, thaw, tries};
use anyhow::{Context, Result};
use initrd::{Lister, Tools};
use overlayroot_core::config::{Config, Inputs};
use overlayroot_core::facts::Facts;
use overlayroot_core::keys;
use overlayroot_core::layout::paths;
use overlayroot_core::parse::cmdline::{Source, lex};
use overlayroot_core::parse::mountinfo;
use overlayroot_core::plan::{Decision, decide};
use overlayroot_core::upper::Upper;
use overlayroot_host::loader::ask::Given;
use overlayroot_host::loader::generator::{Makes, makes};
use overlayroot_host::loader::handed::{Handed, handed};
use overlayroot_host::loader::place::{Place, judge};
use overlayroot_host::loader::state::{State, state};
use overlayroot_host::loader::{CONF, CONF_D, Kind, MODULE, Tree, UBUNTU, line, raspi_hook};
use overlayroot_host::next::{Image, NextBoot, inputs};
use overlayroot_linux::sys::mounts;
use overlayroot_linux::{probe, source};
use std::fs;
use std::os::unix::fs::MetadataExt;

type Told<T> = std::result::Result<T, String>;

/// What is to be found out.
#[derive(Clone, Copy)]
pub struct Query<'a> {
    /// The root of the system.
    pub root: &'a str,
    /// A command line that holds in place of all others.
    pub cmdline: Option<&'a str>,
    /// Its boot loader, where it is told.
    pub kind: Option<Kind>,
    /// The arguments that the boot loader is to have, in place of those of ours that it has.
    pub want: Option<&'a [Given]>,
    /// Who looks into images.
    pub lister: &'a dyn Lister,
    /// Devices are not to be opened, where that takes more than a look.
    pub lightly: bool,
    /// As if `overlayctl thaw` had asked for nothing: what is asked is how the boots behind that are set up.
    pub frozen: bool,
}

impl Query<'_> {
    /// The running system's next boot.
    pub const HERE: Query<'static> =
        Query { root: "/", cmdline: None, kind: None, want: None, lister: &Tools, lightly: false, frozen: false };
}

/// What was found.
pub struct Next {
    /// The boot.
    pub boot: NextBoot,
    /// What the machine looks like; of another system nothing is known.
    pub facts: Facts,
    /// The boot loader's files, or why they are not known.
    pub state: Told<State>,
    /// dracut puts the module into every initramfs.
    pub drop_in: bool,
    /// Who makes the initramfs of kernels to come.
    pub makes: Makes,
    /// A hook of raspi-firmware is here that runs in the overlay, too.
    pub hook_in_overlay: bool,
}

impl Next {
    /// What the planner says.
    ///
    /// # Errors
    /// Where this machine can't be looked at.
    pub fn decision(&self) -> Result<&Decision> {
        self.boot.decision.as_ref().context("the machine can't be inspected")
    }
}

/// Where the files lie that the next boot finds.
pub struct Roots {
    root: String,
    /// The lower, where the running root is an overlay over it.
    lower: Option<&'static str>,
    mounts: Vec<mountinfo::Mount>,
}

impl Roots {
    fn of(root: &str) -> Self {
        let live = fs::canonicalize(root).is_ok_and(|path| path.as_os_str() == "/");
        let mounts = if live { mounts::read().unwrap_or_default() } else { Vec::new() };
        let overlay = mountinfo::at(&mounts, "/").is_some_and(|top| top.fstype == "overlay");
        let lower = paths::LOWERS.into_iter().find(|at| mountinfo::at(&mounts, at).is_some());
        Self { root: root.trim_end_matches('/').to_owned(), lower: lower.filter(|_| overlay), mounts }
    }

    /// The root below which a path is to be read: what lies in the overlay is the lower's, as the boot loader sees it.
    pub fn below(&self, path: &str) -> &str {
        match self.lower {
            Some(lower) if judge(&self.mounts, &format!("/{}", path.trim_start_matches('/'))) == Place::Lost => lower,
            _ if self.root.is_empty() => "/",
            _ => &self.root,
        }
    }
}

/// The files of a system as its next boot finds them, and what of them can't be read.
pub fn tree(root: &str) -> (Tree, Vec<String>) {
    let roots = Roots::of(root);
    loader_files::next_tree(root, |path| roots.below(path))
}

/// Finds out.
pub fn find(query: &Query<'_>) -> Next {
    initrd::begin();
    let roots = Roots::of(query.root);
    let (tree, unread) = loader_files::next_tree(query.root, |path| roots.below(path));
    let kind = match query.kind {
        Some(kind) => Ok(kind),
        None => {
            let why = || tree.two_loaders().unwrap_or_else(|| "unsupported boot loader".to_owned());
            tree.detect().map(|(kind, _)| kind).map_err(|_| why())
        }
    };
    let state = kind.map(|kind| state(&tree, kind));
    let mut running = if tree.live { source::cmdline() } else { Vec::new() };
    // The name of this boot's upper was chosen for this boot.
    running.retain(|source| source.name != paths::EXTRA);
    let handed = handed_over(query, &tree, &state, &running, &unread);
    let image = images::find(&handed, &tree, &roots, query.lister);
    let (line, inputs) = texts(query, handed, &tree, &image, running);
    let (mut config, mut inputs) = (Config::read(&inputs), inputs);
    let chosen = Chosen::of(query, &tree, &image, &mut inputs, &mut config);
    let facts = facts(query, &tree, &config, &inputs);
    let mut decision = facts.as_ref().map(|facts| waiting(decide(&config, facts), config.timeout.value));
    if let Some(decision) = &mut decision {
        chosen.tell(decision);
    }
    let loader = state.as_ref().ok().map(|state| state.kind.word());
    let boot = NextBoot { loader, line, image, inputs, config, decision, live: tree.live };
    Next {
        boot,
        facts: facts.unwrap_or_default(),
        state,
        drop_in: tree.files.contains_key(MODULE),
        makes: makes(&tree),
        hook_in_overlay: raspi_hook::runs_in_overlay(&tree),
    }
}

/// What was asked of the next boot beside its command line.
struct Chosen {
    thaw: Option<thaw::Next>,
    upper: Option<tries::Next>,
}

impl Chosen {
    /// As the initramfs finds it. What it makes of it stands beside the arguments of the command line, as there.
    fn of(query: &Query<'_>, tree: &Tree, image: &Image, inputs: &mut Inputs, config: &mut Config) -> Self {
        // A command line that is given is asked for itself.
        if !tree.live || query.root != "/" || query.cmdline.is_some() {
            return Self { thaw: None, upper: None };
        }
        let has = |image: &str, program: &str| {
            let files = query.lister.list(image).ok()?;
            Some(files.iter().any(|file| file.name.rsplit('/').next() == Some(program)))
        };
        let image = image.path.as_deref();
        let thaw = match query.frozen {
            true => None,
            false => thaw::Next::of(config, image, |image| has(image, thaw::PROGRAM)),
        };
        if let Some(source) = thaw.as_ref().and_then(thaw::Next::source) {
            inputs.cmdline.push(source);
            *config = Config::read(inputs);
        }
        let upper = tries::Next::of(config, image, |image| has(image, tries::PROGRAM));
        if let Some(upper) = upper.as_ref().and_then(tries::Next::upper) {
            inputs.cmdline.push(Source::new(paths::EXTRA, format!("{}={upper}", keys::NAME.name)));
            *config = Config::read(inputs);
        }
        Self { thaw, upper }
    }

    /// Has the plan say it.
    fn tell(self, decision: &mut Decision) {
        if let Some(upper) = self.upper {
            upper.tell(decision);
        }
        if let Some(thaw) = self.thaw {
            thaw.tell(decision);
        }
    }
}

/// Here one look is enough, the boot goes on looking.
fn waiting(mut decision: Decision, seconds: u32) -> Decision {
    if let Decision::Instead(refusal, _) = &mut decision {
        if refusal.code == "device-missing" && refusal.text.ends_with(" not found") {
            refusal.text.push_str(&format!(" (the boot waits {seconds} s)"));
        }
    }
    decision
}

/// What the boot loader gives to the next boot, once it has the arguments that are wanted.
fn handed_over(
    query: &Query<'_>,
    tree: &Tree,
    state: &Told<State>,
    running: &[Source],
    unread: &[String],
) -> Told<Handed> {
    if let Some(far) = overlayroot_host::doctor::loader::far_root(running) {
        return Err(format!("the root comes from elsewhere ({far}), and so does what its boot loader says"));
    }
    let found = state.as_ref().map_err(Clone::clone).and_then(|state| handed(tree, state));
    let mut found = found.map_err(|why| match unread.is_empty() {
        true => why,
        false => format!("{why} ({})", unread.join("; ")),
    })?;
    if let Some(want) = query.want {
        let words: Vec<String> = want.iter().map(Given::kernel).collect();
        found.line = line::with(&line::without(&found.line), &words)?;
    }
    Ok(found)
}

/// The line, and all texts that count. Where the line is not known this boot's stands in for it.
fn texts(
    query: &Query<'_>,
    handed: Told<Handed>,
    tree: &Tree,
    image: &overlayroot_host::next::Image,
    running: Vec<Source>,
) -> (Told<Source>, Inputs) {
    let of = |is: &dyn Fn(&str) -> bool| {
        let found = tree.files.iter().filter(|(path, _)| is(path));
        found.map(|(path, text)| Source::new(format!("/{path}"), text.clone())).collect::<Vec<_>>()
    };
    let mut conf = of(&|path| path == CONF);
    conf.extend(of(&|path| path.starts_with(CONF_D)));
    let ubuntu = of(&|path| UBUNTU.contains(&path));
    if let Some(text) = query.cmdline {
        // `/proc/cmdline` is where that boot will read it.
        let given = Source::new("/proc/cmdline", text);
        let mut all = inputs(given.clone(), image, conf, ubuntu);
        all.cmdline = vec![given.clone()];
        return (Ok(given), all);
    }
    match handed.map(|handed| Source::handed(handed.of, handed.line)) {
        Ok(line) => (Ok(line.clone()), inputs(line, image, conf, ubuntu)),
        Err(why) => {
            let words = query.want.unwrap_or_default().iter().map(Given::kernel).collect::<Vec<_>>().join(" ");
            let stand_in = Source::new("/proc/cmdline", "");
            let mut all = inputs(stand_in, image, conf, ubuntu);
            all.cmdline = match query.want {
                Some(_) => vec![Source::handed("the arguments given", words)],
                None => running,
            };
            (Err(why), all)
        }
    }
}

/// The machine, as the next boot will find it. Only root can look at devices, and a loop file on a device of its own
/// is looked for on a mount of that.
fn facts(query: &Query<'_>, tree: &Tree, config: &Config, inputs: &Inputs) -> Option<Facts> {
    let mounts = matches!(&config.upper.value, Upper::Loop(file) if file.dev.is_some());
    if !tree.live || (query.lightly && (mounts || !is_root())) {
        return None;
    }
    // One that can't be looked at at all has no root for the planner.
    Some(probe::host(config, &lex(&inputs.cmdline)).unwrap_or_default())
}

/// Whether this is root.
pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0)
}

#[cfg(test)]
pub mod tests;
