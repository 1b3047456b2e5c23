//! The documents, as far as a program can check them: their width, their links, and the metrics that they name.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::let_underscore_must_use,
    reason = "in a test a panic is the answer"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use millrace::run::trouble;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const WIDTH: usize = 120;
const LINES_OF_README: usize = 150;
/// Pages with lines that are too wide: their number may only shrink.
const TOO_WIDE: &[(&str, usize)] = &[("docs/database.md", 1)];

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn files(folder: &str, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(Path::new(ROOT).join(folder)).unwrap() {
        let path = entry.unwrap().path();
        let relative = path.strip_prefix(ROOT).unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            files(&relative, extension, found);
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
}

/// Every page for people.
fn pages() -> Vec<PathBuf> {
    let top = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"];
    let mut pages: Vec<PathBuf> = top.iter().map(|name| Path::new(ROOT).join(name)).collect();
    files("docs", "md", &mut pages);
    files("deploy", "md", &mut pages);
    pages
}

/// Lines that could be narrower: no rows of tables, no code.
fn prose(text: &str) -> Vec<&str> {
    let mut code = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            code = !code;
        } else if !code && !line.starts_with('|') {
            lines.push(line);
        }
    }
    lines
}

#[test]
fn prose_is_narrow_and_the_readme_short() {
    for page in pages() {
        let name = page.strip_prefix(ROOT).unwrap().to_str().unwrap().to_owned();
        let wide = prose(&read(&page)).iter().filter(|line| line.chars().count() > WIDTH).count();
        let allowed = TOO_WIDE.iter().find(|(path, _)| *path == name).map_or(0, |(_, lines)| *lines);
        assert_eq!(wide, allowed, "lines of {name} that are wider than {WIDTH}, and those that may be");
    }
    let lines = read(&Path::new(ROOT).join("README.md")).lines().count();
    assert!(lines <= LINES_OF_README, "the README has {lines} lines, and {LINES_OF_README} are enough");
}

/// As a page's headings are reached by a link.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings =
        text.lines().filter_map(|line| line.strip_prefix('#')).map(|line| line.trim_start_matches('#').trim());
    let anchor = |heading: &str| -> String {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_between_the_pages_leads_somewhere() {
    let mut checked = 0;
    for page in pages() {
        let text = read(&page);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") || link.contains(char::is_whitespace) || link.is_empty() {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link} leads nowhere", page.display());
            if !anchor.is_empty() {
                assert!(anchors(&read(&target)).contains(anchor), "{}: no heading {link}", page.display());
            }
            checked += 1;
        }
    }
    assert!(checked > 20, "{checked} links were found");
}

/// Names that follow one of the macros which make a metric.
fn metrics_of_the_code() -> BTreeSet<String> {
    let mut sources = Vec::new();
    ["src", "pipeline/src"].iter().for_each(|folder| files(folder, "rs", &mut sources));
    let mut found = BTreeSet::new();
    for source in sources {
        let text = read(&source);
        for kind in ["counter!(", "gauge!(", "histogram!("] {
            for rest in text.split(kind).skip(1) {
                let Some(rest) = rest.trim_start().strip_prefix('"') else { continue };
                let name = rest.split('"').next().unwrap();
                if name.starts_with("millrace_") {
                    found.insert(name.to_owned());
                }
            }
        }
    }
    found
}

#[test]
fn every_metric_has_its_line_and_every_line_its_metric() {
    let text = read(&Path::new(ROOT).join("docs/metrics.md"));
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let told: BTreeSet<String> = rows.filter(|name| name.starts_with("millrace_")).map(str::to_owned).collect();
    assert_eq!(told, metrics_of_the_code());
}

/// The first argument, or the constant of this file that it is, after each `raise(` or `raise_by(`.
fn sources_of_reasons() -> BTreeSet<String> {
    let mut sources = Vec::new();
    ["src", "pipeline/src"].iter().for_each(|folder| files(folder, "rs", &mut sources));
    let mut found = BTreeSet::new();
    for source in sources {
        // What tests raise is no reason of the program's.
        let text = read(&source);
        let text = text.split("#[cfg(test)]").next().unwrap();
        let values: BTreeMap<&str, &str> = text.split("const ").skip(1).filter_map(constant).collect();
        for (call, argument) in [(".raise(", 0), (".raise_by(", 1)] {
            for rest in text.split(call).skip(1) {
                let Some(argument) = rest.split(',').nth(argument).map(str::trim) else { continue };
                let literal = argument.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
                found.extend(literal.or_else(|| values.get(argument).copied()).map(str::to_owned));
            }
        }
    }
    found
}

/// `NAME: &str = "value"`
fn constant(declared: &str) -> Option<(&str, &str)> {
    let (name, rest) = declared.split_once(": &str = \"")?;
    Some((name, rest.split('"').next()?)).filter(|(name, _)| !name.contains(char::is_whitespace))
}

#[test]
fn every_reason_of_readyz_is_explained() {
    let text = read(&Path::new(ROOT).join("docs/trouble.md"));
    let section = text.split("\n## ").find(|section| section.starts_with("Reasons of /readyz")).unwrap();
    let headings = section.lines().filter_map(|line| line.strip_prefix("### "));
    let told: BTreeSet<&str> = headings.flat_map(|heading| heading.split(", ")).collect();
    let raised = sources_of_reasons();
    assert!(raised.len() > 15, "found in the code: {raised:?}");
    let missing: Vec<&String> = raised.iter().filter(|source| !told.contains(source.as_str())).collect();
    assert!(missing.is_empty(), "docs/trouble.md has no heading for {missing:?}");
    // The stores raise under their own names: `writes` has them all.
    let stores = ["the breaker", "writes"].map(str::to_owned);
    let idle: Vec<&&str> =
        told.iter().filter(|one| !raised.contains(**one) && !stores.contains(&(**one).to_owned())).collect();
    assert!(idle.is_empty(), "nothing raises {idle:?}");
}

#[test]
fn what_a_person_is_told_names_its_heading() {
    let leads = |address: &str| {
        let (page, anchor) = address.split_once('#').unwrap();
        assert!(anchors(&read(&Path::new(ROOT).join(page))).contains(anchor), "{address} leads nowhere");
    };
    [trouble::RUN_ENDS, trouble::BACKFILL_ENDS, trouble::COMMAND_ENDS].into_iter().for_each(leads);
    for source in sources_of_reasons() {
        let address = trouble::address_of(&source);
        leads(&address);
        let anchor = address.split_once('#').unwrap().1;
        assert!(anchor.contains(&source.replace(' ', "-")), "{source} is explained under {anchor}");
    }
    assert_eq!(trouble::address_of("elasticsearch"), "docs/trouble.md#writes");
}
