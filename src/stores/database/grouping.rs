//! Which rows go in one statement. Pure.
//!
//! A row may pass rows of tables that no foreign key binds to its own. On its own table it may pass rows that it cannot meet in
//! a unique index: the primary key's differs, and of the others one of the two touches none.

use std::collections::HashSet;
use std::sync::Arc;

use super::catalogue::TableShape;
use super::operation::{ResolvedOperation, RowVerb, RowWrite};

/// How many statements back a row looks for its like.
const LOOK_BACK: usize = 48;

/// Rows of one statement.
pub(super) struct StatementGroup<'o> {
    pub(super) table: Arc<TableShape>,
    pub(super) verb: RowVerb,
    pub(super) columns: &'o [usize],
    pub(super) rows: Vec<&'o RowWrite>,
    /// The operation of the first row, by its place among those that are planned.
    pub(super) of: usize,
    names: HashSet<&'o str>,
    /// Whether it may meet other rows in an index beside the primary key's.
    unique: bool,
    /// The database makes its key, or it is told from others by what was done, so it goes alone.
    alone: bool,
}

/// The statements of some operations, in an order that leaves the same rows as the log's.
pub(super) fn plan<'o>(operations: &[&'o ResolvedOperation<'_>]) -> Vec<StatementGroup<'o>> {
    let mut groups: Vec<StatementGroup<'o>> = Vec::new();
    for (of, operation) in operations.iter().enumerate() {
        for row in &operation.rows {
            place(&mut groups, operation, row, of);
        }
    }
    groups.iter_mut().for_each(StatementGroup::sort);
    in_one_order(&mut groups);
    groups
}

impl StatementGroup<'_> {
    /// Rows of a statement lock in the order of their names, so that two writers do not wait for each other. No order shows: each is of
    /// another row, and none frees a unique key.
    fn sort(&mut self) {
        if self.rows.len() > 1 {
            self.rows.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        }
    }

    /// Whether nothing shows the order of two statements on two tables.
    fn is_free_of(&self, other: &Self) -> bool {
        self.table.name != other.table.name && !is_bound(&self.table, &other.table)
    }
}

fn is_bound(one: &TableShape, other: &TableShape) -> bool {
    one.bound.contains(&other.name) || other.bound.contains(&one.name)
}

/// Brings statements into the order of their tables, as far as nothing shows it.
fn in_one_order(groups: &mut [StatementGroup<'_>]) {
    for end in 1..groups.len() {
        let mut at = end;
        while let Some([before, this]) = at.checked_sub(1).and_then(|from| groups.get(from..=at))
            && this.table.name < before.table.name
            && this.is_free_of(before)
        {
            groups.swap(at - 1, at);
            at -= 1;
        }
    }
}

fn place<'o>(groups: &mut Vec<StatementGroup<'o>>, operation: &'o ResolvedOperation<'_>, row: &'o RowWrite, of: usize) {
    let table = &operation.table;
    let unique = match row.verb {
        RowVerb::Insert | RowVerb::Delete => !table.unique.is_empty(),
        RowVerb::Update => table.touches_unique(&row.columns),
    };
    let alone = row.name.is_none() || row.expected.is_some();
    for group in groups.iter_mut().rev().take(LOOK_BACK) {
        let same_table = group.table.name == table.name;
        let is_like = same_table && group.verb == row.verb && group.columns == row.columns && !alone && !group.alone;
        // One may free the key that another takes, in an order that a statement does not keep.
        let is_like = is_like && !(row.verb == RowVerb::Update && unique);
        let holds = row.name.as_deref().is_some_and(|name| group.names.contains(name));
        if is_like && !holds {
            group.rows.push(row);
            group.names.extend(row.name.as_deref());
            return;
        }
        let bound = is_bound(&group.table, table);
        // An id that the database makes may be any.
        let may_meet = same_table && (holds || (unique && group.unique) || alone || group.alone);
        if bound || may_meet {
            break;
        }
    }
    groups.push(StatementGroup {
        table: table.clone(),
        verb: row.verb,
        columns: &row.columns,
        rows: vec![row],
        of,
        names: row.name.as_deref().into_iter().collect(),
        unique,
        alone,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(tables: &[(&str, &[&str])]) -> Vec<String> {
        let group = |(name, bound): &(&str, &[&str])| StatementGroup {
            table: Arc::new(TableShape::with_bound(name, bound)),
            verb: RowVerb::Insert,
            columns: &[],
            rows: Vec::new(),
            of: 0,
            names: HashSet::new(),
            unique: false,
            alone: false,
        };
        let mut groups: Vec<StatementGroup<'_>> = tables.iter().map(group).collect();
        in_one_order(&mut groups);
        groups.iter().map(|group| group.table.name.clone()).collect()
    }

    #[test]
    fn statements_go_in_the_order_of_their_tables_where_no_foreign_key_shows_it() {
        assert_eq!(order(&[("c", &[]), ("a", &[]), ("b", &[]), ("a", &[])]), ["a", "a", "b", "c"]);
        // What is bound stays in its order, and holds up what would pass both.
        assert_eq!(order(&[("c", &["a"]), ("b", &[]), ("a", &["c"])]), ["b", "c", "a"]);
        assert_eq!(order(&[("d", &[]), ("b", &["d"]), ("a", &[])]), ["a", "d", "b"]);
    }
}
