//! Errors of Go templates.

use std::fmt;

/// Why a Go template has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoTemplateError {
    /// What is wrong.
    pub message: String,
    /// Where, as a byte of the text.
    pub offset: usize,
}

impl GoTemplateError {
    pub(super) fn new(offset: usize, message: impl Into<String>) -> GoTemplateError {
        let message = message.into();
        GoTemplateError { message, offset }
    }
}

impl fmt::Display for GoTemplateError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for GoTemplateError {}
