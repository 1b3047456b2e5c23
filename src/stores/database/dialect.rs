//! The text of statements, and what is bound to them. Pure. Names are quoted and values are bound; no value is ever spliced.
//!
//! MySQL takes a list of rows, in one of a few lengths, so that prepared statements are found again. PostgreSQL takes a column
//! at a time, as an array of texts that it casts itself, so that one statement does for any number of rows.

use enrichers::operation::SqlValue;

/// The language of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Mysql,
    Postgres,
}

/// A column as a statement names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BoundColumn {
    pub(super) name: String,
    /// How PostgreSQL makes the value of a text: a type without its length, for a cast to a length cuts; or a function.
    pub(super) cast: Cast,
}

/// How a text becomes a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cast {
    /// PostgreSQL's name of the type; MySQL converts by itself.
    Type(String),
    /// Bytes, from hexadecimal.
    Hex,
}

/// A statement with its values.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) values: BoundValues,
}

/// What is bound.
#[derive(Debug)]
pub(super) enum BoundValues {
    /// One by one.
    Each(Vec<SqlValue>),
    /// A column each.
    Columns(Vec<Vec<Option<String>>>),
}

/// A row: its key, then its values.
pub(super) type RowParts<'r> = (&'r [SqlValue], &'r [SqlValue]);

impl Dialect {
    pub(super) fn quote(self, name: &str) -> String {
        match self {
            Self::Mysql => format!("`{}`", name.replace('`', "``")),
            Self::Postgres => format!("\"{}\"", name.replace('"', "\"\"")),
        }
    }

    /// Adds rows.
    pub(super) fn insert(
        self,
        table: &str,
        columns: &[BoundColumn],
        rows: &[&[SqlValue]],
        returning: Option<&str>,
    ) -> Statement {
        let names: Vec<String> = columns.iter().map(|column| self.quote(&column.name)).collect();
        let (table, names) = (self.quote(table), names.join(", "));
        match self {
            Self::Mysql => {
                let row: Vec<&str> = columns.iter().map(|column| column.cast.placeholder()).collect();
                let row = format!("({})", row.join(", "));
                let all = vec![row.as_str(); rows.len()].join(", ");
                let sql = format!("INSERT INTO {table} ({names}) VALUES {all}");
                let values = rows.iter().flat_map(|row| row.iter().cloned()).collect();
                Statement { sql, values: BoundValues::Each(values) }
            }
            Self::Postgres => {
                let cast: Vec<String> =
                    columns.iter().enumerate().map(|(at, column)| column.cast.of(&format!("r.c{at}"))).collect();
                let returning =
                    returning.map(|name| format!(" RETURNING {}::text", self.quote(name))).unwrap_or_default();
                // Without columns there is nothing to take apart.
                let sql = if columns.is_empty() {
                    format!("INSERT INTO {table} DEFAULT VALUES{returning}")
                } else {
                    format!(
                        "INSERT INTO {table} ({names}) SELECT {} FROM {} ORDER BY r.n{returning}",
                        cast.join(", "),
                        rows_of(columns.len())
                    )
                };
                Statement {
                    sql,
                    values: BoundValues::Columns(by_column(columns.len(), rows.iter().map(|row| row.iter()))),
                }
            }
        }
    }

    /// The rows of some keys, in one column of texts; `lock` keeps others from changing them.
    pub(super) fn look_up(
        self,
        table: &str,
        key: &[BoundColumn],
        shown: Option<&BoundColumn>,
        rows: &[&[SqlValue]],
        lock: bool,
    ) -> Statement {
        let table = self.quote(table);
        let shown = shown.map(|column| format!("t.{}", self.quote(&column.name)));
        match self {
            Self::Mysql => {
                let shown = shown.map_or_else(|| "''".to_owned(), |name| format!("CAST({name} AS CHAR)"));
                let lock = if lock { " FOR UPDATE" } else { "" };
                let sql = format!("SELECT {shown} FROM {table} AS t WHERE {}{lock}", self.among(key, rows.len()));
                let values = rows.iter().flat_map(|row| row.iter().cloned()).collect();
                Statement { sql, values: BoundValues::Each(values) }
            }
            Self::Postgres => {
                let shown = shown.map_or_else(|| "''::text".to_owned(), |name| format!("{name}::text"));
                let lock = if lock { " FOR UPDATE OF t" } else { "" };
                let rows_given = rows_of(key.len());
                let sql =
                    format!("SELECT {shown} FROM {table} AS t JOIN {rows_given} ON {}{lock}", self.match_rows(key));
                let all = rows.iter().map(|row| row.iter());
                Statement { sql, values: BoundValues::Columns(by_column(key.len(), all)) }
            }
        }
    }

