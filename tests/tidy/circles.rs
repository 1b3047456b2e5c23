//! Files that import each other, straight or by way of others.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::Visit;

use crate::{Source, is_program, only, sources};

/// Files in a circle all the same.
#[rustfmt::skip]
const IN_CIRCLES: &[&str] = &[
    "src/stores/database/cache/upkeep.rs", "src/stores/database/cache/written.rs",
    "src/stores/database/catalogue.rs", "src/stores/database/install.rs", "src/stores/database/kinds.rs", "src/stores/database/session.rs",
];

type Module = Vec<String>;

/// What a file imports, by paths from the root of its crate.
#[derive(Default)]
struct Imports {
    /// Where the visitor stands.
    at: Module,
    /// The names that a module has by imports.
    names: BTreeMap<(Module, String), Module>,
    paths: Vec<Module>,
}

impl Imports {
    /// A path from the root of the crate, where it begins with a word that says so.
    fn absolute(&self, path: &[String]) -> Option<Module> {
        let (mut base, mut rest) = match path.first()?.as_str() {
            "crate" => (Module::new(), &path[1..]),
            "self" => (self.at.clone(), &path[1..]),
            "super" => (self.at.clone(), path),
            _ => return None,
        };
        while rest.first().is_some_and(|first| first == "super") {
            base.pop();
            rest = &rest[1..];
        }
        base.extend(rest.iter().cloned());
        Some(base)
    }

    fn tree(&mut self, tree: &syn::UseTree, before: &[String]) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.tree(&path.tree, &with(&path.ident)),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(tree, before)),
            syn::UseTree::Name(name) if name.ident == "self" => self.import(before.to_vec(), before.last().cloned()),
            syn::UseTree::Name(name) => self.import(with(&name.ident), Some(name.ident.to_string())),
            syn::UseTree::Rename(rename) => self.import(with(&rename.ident), Some(rename.rename.to_string())),
            syn::UseTree::Glob(_) => self.import(before.to_vec(), None),
        }
    }

    fn import(&mut self, path: Module, name: Option<String>) {
        // What is no word of Rust's may be a module beside; a crate of that name leads to no file.
        let path = self.absolute(&path).unwrap_or_else(|| [self.at.clone(), path].concat());
        if let Some(name) = name {
            self.names.insert((self.at.clone(), name), path.clone());
        }
        self.paths.push(path);
    }
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if module.ident != "tests" && module.content.is_some() {
            self.at.push(module.ident.to_string());
            syn::visit::visit_item_mod(self, module);
            self.at.pop();
        }
    }

    fn visit_item_use(&mut self, import: &'ast syn::ItemUse) {
        self.tree(&import.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.paths.extend(self.absolute(&names).filter(|_| names.len() > 1));
        syn::visit::visit_path(self, path);
    }
}

/// The folder of a crate's files, and the module that a file is.
fn module_of(path: &str) -> Option<(&str, Module)> {
    let root = path.find("src/")? + 4;
    let inner = path[root..].trim_end_matches(".rs").trim_end_matches("/mod");
    let module = if inner == "lib" { Module::new() } else { inner.split('/').map(str::to_owned).collect() };
    Some((&path[..root], module))
}

/// The module whose file holds what a path names; imports are followed to where a name is defined.
fn resolve(
    path: &[String],
    files: &BTreeMap<Module, &str>,
    names: &BTreeMap<(Module, String), Module>,
    depth: usize,
) -> Module {
    let mut at = Module::new();
    for (index, segment) in path.iter().enumerate() {
        let inner = [at.as_slice(), std::slice::from_ref(segment)].concat();
        if files.contains_key(&inner) {
            at = inner;
        } else if let Some(to) = names.get(&(at.clone(), segment.clone())).filter(|to| depth > 0 && **to != inner) {
            return resolve(&[to.as_slice(), &path[index + 1..]].concat(), files, names, depth - 1);
        } else {
            break;
        }
    }
    at
}

/// Which files a file imports. What stands above a file in its own folders is no stranger to it.
fn graph<'s>(crate_of: &[(&'s Source, Module)]) -> BTreeMap<&'s str, BTreeSet<&'s str>> {
    let files: BTreeMap<Module, &str> =
        crate_of.iter().map(|(source, module)| (module.clone(), source.path.as_str())).collect();
    let mut names = BTreeMap::new();
    let mut imports = Vec::new();
    for (source, module) in crate_of {
        let mut found = Imports { at: module.clone(), ..Imports::default() };
        found.visit_file(&source.parsed);
        names.append(&mut found.names);
        imports.push((source.path.as_str(), module, found.paths));
    }
    let mut graph: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (path, module, paths) in imports {
        let targets = paths.iter().map(|to| resolve(to, &files, &names, 5));
        let others = targets.filter(|to| !module.starts_with(to));
        graph.entry(path).or_default().extend(others.map(|to| files[&to]));
    }
    graph
}

fn reachable<'s>(from: &str, graph: &BTreeMap<&'s str, BTreeSet<&'s str>>) -> BTreeSet<&'s str> {
    let mut found = BTreeSet::new();
    let mut open = vec![from];
    while let Some(next) = open.pop() {
        for to in graph.get(next).into_iter().flatten() {
            if found.insert(*to) {
                open.push(to);
            }
        }
    }
    found
}

#[test]
fn no_files_import_each_other() {
    let sources: Vec<Source> = sources().into_iter().filter(is_program).collect();
    let mut crates: BTreeMap<&str, Vec<(&Source, Module)>> = BTreeMap::new();
    for source in &sources {
        if let Some((root, module)) = module_of(&source.path) {
            crates.entry(root).or_default().push((source, module));
        }
    }
    let mut found = BTreeMap::new();
    for sources in crates.values() {
        let graph = graph(sources);
        for (file, imports) in &graph {
            let back = imports.iter().filter(|to| reachable(to, &graph).contains(file));
            let back: Vec<&str> = back.copied().collect();
            if !back.is_empty() {
                found.insert((*file).to_owned(), format!("by way of {}", back.join(", ")));
            }
        }
    }
    only(&found, IN_CIRCLES, "these import each other: move what both need to one of them, or to a third");
}
