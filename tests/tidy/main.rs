//! The habits of this repository that a program can check. Each list of exceptions may only shrink: one that is no
//! exception any more is a failure, too.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::let_underscore_must_use,
    reason = "in a test a panic is the answer"
)]

mod circles;
mod verbs;
mod visible;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::spanned::Spanned;
use syn::visit::Visit;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
#[rustfmt::skip]
const SOURCES: [&str; 10] = [
    "src", "pipeline/src", "enrichers/src", "events/src", "wire/src", "testkit/src", "tests", "pipeline/tests", "events/tests",
    "examples",
];
const LINES_OF_A_FILE: usize = 350;
const LINES_OF_A_FUNCTION: usize = 60;

const LONG_FILES: &[&str] = &[];
const LONG_FUNCTIONS: &[&str] = &["tests/faults/liar.rs: answer", "tests/faults/scenarios/log.rs: retention_running"];
/// Names of files that may stand in several folders: what every store has, and what is called after a system or a service.
#[rustfmt::skip]
const FILE_VOCABULARY: &[&str] = &[
    "client", "document", "errors", "inspect", "install", "lib", "main", "mod", "reader", "sink", "tests",
    "database", "kafka", "mongodb", "postgres", "reactions", "redis", "reviews", "transactions",
    "users",
];
/// Names of files that stand in several folders all the same.
#[rustfmt::skip]
const FILES_TWICE: &[&str] = &[
    "audit", "catalogue", "consumer", "dead_letters", "decode", "model", "refusals", "settings", "source", "state", "stores",
    "topic_log", "unindexed",
];
/// Lines of a statement that stands in the code; a longer one has a `.sql` file.
const LINES_OF_SQL: usize = 2;
/// Macros of the standard library, which another of the same name would hide.
#[rustfmt::skip]
const STD_MACROS: &[&str] = &[
    "assert", "assert_eq", "cfg", "column", "concat", "dbg", "env", "eprintln", "file", "format", "line", "matches", "panic",
    "print", "println", "stringify", "todo", "vec", "write", "writeln",
];
/// Names that more than one type has.
const NAMED_TWICE: &[&str] = &[];

struct Source {
    path: String,
    text: String,
    parsed: syn::File,
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    SOURCES.iter().for_each(|folder| files(&Path::new(ROOT).join(folder), &mut found));
    found.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let parsed = syn::parse_file(&text).unwrap();
        Source { path: path.strip_prefix(ROOT).unwrap().to_str().unwrap().to_owned(), text, parsed }
    };
    found.into_iter().map(read).collect()
}

/// What was found is what the list of exceptions says, and nothing else.
fn only(found: &BTreeMap<String, String>, exceptions: &[&str], advice: &str) {
    let new: Vec<_> = found.iter().filter(|(name, _)| !exceptions.contains(&name.as_str())).collect();
    assert!(new.is_empty(), "{advice}: {new:#?}");
    let gone: Vec<_> = exceptions.iter().filter(|name| !found.contains_key(**name)).collect();
    assert!(gone.is_empty(), "take these off the list of exceptions: {gone:?}");
}

#[test]
fn no_file_is_too_long() {
    let long = |source: &Source| (source.path.clone(), format!("{} lines", source.text.lines().count()));
    let found = sources();
    let found = found.iter().filter(|source| source.text.lines().count() > LINES_OF_A_FILE).map(long).collect();
    only(&found, LONG_FILES, "look whether two ideas live in these files");
}

fn lines(span: proc_macro2::Span) -> usize {
    span.end().line - span.start().line + 1
}

#[derive(Default)]
struct Functions {
    path: String,
    long: BTreeMap<String, String>,
}

impl Functions {
    fn measure(&mut self, name: &syn::Ident, block: &syn::Block) {
        let lines = lines(block.span());
        if lines > LINES_OF_A_FUNCTION {
            self.long.insert(format!("{}: {name}", self.path), format!("{lines} lines"));
        }
    }
}

impl Visit<'_> for Functions {
    fn visit_item_fn(&mut self, function: &syn::ItemFn) {
        self.measure(&function.sig.ident, &function.block);
        syn::visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &syn::ImplItemFn) {
        self.measure(&function.sig.ident, &function.block);
        syn::visit::visit_impl_item_fn(self, function);
    }
}

#[test]
fn no_function_is_too_long() {
    let mut long = BTreeMap::new();
    for source in sources() {
        let mut functions = Functions { path: source.path, ..Functions::default() };
        functions.visit_file(&source.parsed);
        long.append(&mut functions.long);
    }
    only(&long, LONG_FUNCTIONS, "look whether two ideas live in these functions");
}

