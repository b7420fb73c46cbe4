// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether kernels to come get an initramfs with the module.

use crate::doctor::loader::far_root;
use crate::doctor::{Finding, Grade, Host, finding};
use crate::loader::MODULE;
use crate::loader::generator::Makes;
use overlayroot_core::config::Inputs;

const CHECK: &str = "generator";

pub(crate) fn examine(inputs: &Inputs, host: &Host, found: &mut Vec<Finding>) {
    // A root from a server gets its initramfs from there.
    if far_root(&inputs.cmdline).is_some() {
        return;
    }
    let drop_in = host.loader.as_ref().is_none_or(|loader| loader.module);
    match (&host.makes, host.makes.warning()) {
        (_, Some((text, way))) => {
            let grade = if host.lacking_module.is_some() { Grade::Problem } else { Grade::Warning };
            found.push(finding(CHECK, grade, text, way));
        }
        (Makes::One { .. }, None) if !drop_in => {
            let text = format!(
                "whether dracut puts the module into the initramfs of the next kernel is not known: /{MODULE} is missing"
            );
            found.push(finding(CHECK, Grade::Note, text, "overlayctl enable puts it there"));
        }
        (Makes::One { generator, by }, None) => {
            let text = format!("{} makes the initramfs at each kernel update ({by})", generator.word());
            found.push(finding(CHECK, Grade::Ok, text, ""));
        }
        (Makes::Nobody, None) => {
            let text = "nothing was found that makes an initramfs at a kernel update";
            let todo = "after each: dracut --force --kver RELEASE; on Debian, apt install dracut does that";
            found.push(finding(CHECK, Grade::Note, text, todo));
        }
        (Makes::NotKnown, None) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::loader::Loader;
    use crate::loader::generator::Generator;
    use overlayroot_core::parse::cmdline::Source;

    fn of(root: &str, makes: Makes, lacking: bool, module: bool) -> Vec<(Grade, String, String)> {
        let inputs = Inputs { cmdline: vec![Source::new("l", format!("{root} rd.overlay"))], ..Inputs::default() };
        let loader = Loader { state: Err(String::new()), running: Vec::new(), module, hook_in_overlay: false };
        let lacking_module = lacking.then(|| "it lacks it".to_owned());
        let host = Host { makes, lacking_module, loader: Some(loader), ..Host::default() };
        let mut found = Vec::new();
        examine(&inputs, &host, &mut found);
        found.into_iter().map(|found| (found.grade, found.text, found.todo)).collect()
    }

    #[test]
    fn another_generator_is_a_problem_where_the_image_is_its_own_and_a_warning_where_it_will_be() {
        let makes = |generator| Makes::One { generator, by: "/hook".into() };
        for (generator, lacking, want) in [
            (Generator::InitramfsTools, true, Grade::Problem),
            (Generator::InitramfsTools, false, Grade::Warning),
            (Generator::TinyInitramfs, false, Grade::Warning),
            (Generator::Mkinitcpio, true, Grade::Problem),
            (Generator::Booster, false, Grade::Warning),
        ] {
            let found = of("root=x", makes(generator), lacking, true);
            let [(grade, text, todo)] = found.as_slice() else { panic!("{found:?}") };
            assert_eq!(*grade, want, "{generator:?}");
            assert!(
                text.starts_with(generator.word()) && text.contains("/hook") && text.contains("changes go to"),
                "{text}"
            );
            assert!(todo.contains("dracut"), "{todo}");
        }
        assert_eq!(of("root=nfs4:x:/y", makes(Generator::InitramfsTools), true, true), []);
    }

    #[test]
    fn dracut_or_nobody() {
        let dracut = || Makes::One { generator: Generator::Dracut, by: "/hook".into() };
        assert_eq!(of("root=x", dracut(), false, true)[0].0, Grade::Ok);
        assert_eq!(of("root=x", dracut(), false, false)[0].0, Grade::Note);
        let (grade, _, todo) = &of("root=x", Makes::Nobody, false, true)[0];
        assert!(*grade == Grade::Note && todo.contains("apt install dracut"), "{todo}");
        assert_eq!(of("root=x", Makes::NotKnown, true, false), []);
    }
}
