// SPDX-License-Identifier: GPL-2.0-or-later
//! The case files and their parser.

#![allow(clippy::unwrap_used)] // clippy.toml reaches test functions only, not their helpers

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use overlayroot_vm::case::{Case, RootKind, Stage, load_all};
use overlayroot_vm::cell::{Cell, Variant};
use overlayroot_vm::engine::Engine;
use overlayroot_vm::own_kernel;
use overlayroot_vm::plan::{Selection, jobs};

fn cases() -> Vec<Case> {
    load_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")).unwrap()
}

fn refused(text: &str, why: &str) {
    let error = Case::parse("g/x", text).unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains(why), "{error:?} does not say {why:?}");
}

/// The guest's agent reads its lines from there.
#[test]
fn no_case_writes_over_the_agents_plan() {
    for case in cases() {
        for boot in case.boots() {
            let lines = format!("{}{}", boot.holds, boot.cmdline);
            assert!(!lines.contains(">/run/overlayroot-vm/plan"), "{}", case.name);
        }
    }
}

#[test]
fn every_case_parses_and_is_alone_with_its_slug() {
    assert!(cases().len() > 150);
    let dir = tempfile::tempdir().unwrap();
    let put = |path: &str| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "summary = 's'\nholds = 'true'").unwrap();
    };
    put("a/x.toml");
    put("b/y.toml");
    assert_eq!(load_all(dir.path()).unwrap().iter().map(Case::slug).collect::<Vec<_>>(), ["x", "y"]);
    put("b/x.toml");
    assert!(load_all(dir.path()).unwrap_err().to_string().contains("two cases are called x"));
    put("z.toml");
    assert!(load_all(dir.path()).unwrap_err().to_string().contains("no group"));
}

#[test]
fn a_slug_is_one_case_and_a_part_of_names_is_all_that_have_it() {
    let cases = cases();
    let named = |name: &str| -> BTreeSet<String> {
        let selection = Selection { names: vec![name.into()], ..Selection::default() };
        jobs(&cases, &selection).unwrap().into_iter().map(|job| job.case.name).collect()
    };
    assert_eq!(named("dir"), BTreeSet::from(["dir/dir".into()]));
    assert_eq!(named("dir/dir-xfs"), BTreeSet::from(["dir/dir-xfs".into()]));
    assert!(named("dir/").len() > 5 && named("dir/").iter().all(|name| name.starts_with("dir/")));
}

#[test]
fn the_short_run_meets_every_cell_and_every_kind_of_root() {
    let cases = cases();
    let jobs = jobs(&cases, &Selection::default()).unwrap();
    let mut count: BTreeMap<Cell, usize> = BTreeMap::new();
    for job in &jobs {
        *count.entry(job.cell).or_default() += 1;
    }
    // at most two of three cases are for the long run alone
    assert!(jobs.len() * 3 >= cases.len(), "{} of {}", jobs.len(), cases.len());
    let kinds = |jobs: &mut dyn Iterator<Item = &Case>| jobs.map(|case| case.root).collect::<BTreeSet<_>>();
    let (all, cut) = (kinds(&mut cases.iter()), kinds(&mut jobs.iter().map(|job| &job.case)));
    assert_eq!(all, cut, "kinds of root");
    for upper in ["tmpfs", "LABEL=", "dir:", "loop:", "part:", "subvol:"] {
        let asks = |case: &Case| case.boots().iter().any(|boot| boot.cmdline.contains(&format!("rd.overlay={upper}")));
        assert!(jobs.iter().any(|job| asks(&job.case)), "no {upper}");
    }
    for cell in Cell::ALL {
        let (of, met) = if Cell::MAIN.contains(&cell) { (6, jobs.len()) } else { (1, 0) };
        assert!(count.get(&cell).is_some_and(|n| *n * of > met), "{cell}: {count:?}");
    }
    assert!(jobs.is_sorted_by_key(|job| std::cmp::Reverse(job.weight())));
}

#[test]
fn in_each_suite_each_kind_of_root_and_of_upper_is_shown_with_the_suites_own_kernel() {
    let cases = cases();
    let chosen = own_kernel::choose(&cases);
    let all: BTreeSet<_> =
        cases.iter().flat_map(|case| case.cells().into_iter().flat_map(|cell| own_kernel::shown(case, cell))).collect();
    let by_name = |name: &str| cases.iter().find(|case| case.name == name).unwrap();
    let met: BTreeSet<_> = chosen.iter().flat_map(|(name, cell)| own_kernel::shown(by_name(name), *cell)).collect();
    assert_eq!(all, met);
    assert!(all.len() > 30, "{all:?}");
    let every = jobs(&cases, &Selection { all: true, ..Selection::default() }).unwrap();
    let qemu = every.iter().filter(|job| job.engine == Engine::Qemu).count();
    assert_eq!(qemu, chosen.len());
    // the others are quick
    assert!(qemu * 3 < every.len(), "{qemu} of {}", every.len());
}

/// What the long run is for: a cell that is left out of one of these is shown by no other case.
#[test]
fn each_kind_of_upper_has_all_four_cells_on_each_kind_of_root() {
    let cases = cases();
    let cells = |slug: &str| cases.iter().find(|case| case.slug() == slug).map(Case::cells).unwrap_or_default();
    for slug in ["dir-xfs", "loop", "loop-xfs", "loop-btrfs", "part-gpt", "subvol"] {
        assert_eq!(cells(slug), Cell::MAIN, "{slug}");
    }
    for slug in ["tmpfs", "label", "dir", "nfs"] {
        assert_eq!(cells(slug), Cell::ALL, "{slug}");
    }
}

