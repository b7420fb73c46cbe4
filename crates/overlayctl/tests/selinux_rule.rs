// SPDX-License-Identifier: GPL-2.0-or-later
//! The file of SELinux rules compiles with a policy that has the types of Fedora's, and with one that has not.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]
use std::fs;
use std::process::Command;

const RULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/selinux/overlayroot-rs.cil");

/// As little of a policy as the compiler takes.
const BASE: &str = "
(handleunknown allow)
(mls false)
(sid kernel)
(sidorder (kernel))
(class process (transition))
(class fd (use))
(class lnk_file (read getattr))
(classorder (process fd lnk_file))
(user system_u)
(userrole system_u object_r)
(userrole system_u system_r)
(role object_r)
(role system_r)
(roletype system_r kernel_t)
(sensitivity s0)
(sensitivityorder (s0))
(category c0)
(categoryorder (c0))
(sensitivitycategory s0 (c0))
(userlevel system_u (s0))
(userrange system_u ((s0) (s0)))
(type kernel_t)
(typeattribute domain)
(typeattributeset domain (kernel_t))
(allow kernel_t self (fd (use)))
(sidcontext kernel (system_u system_r kernel_t ((s0) (s0))))
";
const TYPES: &str = "
(type systemd_gpt_generator_t)
(typeattributeset domain (systemd_gpt_generator_t))
(type init_var_run_t)
";

/// What secilc says of these files together; nothing where it is not installed.
fn compile(parts: &[&str]) -> Option<Result<(), String>> {
    let dir = tempfile::tempdir().unwrap();
    let names: Vec<_> = (0..parts.len()).map(|number| dir.path().join(format!("{number}.cil"))).collect();
    names.iter().zip(parts).for_each(|(name, text)| fs::write(name, text).unwrap());
    let [policy, contexts] = ["policy", "file_contexts"].map(|name| dir.path().join(name));
    let output = Command::new("secilc").arg("-o").arg(policy).arg("-f").arg(contexts).args(&names).output();
    let Ok(output) = output else {
        let why = "no secilc here (packaging/deps.sh all)";
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{why}");
        eprintln!("SKIP {why}");
        return None;
    };
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Some(if output.status.success() { Ok(()) } else { Err(said) })
}

#[test]
fn with_and_without_fedoras_types() {
    let rule = fs::read_to_string(RULE).unwrap();
    for types in [TYPES, "", "(type systemd_gpt_generator_t)", "(type init_var_run_t)"] {
        let Some(compiled) = compile(&[BASE, types, &rule]) else { return };
        assert_eq!(compiled, Ok(()), "with: {types}");
    }
    // The base is complete by itself, and a rule about types that it lacks is an error.
    assert_eq!(compile(&[BASE]).unwrap(), Ok(()));
    let bare = "(allow systemd_gpt_generator_t init_var_run_t (lnk_file (read getattr)))";
    assert!(compile(&[BASE, bare]).unwrap().is_err());
}

/// The compiler refuses what a policy says must never be allowed: so it tells what the file allows.
#[test]
fn it_allows_what_it_is_there_for() {
    let rule = fs::read_to_string(RULE).unwrap();
    let never = |rule: &str| format!("(neverallow {rule})");
    for (name, allowed) in [
        ("systemd_gpt_generator_t kernel_t (fd (use))", true),
        ("systemd_gpt_generator_t init_var_run_t (lnk_file (read))", true),
        ("systemd_gpt_generator_t init_var_run_t (lnk_file (getattr))", true),
        ("domain kernel_t (process (transition))", false),
        ("kernel_t init_var_run_t (lnk_file (read))", false),
    ] {
        let Some(compiled) = compile(&[BASE, TYPES, &never(name), &rule]) else { return };
        assert_eq!(compiled.is_err(), allowed, "{name}: {compiled:?}");
    }
}
