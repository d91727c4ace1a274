//! Comma-separated values (RFC 4180), read strictly: a quote in the wrong place is an error.
//!
//! A record is a line, or several when a quoted field has line ends in it; empty lines are skipped.

/// Why text is no table, and in which line, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("CSV parse error on line {line}: {problem}")]
pub(super) struct CsvError {
    line: usize,
    problem: &'static str,
}

/// Reads records one by one.
pub(super) struct Records<'a> {
    rest: &'a str,
    line: usize,
    width: Option<usize>,
}

impl<'a> Records<'a> {
    /// Starts at the beginning of a text; all records must have as many fields as the first.
    pub(super) fn of(text: &'a str) -> Records<'a> {
        Records {
            rest: text,
            line: 0,
            width: None,
        }
    }

    fn error(&self, problem: &'static str) -> CsvError {
        CsvError {
            line: self.line,
            problem,
        }
    }

    /// The next line without its end, and whether it had one.
    fn next_line(&mut self) -> Option<(&'a str, bool)> {
        if self.rest.is_empty() {
            return None;
        }
        self.line += 1;
        let (line, rest, ended) = match self.rest.split_once('\n') {
            Some((line, rest)) => (line, rest, true),
            None => (self.rest, "", false),
        };
        self.rest = rest;
        Some((line.strip_suffix('\r').unwrap_or(line), ended))
    }

    fn read(&mut self) -> Result<Option<Vec<String>>, CsvError> {
        let (mut line, mut ended) = loop {
            match self.next_line() {
                None => return Ok(None),
                Some(("", _)) => {}
                Some(found) => break found,
            }
        };
        let mut fields = Vec::new();
        loop {
            let Some(mut quoted) = line.strip_prefix('"') else {
                let (field, rest) = match line.split_once(',') {
                    Some((field, rest)) => (field, Some(rest)),
                    None => (line, None),
                };
                if field.contains('"') {
                    return Err(self.error("bare \" in non-quoted field"));
                }
                fields.push(field.to_owned());
                match rest {
                    Some(rest) => line = rest,
                    None => break,
                }
                continue;
            };
            let mut field = String::new();
            let rest = loop {
                let Some((text, after)) = quoted.split_once('"') else {
                    // The field goes on in the next line.
                    field.push_str(quoted);
                    if ended {
                        field.push('\n');
                    }
                    (quoted, ended) = self
                        .next_line()
                        .ok_or_else(|| self.error("extraneous or missing \" in quoted-field"))?;
                    continue;
                };
                field.push_str(text);
                match after.strip_prefix('"') {
                    Some(after) => {
                        field.push('"');
                        quoted = after;
                    }
                    None => break after,
                }
            };
            fields.push(field);
            match rest.strip_prefix(',') {
                Some(rest) => line = rest,
                None if rest.is_empty() => break,
                None => return Err(self.error("extraneous or missing \" in quoted-field")),
            }
        }
        if *self.width.get_or_insert(fields.len()) != fields.len() {
            return Err(self.error("wrong number of fields"));
        }
        Ok(Some(fields))
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Vec<String>, CsvError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