/// Kernel arguments, lines and files of the initramfs are given the names of the engine's disks; these are not.
#[test]
fn no_disk_is_named_where_its_name_would_be_wrong_under_one_engine() {
    for case in cases() {
        let texts = [&case.fstab, &case.conf, &case.conf_latin1].into_iter().flatten();
        for text in texts.chain(case.files.values()) {
            assert!(!text.contains("/dev/disk/by-id/virtio-"), "{}: {text}", case.name);
        }
        for text in [&case.fstab, &case.conf, &case.conf_latin1].into_iter().flatten() {
            assert!(!text.contains("/dev/vd"), "{}: {text}", case.name);
        }
    }
}

#[test]
fn unknown_keys_and_values_are_errors() {
    refused("summary = 's'\nholds = 'true'\ncmdlin = 'x'", "unknown field `cmdlin`");
    refused("summary = 's'\nholds = 'true'\nvariant = 'stok'", "unknown variant `stok`");
    let disk = "[[disk]]\nname = 'a'\nsize = '1M'\nfs = 'ext4'\n";
    refused(&format!("summary = 's'\nholds = 'true'\n{disk}lable = 'x'"), "unknown field `lable`");
    refused("summary = 's'\n[[boot]]\nholds = 'true'\ntimes = 3", "unknown field `times`");
}

#[test]
fn what_shows_nothing_or_contradicts_itself_is_an_error() {
    refused("summary = 's'", "shows nothing");
    refused("holds = 'true'", "missing field `summary`");
    refused("summary = 's'\nholds = 'true'\ncut = ['woody/systemd']", "no cell");
    refused("summary = 's'\nholds = 'true'\nsuites = ['trixie']\ncut = ['bookworm/shell']", "excludes");
    refused("summary = 's'\nholds = 'true'\nroot = 'xfs'\nfstab = ''", "debugfs");
    assert!(Case::parse("x", "summary = 's'\nholds = 'true'").is_err());
}

#[test]
fn a_node_that_boots_by_itself_needs_firmware() {
    let net = "[net]\nserver = 'start_dhcp'\nway = 'ipxe'";
    refused(&format!("summary = 's'\nholds = 'true'\n{net}"), "only_qemu");
    Case::parse("g/x", &format!("summary = 's'\nholds = 'true'\nonly_qemu = true\n{net}")).unwrap();
}

#[test]
fn boots_inherit_and_repeat() {
    let text = "summary = 's'\ncmdline = 'a'\nholds = 'h'\nroot = 'split-usr'\nvariant = 'stock'\n\
                [[boot]]\nrepeat = 2\n[[boot]]\ncmdline = 'b'\nstage = 'emergency'\nvariant = 'stockonly'";
    let case = Case::parse("g/x", text).unwrap();
    let boots = case.boots();
    let seen: Vec<_> = boots.iter().map(|b| (b.cmdline.as_str(), b.stage, b.variant)).collect();
    let own = ("a", Stage::Host, Variant::Stock);
    assert_eq!(seen, [own, own, ("b", Stage::Emergency, Variant::Stockonly)]);
    assert_eq!((case.root, case.variant), (RootKind::SplitUsr, Variant::Stock));
    assert_eq!(case.cut_cells().unwrap(), ["trixie/systemd".parse().unwrap()]);
}

#[test]
fn the_oldest_and_the_newest_suite_are_met_only_where_a_case_says_so() {
    let plain = Case::parse("g/x", "summary = 's'\nholds = 'true'").unwrap();
    assert_eq!(plain.cells(), Cell::MAIN);
    let also = Case::parse("g/x", "summary = 's'\nholds = 'true'\nalso = ['sid/shell']").unwrap();
    assert_eq!(also.cells().len(), 5);
    // the rule of the short run is about the others
    assert_eq!(also.cut_cells().unwrap(), plain.cut_cells().unwrap());
    refused("summary = 's'\nholds = 'true'\nalso = ['sid/openrc']", "no cell");
}

#[test]
fn an_initramfs_of_the_root_needs_one_that_is_kept() {
    refused("summary = 's'\n[[boot]]\nholds = 'true'\nown_initrd = true", "is kept");
}

#[test]
fn a_guest_has_a_gibibyte_unless_the_case_says_otherwise() {
    let text = "summary = 's'\nholds = 'true'\n";
    assert_eq!(Case::parse("g/x", text).unwrap().memory, 1024);
    assert_eq!(Case::parse("g/x", &format!("{text}memory = 2048")).unwrap().memory, 2048);
    refused(&format!("{text}memory = '2G'"), "memory");
}

#[test]
fn text_in_latin1_is_one_byte_a_character() {
    let case = Case::parse("g/x", "summary = 's'\nholds = 'true'\nconf_latin1 = \"a\\u00ff\"").unwrap();
    assert_eq!(case.conf_bytes().unwrap(), b"a\xff");
}

#[test]
fn a_name_which_fits_no_case_is_an_error() {
    let selection = Selection { names: vec!["nope".into()], ..Selection::default() };
    assert!(jobs(&cases(), &selection).is_err());
}