/// Names of types, where they are defined; tests keep theirs to themselves.
fn types(items: &[syn::Item], path: &str, found: &mut BTreeMap<String, BTreeSet<String>>) {
    for item in items {
        let name = match item {
            syn::Item::Struct(item) => &item.ident,
            syn::Item::Enum(item) => &item.ident,
            syn::Item::Trait(item) => &item.ident,
            syn::Item::Type(item) => &item.ident,
            syn::Item::Mod(inner) => {
                if inner.ident != "tests" {
                    types(inner.content.as_ref().map_or(&[], |(_, items)| items), path, found);
                }
                continue;
            }
            _ => continue,
        };
        found.entry(name.to_string()).or_default().insert(path.to_owned());
    }
}

/// Whether a file is a part of the program, and not of its tests.
fn is_program(source: &Source) -> bool {
    let path = &source.path;
    !path.starts_with("tests/") && !path.contains("/tests")
}

#[test]
fn no_file_is_called_as_another() {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    // The file of a command is called as the command.
    let is_command = |path: &str| Path::new(path).parent().is_some_and(|folder| folder.ends_with("src/cli"));
    for Source { path, .. } in sources().into_iter().filter(is_program).filter(|source| !is_command(&source.path)) {
        let name = Path::new(&path).file_stem().unwrap().to_str().unwrap().to_owned();
        if !FILE_VOCABULARY.contains(&name.as_str()) {
            found.entry(name).or_default().push(path);
        }
    }
    let twice = found.into_iter().filter(|(_, paths)| paths.len() > 1);
    only(
        &twice.map(|(name, paths)| (name, paths.join(" "))).collect(),
        FILES_TWICE,
        "a name tells a file from all others",
    );
}

#[test]
fn no_name_means_two_types() {
    let mut found = BTreeMap::new();
    for source in sources().into_iter().filter(is_program) {
        types(&source.parsed.items, &source.path, &mut found);
    }
    let twice = found.into_iter().filter(|(_, places)| places.len() > 1);
    let twice = twice.map(|(name, places)| (name, places.into_iter().collect::<Vec<_>>().join(" "))).collect();
    only(&twice, NAMED_TWICE, "one name for one thing");
}

/// What each part of the program knows nothing of.
const STRANGERS: &[(&str, &[&str])] = &[
    ("src/config/", &["cli", "maintenance", "run", "stores", "synthetic", "systems", "walk"]),
    ("src/synthetic/", &["cli", "config", "maintenance", "run", "stores", "systems", "walk"]),
    ("src/walk/", &["cli", "config", "maintenance", "run", "stores", "synthetic", "systems"]),
    ("src/stores/", &["cli", "maintenance", "run", "synthetic", "systems"]),
    ("src/systems/", &["cli", "maintenance", "run"]),
    ("src/run/", &["cli", "maintenance"]),
    ("src/maintenance/", &["cli"]),
];

#[test]
fn no_part_knows_of_one_that_stands_on_it() {
    let mut known = Vec::new();
    for Source { path, text, .. } in sources().into_iter().filter(is_program) {
        for (_, strangers) in STRANGERS.iter().filter(|(part, _)| path.starts_with(part)) {
            let names = |line: &str| strangers.iter().any(|stranger| line.contains(&format!("crate::{stranger}::")));
            known.extend(text.lines().filter(|line| names(line)).map(|line| format!("{path}: {}", line.trim())));
        }
    }
    assert!(known.is_empty(), "these know of what stands on them: {known:#?}");
}

/// Statements that are too long for the code, and macros that hide one of the standard library.
#[derive(Default)]
struct Misplaced {
    path: String,
    statements: BTreeMap<String, String>,
    macros: BTreeMap<String, String>,
}

impl<'ast> Visit<'ast> for Misplaced {
    fn visit_lit_str(&mut self, literal: &'ast syn::LitStr) {
        const VERBS: [&str; 6] = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH ", "CREATE "];
        let text = literal.value();
        let length = lines(literal.span());
        if length > LINES_OF_SQL && VERBS.iter().any(|verb| text.trim_start().starts_with(verb)) {
            self.statements.insert(format!("{}: {:.40}", self.path, text.trim_start()), length.to_string());
        }
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        let name = item.ident.as_ref().map(ToString::to_string).unwrap_or_default();
        if STD_MACROS.contains(&name.as_str()) {
            self.macros.insert(format!("{}: {name}", self.path), String::new());
        }
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if module.ident != "tests" {
            syn::visit::visit_item_mod(self, module);
        }
    }
}

#[test]
fn long_statements_have_a_file_and_no_macro_hides_another() {
    let mut misplaced = Misplaced::default();
    for source in sources().iter().filter(|source| is_program(source)) {
        misplaced.path.clone_from(&source.path);
        misplaced.visit_file(&source.parsed);
    }
    only(&misplaced.statements, &[], "give the statement a file of the folder `sql`");
    only(&misplaced.macros, &[], "the standard library has a macro of that name");
}
