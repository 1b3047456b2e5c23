//! Rows of a CSV file as JSON objects: the header's names are the fields, those with dots are of an object in the object. Every
//! value is a text, as it stands; an empty one is no field.

use pipeline::sink::Reject;
use serde_json::{Map, Value};

/// What may stand between values.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

/// The first line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CsvHeader {
    delimiter: u8,
    names: Vec<String>,
}

/// Whether a first line can be a header, and is no JSON.
pub(super) fn looks_like_table(line: &[u8]) -> bool {
    !matches!(line.trim_ascii_start().first(), Some(b'{' | b'[') | None)
        && DELIMITERS.iter().any(|delimiter| line.contains(delimiter))
}

/// Whether a row goes on in the next line: a quote is open.
pub(super) fn is_open(row: &[u8]) -> bool {
    row.iter().filter(|byte| **byte == b'"').count() % 2 == 1
}

impl CsvHeader {
    /// Reads it.
    ///
    /// # Errors
    /// A sentence, where it is none.
    pub(super) fn read(line: &[u8]) -> Result<Self, String> {
        let count = |delimiter: &u8| line.iter().filter(|byte| *byte == delimiter).count();
        let delimiter = DELIMITERS.into_iter().rev().max_by_key(count).unwrap_or(b',');
        let names = split(line, delimiter).ok_or_else(|| "its first line cannot be read as CSV".to_owned())?;
        if let Some(wrong) = names.iter().position(|name| !is_name(name)) {
            let number = wrong + 1;
            return Err(format!("column {number} of its first line is no name of a field: it needs a header"));
        }
        if !names.iter().any(|name| is_of_id(name)) {
            return Err("its first line names no id, such as `id` or `transaction.id`: it needs a header".to_owned());
        }
        let clash = |name: &String| {
            let inner = format!("{name}.");
            names.iter().filter(|other| *other == name || other.starts_with(&inner)).count() > 1
        };
        match names.iter().find(|name| clash(name)) {
            Some(name) => Err(format!("the column {name} stands twice in its header, or is an object besides")),
            None => Ok(Self { delimiter, names }),
        }
    }

    /// A row as an object.
    ///
    /// # Errors
    /// Where it has more or fewer values than there are names, or is no text.
    pub(super) fn object(&self, row: &[u8]) -> Result<Vec<u8>, Reject> {
        let values =
            split(row, self.delimiter).ok_or_else(|| Reject::new("not_csv", "the row cannot be read as CSV"))?;
        if values.len() != self.names.len() {
            let why = format!("the row has {} values, and the header {} names", values.len(), self.names.len());
            return Err(Reject::new("csv_fields", why));
        }
        let mut object = Map::new();
        for (name, value) in self.names.iter().zip(values).filter(|(_, value)| !value.is_empty()) {
            put(&mut object, name, value);
        }
        serde_json::to_vec(&object).map_err(|error| Reject::new("not_csv", error.to_string()))
    }
}

fn put(object: &mut Map<String, Value>, name: &str, value: String) {
    match name.split_once('.') {
        None => drop(object.insert(name.to_owned(), value.into())),
        Some((outer, inner)) => {
            let entry = object.entry(outer).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(object) = entry {
                put(object, inner, value);
            }
        }
    }
}

fn is_name(name: &str) -> bool {
    let part = |part: &str| {
        let mut characters = part.chars();
        characters.next().is_some_and(|first| first.is_alphabetic() || first == '_')
            && characters.all(|one| one.is_alphanumeric() || matches!(one, '_' | '-' | ' '))
    };
    name.split('.').all(part)
}

fn is_of_id(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    last.eq_ignore_ascii_case("id") || last.ends_with("_id") || last.ends_with("Id")
}

/// The values of a row; none where it is no CSV in UTF-8.
fn split(row: &[u8], delimiter: u8) -> Option<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).delimiter(delimiter).from_reader(row);
    let mut found = csv::StringRecord::new();
    reader.read_record(&mut found).ok()?.then(|| found.iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(header: &str, row: &str) -> Result<Value, String> {
        let header = CsvHeader::read(header.as_bytes()).unwrap();
        let object = header.object(row.as_bytes()).map_err(|reject| reject.class.into_owned())?;
        Ok(serde_json::from_slice(&object).unwrap())
    }

    #[test]
    fn names_with_dots_are_of_an_object_in_the_object_and_values_are_texts_as_they_stand() {
        let header = "event_type,transaction.id,transaction.amount,transaction.metadata.tag,source";
        assert_eq!(
            object(header, r#"transaction.created,007,1.50,"a ""b"", c","#).unwrap().to_string(),
            r#"{"event_type":"transaction.created","transaction":{"amount":"1.50","id":"007","metadata":{"tag":"a \"b\", c"}}}"#
        );
        assert_eq!(object("id;note", "1;\"two\nlines\"").unwrap()["note"], "two\nlines");
        assert_eq!(object("id\tnote", "1\t").unwrap().to_string(), r#"{"id":"1"}"#);
        assert_eq!(object("id,note", "1").unwrap_err(), "csv_fields");
    }

    #[test]
    fn a_first_line_that_is_no_header_is_refused() {
        for (line, says) in [
            ("tx-1,u1,2025-01-01T00:00:00Z", "column 3"),
            ("tx_1,u1,card", "names no id"),
            ("id,,x", "column 2"),
            ("id,a,a", "a stands twice"),
            ("id,a,a.b", "a stands twice"),
            ("id,1.50", "column 2"),
        ] {
            let why = CsvHeader::read(line.as_bytes()).unwrap_err();
            assert!(why.contains(says), "{line}: {why}");
        }
        assert!(looks_like_table(b"id,x") && !looks_like_table(b" {\"a\":1,\"b\":2}") && !looks_like_table(b"id"));
        assert!(is_open(b"1,\"a") && !is_open(b"1,\"a\"\"b\""));
    }
}
