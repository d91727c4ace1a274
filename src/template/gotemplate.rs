//! Go templates in strings: `{{ .Vars }}`, `{{ timestamp }}`, `{{ if … }}…{{ end }}`.
//!
//! Components render their texts with these, apart from the language's own `${…}`. The language is
//! that of Go's text/template; the functions are its own and those of Packer's components. A
//! template is text from anywhere: what rendering one may cost is bounded.

mod error;
mod functions;
mod parse;
mod render;
mod scan;
mod value;

pub use error::GoTemplateError;

use super::scope::RandomBytes;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What a Go template can refer to.
#[derive(Clone)]
pub struct GoTemplateData {
    /// Fields, referred to as `{{ .Name }}`.
    pub fields: BTreeMap<String, String>,
    /// `{{ build_name }}`
    pub build_name: String,
    /// `{{ build_type }}`
    pub build_type: String,
    /// `{{ pwd }}`
    pub working_folder: String,
    /// The time of `{{ timestamp }}` and `{{ isotime }}`.
    pub now: jiff::Timestamp,
    /// What `{{ uuid }}` is made of.
    pub random: Arc<RandomBytes>,
}

impl GoTemplateData {
    /// The same with one more field.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }
}

impl fmt::Debug for GoTemplateData {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("GoTemplateData")
            .field("fields", &self.fields)
            .field("build_name", &self.build_name)
            .field("build_type", &self.build_type)
            .finish_non_exhaustive()
    }
}

/// Renders a text. One without `{{` stays as it is.
pub fn render(text: &str, data: &GoTemplateData) -> Result<String, GoTemplateError> {
    if !text.contains("{{") {
        return Ok(text.to_owned());
    }
    render::render(&parse::parse(text)?, data)
}

/// The actions of a text whose result differs in each run, as they are written: `{{ timestamp }}`.
/// None in a text that is no template.
pub fn changing_actions(text: &str) -> Vec<String> {
    if !text.contains("{{") {
        return Vec::new();
    }
    parse::parse(text).map_or_else(
        |_| Vec::new(),
        |template| {
            let calls = template.calls.iter();
            let changing = calls.filter(|call| functions::changes_each_run(&call.name));
            changing
                .map(|call| text.get(call.action.clone()).unwrap_or("").to_owned())
                .collect()
        },
    )
}

#[cfg(test)]
mod tests;