    /// Changes rows, by their keys.
    pub(super) fn update(
        self,
        table: &str,
        key: &[BoundColumn],
        columns: &[BoundColumn],
        rows: &[RowParts<'_>],
    ) -> Statement {
        let table = self.quote(table);
        match self {
            Self::Mysql => {
                let is: Vec<String> = key.iter().map(|column| format!("{} = ?", self.quote(&column.name))).collect();
                let when = format!("WHEN {} THEN ? ", is.join(" AND "));
                let set = |column: &BoundColumn| {
                    let name = self.quote(&column.name);
                    match rows.len() {
                        1 => format!("{name} = ?"),
                        // Every row that is met is of a branch; the rest is for the reader.
                        _ => format!("{name} = CASE {}ELSE {name} END", when.repeat(rows.len())),
                    }
                };
                let set: Vec<String> = columns.iter().map(set).collect();
                let mut values = Vec::with_capacity(rows.len() * (columns.len() * (key.len() + 1) + key.len()));
                for at in 0..columns.len() {
                    for (row_key, row) in rows {
                        if rows.len() > 1 {
                            values.extend_from_slice(row_key);
                        }
                        values.extend(row.get(at).cloned());
                    }
                }
                values.extend(rows.iter().flat_map(|(row_key, _)| row_key.iter().cloned()));
                let sql = format!("UPDATE {table} SET {} WHERE {}", set.join(", "), self.among(key, rows.len()));
                Statement { sql, values: BoundValues::Each(values) }
            }
            Self::Postgres => {
                let value = |(at, column): (usize, &BoundColumn)| {
                    let cast = column.cast.of(&format!("r.c{}", key.len() + at));
                    format!("{} = {cast}", self.quote(&column.name))
                };
                let set: Vec<String> = columns.iter().enumerate().map(value).collect();
                let sql = format!(
                    "UPDATE {table} AS t SET {} FROM {} WHERE {}",
                    set.join(", "),
                    rows_of(key.len() + columns.len()),
                    self.match_rows(key)
                );
                let all = rows.iter().map(|(row_key, row)| row_key.iter().chain(row.iter()));
                Statement { sql, values: BoundValues::Columns(by_column(key.len() + columns.len(), all)) }
            }
        }
    }

    /// Takes rows away, by their keys.
    pub(super) fn delete(self, table: &str, key: &[BoundColumn], rows: &[&[SqlValue]]) -> Statement {
        let table = self.quote(table);
        match self {
            Self::Mysql => {
                let sql = format!("DELETE FROM {table} WHERE {}", self.among(key, rows.len()));
                let values = rows.iter().flat_map(|row| row.iter().cloned()).collect();
                Statement { sql, values: BoundValues::Each(values) }
            }
            Self::Postgres => {
                let sql =
                    format!("DELETE FROM {table} AS t USING {} WHERE {}", rows_of(key.len()), self.match_rows(key));
                Statement { sql, values: BoundValues::Columns(by_column(key.len(), rows.iter().map(|row| row.iter()))) }
            }
        }
    }

    /// Single values: of MySQL as they stand, of PostgreSQL each as an array of one text.
    pub(super) fn one(self, values: &[SqlValue]) -> BoundValues {
        let text = |value: &SqlValue| vec![value.text().map(|text| text.into_owned())];
        match self {
            Self::Mysql => BoundValues::Each(values.to_vec()),
            Self::Postgres => BoundValues::Columns(values.iter().map(text).collect()),
        }
    }

    /// The place of the value of this number among single values, from 1.
    pub(super) fn placeholder(self, cast: &Cast, number: usize) -> String {
        match self {
            Self::Mysql => cast.placeholder().to_owned(),
            Self::Postgres => cast.of(&format!("(${number}::text[])[1]")),
        }
    }

    /// The condition of MySQL that the key is one of so many.
    pub(super) fn among(self, key: &[BoundColumn], rows: usize) -> String {
        let names: Vec<String> = key.iter().map(|column| self.quote(&column.name)).collect();
        let places: Vec<&str> = key.iter().map(|column| column.cast.placeholder()).collect();
        match (names.as_slice(), places.as_slice()) {
            ([name], [place]) => format!("{name} IN ({})", vec![*place; rows].join(", ")),
            _ => {
                let row = format!("({})", places.join(", "));
                format!("({}) IN ({})", names.join(", "), vec![row.as_str(); rows].join(", "))
            }
        }
    }

    /// The condition of PostgreSQL that a row of the table is a row of the arrays.
    pub(super) fn match_rows(self, key: &[BoundColumn]) -> String {
        let is = |(at, column): (usize, &BoundColumn)| {
            format!("t.{} = {}", self.quote(&column.name), column.cast.of(&format!("r.c{at}")))
        };
        key.iter().enumerate().map(is).collect::<Vec<_>>().join(" AND ")
    }
}

impl Cast {
    fn placeholder(&self) -> &'static str {
        match self {
            Self::Type(_) => "?",
            Self::Hex => "UNHEX(?)",
        }
    }

