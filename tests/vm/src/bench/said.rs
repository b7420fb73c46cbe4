// SPDX-License-Identifier: GPL-2.0-or-later
//! What a guest printed, and what `vm-measure` measured in it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::stats::Spread;

/// What the lines of `holds` that begin with `+` printed, the lines themselves left out.
pub(crate) fn shown(channel: &str) -> String {
    let lines = channel.lines().filter_map(|line| line.strip_prefix("SHOW "));
    lines.filter(|line| !line.starts_with("$ ")).flat_map(|line| [line, "\n"]).collect()
}

/// The record of the boot, where it was printed.
///
/// # Errors
/// Where it was not.
pub(crate) fn record(said: &str) -> Result<Value> {
    let from = if said.starts_with('{') { 0 } else { said.find("\n{").context("no record")? };
    let mut records = serde_json::Deserializer::from_str(said.get(from..).unwrap_or_default()).into_iter::<Value>();
    Ok(records.next().context("no record")??)
}

/// Milliseconds of a step of the record.
///
/// # Errors
/// Where it has no such step.
pub(crate) fn step_ms(record: &Value, step: &str) -> Result<f64> {
    let steps = record.get("steps").and_then(Value::as_array).context("no steps")?;
    let of = |one: &&Value| one.get("step").and_then(Value::as_str) == Some(step);
    let found = steps.iter().find(of).with_context(|| format!("no step {step}"))?;
    Ok(found.get("us").and_then(Value::as_f64).context("no time")? / 1000.0)
}

/// The numbers of the first line that begins with this word.
///
/// # Errors
/// Where there is no such line, or something else behind the word.
pub(crate) fn numbers(said: &str, word: &str) -> Result<Vec<i64>> {
    let line = said.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
    parse(line.with_context(|| format!("no line of {word}"))?).with_context(|| format!("{word} in numbers"))
}

fn parse(line: &str) -> Result<Vec<i64>> {
    Ok(line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?)
}

/// What `vm-measure` printed: for each name its measurements, each with one or more figures.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured(BTreeMap<String, Vec<Vec<i64>>>);

impl Measured {
    /// # Errors
    /// A line that is not whole.
    pub(crate) fn read(said: &str) -> Result<Self> {
        let mut all = BTreeMap::<String, Vec<Vec<i64>>>::new();
        for line in said.lines().filter_map(|line| line.strip_prefix("MEASURED ")) {
            let (name, figures) = line.split_once(' ').with_context(|| format!("no figures: {line}"))?;
            all.entry(name.to_owned()).or_default().push(parse(figures).with_context(|| line.to_owned())?);
        }
        Ok(Self(all))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The figure at this place of the measurements with this name.
    ///
    /// # Errors
    /// Where a measurement is missing or has fewer figures.
    pub(crate) fn spread(&self, name: &str, place: usize) -> Result<Spread> {
        let all = self.0.get(name).with_context(|| format!("{name} was not measured"))?;
        let figures: Option<Vec<_>> = all.iter().map(|figures| figures.get(place).copied()).collect();
        Spread::of(figures.with_context(|| format!("{name} has no figure {place}"))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_guest_printed_is_read() {
        let channel = "STAGE host\nREADY 8.1\nSHOW $ cat x\nSHOW {\"steps\": [{\"step\": \"reset\", \"us\": 1500}],\n\
            SHOW \"x\": 1}\nSHOW $ cat y\nSHOW root 12 3\nVERDICT PASS\n";
        let said = shown(channel);
        assert_eq!(said, "{\"steps\": [{\"step\": \"reset\", \"us\": 1500}],\n\"x\": 1}\nroot 12 3\n");
        let record = record(&said).unwrap();
        assert!((step_ms(&record, "reset").unwrap() - 1.5).abs() < 1e-9);
        assert!(step_ms(&record, "other").is_err());
        assert_eq!(numbers(&said, "root").unwrap(), [12, 3]);
        assert!(numbers(&said, "overlay").is_err() && numbers("root x\n", "root").is_err());
        assert!(super::record("root 12\n").is_err());
    }

    #[test]
    fn measurements_are_kept_by_their_names() {
        let said = "MEASURED find 30 1\nx\nMEASURED find 10 2\nMEASURED tar 5\nMEASURED find 20 3\n";
        let measured = Measured::read(said).unwrap();
        assert_eq!(measured.spread("find", 0).unwrap(), Spread { median: 20, least: 10, most: 30 });
        assert_eq!(measured.spread("find", 1).unwrap().median, 2);
        assert!(measured.has("tar") && !measured.has("missing"));
        assert!(measured.spread("tar", 1).is_err() && measured.spread("missing", 0).is_err());
        assert!(Measured::read("MEASURED find\n").is_err() && Measured::read("MEASURED find x\n").is_err());
    }
}
