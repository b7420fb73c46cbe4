// SPDX-License-Identifier: GPL-2.0-or-later
//! What `overlayctl enable` is asked to put on the command line, read by the parser that the initramfs has.

use overlayroot_core::config::{Config, Inputs};
use overlayroot_core::keys;
use overlayroot_core::parse::cmdline::{Source, lex, spans};
use overlayroot_core::upper::{Upper, parse_upper};
use overlayroot_core::value::diagnostics::{escape, suggest};
use overlayroot_core::value::redact;

/// One argument, without quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Its key, one of the table.
    pub key: String,
    /// `None` for a bare key.
    pub value: Option<String>,
}

impl Given {
    /// `key=value`, as one word.
    pub fn plain(&self) -> String {
        self.value.as_ref().map_or_else(|| self.key.clone(), |value| format!("{}={value}", self.key))
    }

    /// As the kernel's command line has it.
    pub fn kernel(&self) -> String {
        match &self.value {
            Some(value) if value.contains(' ') => format!("{}=\"{value}\"", self.key),
            _ => self.plain(),
        }
    }
}

/// What is asked for where nothing is said.
pub const DEFAULT: &str = "rd.overlay=tmpfs";

/// Reads the words of a command line; `conf` are the host's configuration files, which hold beside them.
///
/// # Errors
/// All that the parser has to say against them, and where nothing asks for an overlay.
pub fn parse(words: &[String], conf: &[Source]) -> Result<Vec<Given>, Vec<String>> {
    let mut args = Vec::new();
    let mut wrong = Vec::new();
    for word in words {
        match one(word) {
            Ok(mut given) => args.append(&mut given),
            Err(why) => wrong.push(why),
        }
    }
    let line: Vec<String> = args.iter().map(Given::kernel).collect();
    let cmdline = vec![Source::new("the arguments given", line.join(" "))];
    // What is asked for must be what the initramfs will read.
    let read: Vec<String> = lex(&cmdline).iter().map(overlayroot_core::parse::cmdline::Arg::text).collect();
    let meant: Vec<String> = args.iter().map(Given::plain).collect();
    if read != meant {
        wrong.push("the kernel's command line can't hold a value with these characters".to_owned());
    }
    let config = Config::read(&Inputs { cmdline, conf: conf.to_vec(), ubuntu: Vec::new() });
    wrong.extend(config.issues.iter().map(ToString::to_string));
    if !wrong.is_empty() {
        return Err(wrong);
    }
    if config.upper.value == Upper::Off {
        let name = keys::OVERLAY.name;
        return Err(vec![format!(
            "nothing asks for an overlay ({name}: {}): give {name}=VALUE, or use overlayctl disable",
            config.upper.origin
        )]);
    }
    match config.upper.value.refused() {
        // The value may have a password.
        Some(refusal) => Err(vec![redact::quoting_nothing(&refusal.text)]),
        None => Ok(args),
    }
}

/// The arguments of one word of the shell's.
fn one(word: &str) -> Result<Vec<Given>, String> {
    let told = escape(word);
    if word.chars().any(char::is_control) {
        return Err(format!("{told}: a control character"));
    }
    if word.matches('"').count() % 2 == 1 {
        return Err(format!("{told}: a quote is not closed"));
    }
    let mut found = Vec::new();
    for (_, arg) in spans(word.as_bytes()) {
        let (Ok(key), Ok(value)) = (String::from_utf8(arg.key), arg.value.map(String::from_utf8).transpose()) else {
            return Err(format!("{told}: not UTF-8, as the kernel splits it (some letters hold the byte A0)"));
        };
        if !keys::KEYS.iter().any(|row| row.name == key) {
            let whole = value.as_ref().map_or_else(|| key.clone(), |value| format!("{key}={value}"));
            // As if it stood behind rd.overlay=.
            let upper = parse_upper(&whole).1.is_empty().then(|| format!("{}={whole}", keys::OVERLAY.name));
            let hint = upper.or_else(|| suggest(&key, keys::KEYS.iter().map(|row| row.name)));
            let hint = hint.map_or_else(
                || r#"overlayctl keys lists all; a value with a blank is KEY="VALUE", quotes included"#.to_owned(),
                |near| format!("did you mean {}?", escape(&near)),
            );
            return Err(format!("unknown argument '{}'; {hint}", escape(&key)));
        }
        if value.as_ref().is_some_and(|value| value.contains('"')) {
            return Err(format!("{told}: a value can't hold a double quote"));
        }
        found.push(Given { key, value });
    }
    match found.is_empty() {
        true => Err("an empty argument".to_owned()),
        false => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(words: &[&str]) -> Result<Vec<Given>, Vec<String>> {
        parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), &[])
    }

    #[test]
    fn what_is_taken() {
        let args = asked(&["rd.overlay=\"LABEL=my disk\"", "rd.overlay.reset rd.overlay.timeout=5"]).unwrap();
        let kernel: Vec<String> = args.iter().map(Given::kernel).collect();
        assert_eq!(kernel, ["rd.overlay=\"LABEL=my disk\"", "rd.overlay.reset", "rd.overlay.timeout=5"]);
        let conf = [Source::new("c", "rd.overlay = LABEL=x")];
        assert!(parse(&["rd.overlay.timeout=5".to_owned()], &conf).is_ok());
    }

    #[test]
    fn what_is_refused() {
        for (words, want) in [
            (&["rd.overlay=0"][..], "nothing asks for an overlay"),
            (&["rd.overlay.timeout=5"], "nothing asks for an overlay"),
            (&["quiet"], "unknown argument 'quiet'"),
            (&["tmpfs"], "unknown argument 'tmpfs'; did you mean rd.overlay=tmpfs?"),
            (&["dir:/x,size=2G"], "did you mean rd.overlay=dir:/x,size=2G?"),
            (&["LABEL=persist"], "did you mean rd.overlay=LABEL=persist?"),
            (&["rd.overlay.rest"], "did you mean rd.overlay.reset?"),
            (&["rd.overlay=LABEL=my disk"], "unknown argument 'disk'"),
            (&["rd.overlay=vdb"], "rd.overlay=vdb in the arguments given"),
            (&["rd.overlay", "rd.overlay.fallback=hatl"], "did you mean halt?"),
            (&["rd.overlay=\"a"], "a quote is not closed"),
            (&["rd.overlay=tmpfs\n"], "control character"),
            (&["rd.overlay=LABEL=a\"b\"c"], "double quote"),
            (&["rd.overlay=LABEL=voilà"], "A0"),
            (&["rd.overlay.crypt=/dev/vdb"], "encrypted"),
            (&[""], "empty"),
        ] {
            let why = asked(words).unwrap_err().join("; ");
            assert!(why.contains(want), "{words:?}: {why}");
        }
    }
}
