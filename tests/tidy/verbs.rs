//! Functions whose names are participles: a function does something, so its name is a verb, or a noun for what it gives.

use std::collections::BTreeMap;

use syn::visit::Visit;

use crate::{is_program, only, sources};

/// Verbs that end as participles do.
#[rustfmt::skip]
const VERBS: &[&str] = &["embed", "exceed", "feed", "need", "proceed", "seed", "shed", "speed", "succeed"];
/// Participles that do not end in `ed`. Those that are spelled as their verb, such as `read`, are none.
#[rustfmt::skip]
const IRREGULAR: &[&str] = &[
    "begun", "bought", "bound", "broken", "brought", "built", "caught", "chosen", "dealt", "done", "drawn", "driven", "fallen",
    "fed", "forgotten", "found", "frozen", "given", "gone", "got", "grown", "heard", "held", "hidden", "kept", "known", "laid",
    "led", "left", "lent", "lost", "made", "meant", "met", "overwritten", "paid", "rewritten", "said", "seen", "sent", "shown",
    "sold", "spent", "spoken", "stolen", "stood", "stuck", "sworn", "taken", "taught", "thought", "thrown", "told", "torn",
    "understood", "withheld", "won", "worn", "written",
];
/// Participles all the same: `path: name`.
const PARTICIPLES: &[&str] = &[
    // Constructors, each called as the kind that it makes.
    "pipeline/src/sink.rs: broken",
    "pipeline/src/sink.rs: misconfigured",
    "pipeline/src/sink.rs: refused",
    "pipeline/src/sink.rs: turned_away",
    // As the standard library's.
    "wire/src/decimal.rs: checked_mul",
];

fn is_participle(name: &str) -> bool {
    let first = name.split('_').next().unwrap_or_default();
    IRREGULAR.contains(&first) || (first.ends_with("ed") && !VERBS.contains(&first))
}

#[derive(Default)]
struct Participles {
    path: String,
    found: BTreeMap<String, String>,
}

impl Participles {
    fn judge(&mut self, signature: &syn::Signature) {
        let name = signature.ident.to_string();
        if is_participle(&name) {
            self.found.insert(format!("{}: {name}", self.path), String::new());
        }
    }
}

impl<'ast> Visit<'ast> for Participles {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if module.ident != "tests" {
            syn::visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.judge(&function.sig);
        syn::visit::visit_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        self.judge(&function.sig);
        syn::visit::visit_trait_item_fn(self, function);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        // A trait gives its functions their names, and may be a library's.
        let own = item.trait_.is_none();
        for inner in &item.items {
            if let syn::ImplItem::Fn(function) = inner
                && own
            {
                self.judge(&function.sig);
            }
        }
        syn::visit::visit_item_impl(self, item);
    }
}

#[test]
fn no_function_is_called_by_a_participle() {
    let mut participles = Participles::default();
    // The kit is a part of the tests.
    let is_judged = |path: &str| !path.starts_with("testkit/");
    for source in sources().iter().filter(|source| is_program(source) && is_judged(&source.path)) {
        participles.path.clone_from(&source.path);
        participles.visit_file(&source.parsed);
    }
    only(&participles.found, PARTICIPLES, "name what these functions do by a verb, or what they give by a noun");
}
