//! Synthetic operations of the database consumer: rows of four entities that are made, changed and deleted.
//!
//! Pure, as all of [`super`].

mod source;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use super::duplicates::Duplicated;
use super::{GeneratorOptions, OptionsError};
use source::OperationTemplate;

/// One message; its key is the entity and the id.
pub type OperationMessage = super::Message<ExpectedRow>;

/// What a row must hold in the end, as far as operations wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedRow {
    pub entity: &'static str,
    pub id: u64,
    pub deleted: bool,
    /// Column and value as text, of the last operation; those of a deleted row are empty.
    pub columns: Vec<(&'static str, String)>,
}

/// The operations, in the order in which they are to be sent.
///
/// # Errors
/// As [`GeneratorOptions::counts`].
pub fn events(options: &GeneratorOptions) -> Result<impl Iterator<Item = OperationMessage> + use<>, OptionsError> {
    let counts = options.counts()?;
    Ok(Duplicated::new(OperationTemplate, options, counts))
}

/// What the tables must hold when everything has been read, by entity and id: operations merge.
///
/// # Errors
/// As [`events()`].
pub fn expect_rows(options: &GeneratorOptions) -> Result<HashMap<(&'static str, u64), ExpectedRow>, OptionsError> {
    let mut rows: HashMap<(&'static str, u64), ExpectedRow> = HashMap::new();
    for event in events(options)?.filter(|event| !event.duplicate) {
        let Some(state) = event.state else { continue };
        match rows.get_mut(&(state.entity, state.id)) {
            // What comes after the delete finds no row.
            Some(known) if known.deleted => {}
            Some(known) if state.deleted => (known.deleted, known.columns) = (true, Vec::new()),
            Some(known) => {
                for (name, value) in state.columns {
                    known.columns.retain(|(other, _)| *other != name);
                    known.columns.push((name, value));
                }
            }
            None => drop(rows.insert((state.entity, state.id), state)),
        }
    }
    Ok(rows)
}
