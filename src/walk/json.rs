//! JSON as it is written: numbers by their digits, members in their order, and none left out.

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plain {
    Null,
    Bool(bool),
    /// Its digits.
    Number(String),
    /// With U+FFFD for each half of a character.
    Text(String),
    List(Vec<Plain>),
    Object(Vec<(String, Plain)>),
    /// Milliseconds since 1970; only stores have these.
    Time(i64),
}

/// Reads a text that is one value of at most so many levels.
pub(super) fn read(text: &str, levels: usize) -> Option<Plain> {
    let mut reader = Reader { rest: text };
    let value = reader.value(levels)?;
    reader.skip_blanks();
    reader.rest.is_empty().then_some(value)
}

struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// Takes this where it comes next, blanks before it as well.
    fn take(&mut self, word: &str) -> bool {
        self.skip_blanks();
        let rest = self.rest.strip_prefix(word);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn value(&mut self, levels: usize) -> Option<Plain> {
        self.skip_blanks();
        match self.rest.chars().next()? {
            '{' => self.object(levels.checked_sub(1)?).map(Plain::Object),
            '[' => self.list(levels.checked_sub(1)?).map(Plain::List),
            '"' => self.text().map(Plain::Text),
            '-' | '0'..='9' => self.number().map(|digits| Plain::Number(digits.to_owned())),
            _ if self.take("null") => Some(Plain::Null),
            _ if self.take("true") => Some(Plain::Bool(true)),
            _ if self.take("false") => Some(Plain::Bool(false)),
            _ => None,
        }
    }

    fn object(&mut self, levels: usize) -> Option<Vec<(String, Plain)>> {
        let mut members = Vec::new();
        if !self.take("{") || self.take("}") {
            return Some(members);
        }
        loop {
            self.skip_blanks();
            let name = self.text()?;
            if !self.take(":") {
                return None;
            }
            members.push((name, self.value(levels)?));
            if self.take("}") {
                return Some(members);
            }
            if !self.take(",") {
                return None;
            }
        }
    }

    fn list(&mut self, levels: usize) -> Option<Vec<Plain>> {
        let mut values = Vec::new();
        if !self.take("[") || self.take("]") {
            return Some(values);
        }
        loop {
            values.push(self.value(levels)?);
            if self.take("]") {
                return Some(values);
            }
            if !self.take(",") {
                return None;
            }
        }
    }

    /// Takes the digits that come next, as many as there are.
    fn digits(&mut self) -> usize {
        let rest = self.rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let count = self.rest.len() - rest.len();
        self.rest = rest;
        count
    }

    fn number(&mut self) -> Option<&'t str> {
        let whole = self.rest;
        self.rest = self.rest.strip_prefix('-').unwrap_or(self.rest);
        let leading_zero = self.rest.starts_with('0');
        let count = self.digits();
        let mut sound = count == 1 || (count > 1 && !leading_zero);
        if let Some(rest) = self.rest.strip_prefix('.') {
            self.rest = rest;
            sound &= self.digits() > 0;
        }
        if let Some(rest) = self.rest.strip_prefix(['e', 'E']) {
            self.rest = rest.strip_prefix(['+', '-']).unwrap_or(rest);
            sound &= self.digits() > 0;
        }
        whole.get(..whole.len() - self.rest.len()).filter(|_| sound)
    }

    fn text(&mut self) -> Option<String> {
        self.rest = self.rest.strip_prefix('"')?;
        // UTF-16, as escapes are written: halves of characters find each other there.
        let mut units: Vec<u16> = Vec::new();
        loop {
            let c = self.next()?;
            match c {
                '"' => return Some(whole_characters(&units)),
                '\\' => units.push(self.read_escape()?),
                '\0'..='\u{1f}' => return None,
                _ => units.extend_from_slice(c.encode_utf16(&mut [0; 2])),
            }
        }
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next();
        self.rest = chars.as_str();
        c
    }

    fn read_escape(&mut self) -> Option<u16> {
        Some(match self.next()? {
            'n' => 10,
            't' => 9,
            'r' => 13,
            'b' => 8,
            'f' => 12,
            'u' => {
                let (digits, rest) = self.rest.split_at_checked(4)?;
                self.rest = rest;
                let hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                u16::from_str_radix(digits, 16).ok().filter(|_| hex)?
            }
            '"' => 34,
            '\\' => 92,
            '/' => 47,
            _ => return None,
        })
    }
}

/// A half without its other half is U+FFFD.
fn whole_characters(units: &[u16]) -> String {
    char::decode_utf16(units.iter().copied()).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}
