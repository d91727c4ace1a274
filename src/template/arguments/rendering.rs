//! Go templates in the values of arguments.

use crate::diagnostic::{SourceSpan, Sources};
use crate::template::gotemplate::{self, GoTemplateData, GoTemplateError};
use crate::template::syntax::{Expression, ExpressionKind};
use crate::template::value::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A text that cannot be rendered.
pub(super) struct Unrendered {
    pub(super) text: Arc<str>,
    pub(super) error: GoTemplateError,
}

/// A value with all of its strings rendered; keys stay as they are.
pub(super) fn rendered(value: &Value, data: &GoTemplateData) -> Result<Value, Unrendered> {
    if !has_actions(value) {
        return Ok(value.clone());
    }
    let all = |elements: &[Value]| -> Result<Vec<Value>, Unrendered> {
        elements.iter().map(|value| rendered(value, data)).collect()
    };
    let each = |entries: &BTreeMap<Arc<str>, Value>| -> Result<BTreeMap<_, _>, Unrendered> {
        let entries = entries.iter();
        entries
            .map(|(key, value)| Ok((key.clone(), rendered(value, data)?)))
            .collect()
    };
    Ok(match value {
        Value::String(text) => {
            gotemplate::render(text, data)
                .map(Value::string)
                .map_err(|error| Unrendered {
                    text: text.clone(),
                    error,
                })?
        }
        Value::List(element, elements) => Value::list(element.clone(), all(elements)?),
        Value::Set(element, elements) => Value::set(element.clone(), all(elements)?),
        Value::Tuple(elements) => Value::tuple(all(elements)?),
        Value::Map(element, entries) => Value::map(element.clone(), each(entries)?),
        Value::Object(entries) => Value::object(each(entries)?),
        Value::Null(_) | Value::Unknown(_) | Value::Bool(_) | Value::Number(_) => value.clone(),
    })
}

fn has_actions(value: &Value) -> bool {
    if let Some(text) = value.as_str() {
        return text.contains("{{");
    }
    match (value.as_elements(), value.as_entries()) {
        (Some(elements), _) => elements.iter().any(has_actions),
        (_, Some(entries)) => entries.values().any(has_actions),
        _ => false,
    }
}

/// Where a byte of a string's text stands, if the string is written in the expression without
/// escapes and interpolations.
pub(super) fn place_within(
    expression: &Expression,
    text: &str,
    offset: usize,
    sources: &Sources,
) -> Option<SourceSpan> {
    if let ExpressionKind::Text(written) = &expression.kind
        && **written == *text
    {
        let mut span = expression.span;
        let quoted = sources.slice(span).get(1..)?;
        if quoted.strip_suffix('"')? != text {
            return None;
        }
        span.start += 1 + offset;
        let rest = text.get(offset..)?;
        span.end = span.start + rest.chars().next().map_or(0, char::len_utf8);
        return Some(span);
    }
    let mut found = None;
    expression.each_part(&mut |part| {
        if found.is_none() {
            found = place_within(part, text, offset, sources);
        }
    });
    found
}
