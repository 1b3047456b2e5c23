//! What is public without need: its name stands nowhere but where it is defined.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::Visibility;
use syn::visit::Visit;

use crate::{Source, only, sources};

/// Public all the same: `path: name`.
const SEEN_BY_NOBODY: &[&str] = &[
    // For who sends events.
    "events/src/producer.rs: send_event",
];

/// All names in a stream of tokens, those in the arguments of macros with them.
fn collect(tokens: TokenStream, names: &mut BTreeSet<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(name) => _ = names.insert(name.to_string()),
            TokenTree::Group(group) => collect(group.stream(), names),
            _ => {}
        }
    }
}

#[derive(Default)]
struct Items {
    /// Names of public items, and whether each is a type.
    public: Vec<(String, bool)>,
    /// Names in what more than this file can see: signatures, fields, implementations of traits.
    exposed: BTreeSet<String>,
}

impl Items {
    fn item(&mut self, visibility: &Visibility, name: &syn::Ident, is_type: bool) {
        if matches!(visibility, Visibility::Public(_)) {
            self.public.push((name.to_string(), is_type));
        }
    }

    fn expose(&mut self, visibility: &Visibility, seen: &impl ToTokens) {
        if !matches!(visibility, Visibility::Inherited) {
            collect(seen.to_token_stream(), &mut self.exposed);
        }
    }
}

impl<'ast> Visit<'ast> for Items {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if module.ident != "tests" {
            syn::visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        // What it makes of them may be public.
        collect(item.mac.tokens.clone(), &mut self.exposed);
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.item(&function.vis, &function.sig.ident, false);
        self.expose(&function.vis, &(&function.sig.inputs, &function.sig.output).tokens());
        self.expose(&function.vis, &function.sig.generics.where_clause);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.item(&item.vis, &item.ident, true);
        item.fields.iter().for_each(|field| self.expose(&field.vis, &field.ty));
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.item(&item.vis, &item.ident, true);
        item.variants.iter().for_each(|variant| self.expose(&item.vis, &variant.fields));
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.item(&item.vis, &item.ident, true);
        self.expose(&item.vis, &item.supertraits);
        item.items.iter().for_each(|inner| self.expose(&item.vis, inner));
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.item(&item.vis, &item.ident, true);
        self.expose(&item.vis, &item.ty);
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.item(&item.vis, &item.ident, false);
        self.expose(&item.vis, &item.ty);
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.item(&item.vis, &item.ident, false);
        self.expose(&item.vis, &item.ty);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        for inner in &item.items {
            match inner {
                syn::ImplItem::Fn(function) if item.trait_.is_none() => {
                    self.item(&function.vis, &function.sig.ident, false);
                    self.expose(&function.vis, &(&function.sig.inputs, &function.sig.output).tokens());
                }
                syn::ImplItem::Const(constant) => self.item(&constant.vis, &constant.ident, false),
                syn::ImplItem::Type(kind) => collect(kind.ty.to_token_stream(), &mut self.exposed),
                _ => {}
            }
        }
    }
}

trait Tokens {
    fn tokens(&self) -> TokenStream;
}

impl<A: ToTokens, B: ToTokens> Tokens for (&A, &B) {
    fn tokens(&self) -> TokenStream {
        let mut tokens = self.0.to_token_stream();
        self.1.to_tokens(&mut tokens);
        tokens
    }
}

/// Where an item may be seen without being public: its file, or in a library its crate.
fn home(path: &str) -> &str {
    match path.find("/src/") {
        Some(end) if !path.contains("/bin/") && !path.starts_with("src/") => &path[..end + 5],
        _ => path,
    }
}

#[test]
fn nothing_is_public_that_nobody_else_names() {
    let sources = sources();
    let mut places: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    let mut exposed = BTreeSet::new();
    let mut public = Vec::new();
    for Source { path, text, parsed } in &sources {
        let mut names = BTreeSet::new();
        collect(text.parse().unwrap(), &mut names);
        names.into_iter().for_each(|name| _ = places.entry(name).or_default().insert(home(path)));
        let mut items = Items::default();
        items.visit_file(parsed);
        exposed.append(&mut items.exposed);
        public.extend(items.public.into_iter().map(|(name, is_type)| (path, name, is_type)));
    }
    let unseen = public.into_iter().filter(|(path, name, is_type)| {
        // A type in a signature is as visible as that.
        !(*is_type && exposed.contains(name)) && places[name].iter().all(|place| *place == home(path))
    });
    let found = unseen.map(|(path, name, _)| (format!("{path}: {name}"), String::new())).collect();
    only(&found, SEEN_BY_NOBODY, "nobody outside names these: make them private or pub(crate), or remove them");
}
