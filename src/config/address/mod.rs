//! The parameters that an address may carry; a table for each kind of address.
//!
//! It guarantees that no library is handed a parameter which it would ignore or log, and that no wish for security is
//! ignored: what cannot be honoured is refused. Messages name parameters and never show their values.

mod mongodb;
mod postgres;
mod redis;
mod server;
#[cfg(test)]
mod tests;

pub(super) use mongodb::check as mongodb;
pub(super) use postgres::{PostgresAddress, sift as postgres, variables as postgres_variables};
pub(super) use redis::sift as redis;
use url::Url;
use url::form_urlencoded;

/// What becomes of a parameter.
#[derive(Clone, Copy, Debug)]
enum Rule {
    /// The library does what it asks for.
    Honoured,
    /// The library does what it asks for, under this name.
    As(&'static str),
    /// Honoured with one of these values, else refused, with what to do.
    HonouredAs(&'static [&'static str], &'static str),
    /// It asks for nothing that matters here: ignored, and named by `doctor`.
    Harmless,
    /// Harmless with one of these values, else refused, with what to do.
    HarmlessAs(&'static [&'static str], &'static str),
    /// Refused, with what to do.
    Refused(&'static str),
}

/// Names of one rule, in lower case.
type Rules = [(&'static [&'static str], Rule)];

const NOT_HONOURED: &str = "this program cannot honour it, and would connect with less security than it asks for";

/// One parameter as somebody gave it.
struct Given {
    name: String,
    value: String,
    /// The variable that it comes from; `None`: the address itself.
    variable: Option<&'static str>,
}

impl Given {
    fn refusal(&self, why: &str) -> String {
        match self.variable {
            Some(variable) => {
                format!("the variable {variable}, which counts where the address says nothing, is refused: {why}")
            }
            None => format!("its parameter {} is refused: {why}", describe(&self.name)),
        }
    }
}

/// The parameters of an address that was looked through.
#[derive(Debug, Default)]
struct Sifted {
    /// What the library is handed: names in lower case, and values.
    kept: Vec<(String, String)>,
    /// Names of those that are left out.
    ignored: Vec<String>,
}

impl Sifted {
    fn value(&self, name: &str) -> Option<&str> {
        self.kept.iter().find(|(kept, _)| kept == name).map(|(_, value)| value.as_str())
    }
}

/// The parameters that a query names.
fn parse_query(query: &str) -> Vec<Given> {
    let pairs = form_urlencoded::parse(query.as_bytes());
    pairs.map(|(name, value)| Given { name: name.into_owned(), value: value.into_owned(), variable: None }).collect()
}

/// Judges each parameter by the table; those named in `repeatable` may come more than once.
fn sift(given: &[Given], rules: &Rules, repeatable: &[&str]) -> Result<Sifted, String> {
    let mut sifted = Sifted::default();
    let mut seen: Vec<String> = Vec::new();
    for parameter in given {
        let lower = parameter.name.to_ascii_lowercase();
        let rule = rules.iter().find(|(names, _)| names.contains(&lower.as_str())).map(|(_, rule)| *rule);
        let name = if let Some(Rule::As(name)) = rule { name.to_owned() } else { lower };
        if seen.contains(&name) && !repeatable.contains(&name.as_str()) {
            let named = describe(&parameter.name);
            return Err(format!("its parameter {named} is given twice, perhaps under another name: keep one"));
        }
        let value = parameter.value.to_ascii_lowercase();
        match rule {
            Some(Rule::Honoured | Rule::As(_)) => sifted.kept.push((name.clone(), parameter.value.clone())),
            Some(Rule::HonouredAs(values, _)) if values.contains(&value.as_str()) => {
                sifted.kept.push((name.clone(), value));
            }
            Some(Rule::Harmless) => sifted.ignored.push(parameter.name.clone()),
            Some(Rule::HarmlessAs(values, _)) if values.contains(&value.as_str()) => {
                sifted.ignored.push(parameter.name.clone());
            }
            Some(Rule::HonouredAs(_, why) | Rule::HarmlessAs(_, why) | Rule::Refused(why)) => {
                return Err(parameter.refusal(why));
            }
            None => return Err(format!("its parameter {} is not known: take it out", describe(&parameter.name))),
        }
        seen.push(name);
    }
    Ok(sifted)
}

/// A name that looks like one; anything else may be a part of a password that was not encoded.
fn describe(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.[]".contains(c);
    let fits = (1..=40).contains(&name.len()) && name.chars().all(plain);
    if fits { format!("`{name}`") } else { "(its name is not shown)".to_owned() }
}

fn put(url: &mut Url, kept: &[(String, String)]) {
    url.set_query(None);
    if !kept.is_empty() {
        url.query_pairs_mut().extend_pairs(kept);
    }
}
