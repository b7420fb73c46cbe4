// SPDX-License-Identifier: GPL-2.0-or-later
//! URLs as people are told them: in the record, the journal, errors, by `status`, `explain`, `config` and `doctor`,
//! which everybody may read. Who asks (user info) and what is asked (the query) can be secrets, and are cut wholly.

/// Stands for what is cut.
const CUT: &str = "***";

/// A URL, or what was to be one, without user info and query; also `user:password@host` without its scheme. Where it
/// is not clear what belongs to a password, nothing but the scheme is told: rather too little than too much.
/// What begins with one `/` is a path, and told as it is.
pub fn told(value: &str) -> String {
    match value.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) {
        Some(("file", path)) if path.starts_with('/') => format!("file://{}", without_query(path)),
        Some((scheme, rest)) => format!("{scheme}://{}", of_server(rest.trim_start_matches('/'), true)),
        None if value.starts_with('/') && !value.starts_with("//") => value.to_owned(),
        None => of_server(value, false),
    }
}

/// What stands behind the scheme. Without one a colon says nothing: `tmpfs:size=1G` is no URL at all.
fn of_server(rest: &str, is_url: bool) -> String {
    let (authority, path) = rest.split_at_checked(authority(rest).len()).unwrap_or((rest, ""));
    let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    // A "/", "?" or "#" of the password would end the authority: what comes then can be its rest.
    let rest_of_user = path.contains('@') && (user.is_some() || !is_url || authority.contains(':'));
    if rest_of_user || (is_url && !has_port(host)) {
        return CUT.to_owned();
    }
    let cut = user.map(|_| format!("{CUT}@")).unwrap_or_default();
    format!("{cut}{host}{}", without_query(path))
}

/// Server, with who asks it, at the beginning of what stands behind the scheme.
fn authority(rest: &str) -> &str {
    rest.split(['/', '?', '#']).next().unwrap_or(rest)
}

/// Whether behind the colon of a server there is nothing but a port.
pub(crate) fn has_port(host: &str) -> bool {
    let behind = host.rsplit_once(']').map_or(host, |(_, behind)| behind);
    behind.split_once(':').is_none_or(|(_, port)| port.bytes().all(|digit| digit.is_ascii_digit()))
}

/// To the end: whether there is a fragment or only a "#" in a token nobody knows.
fn without_query(path: &str) -> String {
    path.split_once('?').map_or_else(|| path.to_owned(), |(path, _)| format!("{path}?{CUT}"))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// A text with URLs in it, as programs and mistakes have them, each as [`told`].
pub fn told_in(text: &str) -> String {
    if !text.contains("://") {
        return text.to_owned();
    }
    let ends = |c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '<' | '>' | '(' | ')');
    text.split_inclusive(ends).map(|word| word_of(word, ends)).collect()
}

/// A value with a URL in it, which goes to its end, whatever characters it has.
pub fn told_to_end(value: &str) -> String {
    word_of(value, |_| false)
}

fn word_of(word: &str, ends: impl Fn(char) -> bool) -> String {
    let Some(at) = word.find("://") else { return word.to_owned() };
    let (before, _) = word.split_at_checked(at).unwrap_or(("", word));
    let scheme = before.rsplit(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c)).next().unwrap_or_default();
    let (lead, url) = word.split_at_checked(at - scheme.len()).unwrap_or(("", word));
    let end = url.chars().next_back().filter(|c| ends(*c));
    let url = end.map_or(url, |end| url.strip_suffix(end).unwrap_or(url));
    format!("{lead}{}{}", told(url), end.map(String::from).unwrap_or_default())
}

/// What a program said that was given `url`, which it may tell whole or in parts.
pub fn told_by(text: &str, url: &str) -> String {
    let mut text = text.replace(url, &told(url));
    if let Some((_, rest)) = url.split_once("://") {
        let asked = rest.split_once('?').map(|(_, query)| query);
        let user = authority(rest).rsplit_once('@').map(|(user, _)| user);
        let password = user.and_then(|user| user.split_once(':')).map(|(_, password)| password);
        for secret in [asked, user, password].into_iter().flatten() {
            // What is shorter is no secret, and in every other word.
            let least = if Some(secret) == user { 1 } else { 4 };
            if secret.len() >= least {
                let (from, to) = match Some(secret) == user {
                    true => (format!("{secret}@"), format!("{CUT}@")),
                    false => (secret.to_owned(), CUT.to_owned()),
                };
                text = text.replace(&from, &to);
            }
        }
    }
    told_in(&text)
}

/// What is wrong with a value, in words that quote no part of it.
pub fn quoting_nothing(text: &str) -> String {
    match (text.split_once('\''), text.rsplit_once('\'')) {
        (Some((before, _)), Some((_, behind))) => format!("{before}'{CUT}'{behind}"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