    fn of(&self, text: &str) -> String {
        match self {
            Self::Type(name) => format!("CAST({text} AS {name})"),
            Self::Hex => format!("decode({text}, 'hex')"),
        }
    }
}

/// The arrays as rows `r` with columns `c0`, `c1` and so on, and their number `n`.
pub(super) fn rows_of(columns: usize) -> String {
    let arrays: Vec<String> = (1..=columns).map(|at| format!("${at}::text[]")).collect();
    let names: Vec<String> = (0..columns).map(|at| format!("c{at}")).collect();
    format!("UNNEST({}) WITH ORDINALITY AS r ({}, n)", arrays.join(", "), names.join(", "))
}

fn by_column<'v>(
    columns: usize,
    rows: impl Iterator<Item = impl Iterator<Item = &'v SqlValue>>,
) -> Vec<Vec<Option<String>>> {
    let mut all = vec![Vec::new(); columns];
    for row in rows {
        for (column, value) in all.iter_mut().zip(row) {
            column.push(value.text().map(|text| text.into_owned()));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, cast: &str) -> BoundColumn {
        BoundColumn { name: name.to_owned(), cast: Cast::Type(cast.to_owned()) }
    }

    fn text(text: &str) -> SqlValue {
        SqlValue::Text(text.to_owned())
    }

    #[test]
    fn names_are_quoted_and_values_bound() {
        let evil = "a`; DROP TABLE x; -- \"";
        let columns = [column("id", "bigint"), column(evil, "text")];
        let row = [SqlValue::Integer(1), text("'); DROP TABLE x; --")];
        let mysql = Dialect::Mysql.insert(evil, &columns, &[&row, &row], None);
        assert_eq!(
            mysql.sql,
            "INSERT INTO `a``; DROP TABLE x; -- \"` (`id`, `a``; DROP TABLE x; -- \"`) VALUES (?, ?), (?, ?)"
        );
        let postgres = Dialect::Postgres.insert(evil, &columns, &[&row], Some("id"));
        let quoted = "\"a`; DROP TABLE x; -- \"\"\"";
        assert_eq!(
            postgres.sql,
            format!(
                "INSERT INTO {quoted} (\"id\", {quoted}) SELECT CAST(r.c0 AS bigint), CAST(r.c1 AS text) FROM \
                 UNNEST($1::text[], $2::text[]) WITH ORDINALITY AS r (c0, c1, n) ORDER BY r.n RETURNING \"id\"::text"
            )
        );
    }

    #[test]
    fn an_update_binds_what_it_names() {
        let (key, columns) = ([column("id", "bigint")], [column("a", "text"), column("b", "text")]);
        let rows = [[SqlValue::Integer(1)], [SqlValue::Integer(2)]];
        let values = [[text("x"), SqlValue::Null], [text("y"), text("z")]];
        let parts: Vec<RowParts<'_>> = rows.iter().zip(&values).map(|(key, row)| (&key[..], &row[..])).collect();
        let both = Dialect::Mysql.update("t", &key, &columns, &parts);
        let BoundValues::Each(bound) = both.values else { panic!() };
        assert_eq!(both.sql.matches('?').count(), bound.len());
        let one = Dialect::Mysql.update("t", &key, &columns, &parts[..1]);
        assert_eq!(one.sql, "UPDATE `t` SET `a` = ?, `b` = ? WHERE `id` IN (?)");
        let BoundValues::Each(bound) = one.values else { panic!() };
        assert_eq!(bound, [text("x"), SqlValue::Null, SqlValue::Integer(1)]);
        let postgres = Dialect::Postgres.update("t", &key, &columns, &parts);
        assert!(postgres.sql.contains("\"a\" = CAST(r.c1 AS text), \"b\" = CAST(r.c2 AS text)"), "{}", postgres.sql);
        assert!(postgres.sql.ends_with("WHERE t.\"id\" = CAST(r.c0 AS bigint)"), "{}", postgres.sql);
    }
}
