//! The data source `http`: what a web server answers.

use crate::template::arguments::Arguments;
use crate::template::services::{HttpRequest, HttpResponse, ServiceError, Services};
use crate::template::value::{Type, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The methods that Packer has.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];

/// What is asked.
pub(super) struct Question {
    request: HttpRequest,
}

impl Question {
    /// Reads the arguments. None after an error, and if they are not known yet.
    pub(super) fn read(arguments: &Arguments<'_>) -> Option<Question> {
        let url: Option<String> = arguments.required("url");
        let method: Option<String> = arguments.optional("method");
        let headers: Option<BTreeMap<String, String>> = arguments.optional("request_headers");
        let body: Option<String> = arguments.optional("request_body");
        let known = ["url", "method", "request_headers", "request_body"];
        if arguments.any_failed(&known) {
            return None;
        }
        let url = url?;
        if !["http://", "https://"]
            .iter()
            .any(|it| has_prefix(&url, it))
        {
            arguments.error(
                arguments.span("url"),
                format!("{url:?} is not an address of a web server"),
                &["it begins with http:// or https://"],
            );
        }
        let method = method.unwrap_or_else(|| "GET".to_owned());
        if !METHODS.contains(&&*method) {
            arguments.error(
                arguments.span("method"),
                format!("the method cannot be {method:?}"),
                &[&format!("methods are {}", METHODS.join(", "))],
            );
        }
        Some(Question {
            request: HttpRequest {
                url,
                method,
                headers: headers.unwrap_or_default().into_iter().collect(),
                body: body.unwrap_or_default().into_bytes(),
            },
        })
    }

    /// Asks the server.
    pub(super) fn ask(&self, services: &dyn Services) -> Result<Value, ServiceError> {
        let response = services.http(&self.request)?;
        if !(200..300).contains(&response.status) {
            return Err(ServiceError::new(format!(
                "{} was answered with the status {}",
                self.request.url, response.status
            )));
        }
        Ok(Value::object([
            ("url", Value::string(&self.request.url)),
            ("body", Value::string(response.text())),
            ("request_headers", headers(&response)),
        ]))
    }
}

/// The type of an answer.
pub(super) fn answer_type() -> Type {
    Type::Object(BTreeMap::from([
        (Arc::from("url"), Type::String),
        (Arc::from("body"), Type::String),
        (
            Arc::from("request_headers"),
            Type::Map(Box::new(Type::String)),
        ),
    ]))
}

/// The headers of the answer, in spite of their name; of several with one name the values are
/// joined with commas.
fn headers(response: &HttpResponse) -> Value {
    let mut by_name = BTreeMap::<Arc<str>, String>::new();
    for (name, value) in &response.headers {
        by_name
            .entry(Arc::from(canonical(name)))
            .and_modify(|values| {
                values.push(',');
                values.push_str(value);
            })
            .or_insert_with(|| value.clone());
    }
    let by_name = by_name.into_iter();
    Value::map(
        Type::String,
        by_name
            .map(|(name, values)| (name, Value::string(values)))
            .collect(),
    )
}

/// A header's name as Go writes it: `content-type` as `Content-Type`.
fn canonical(name: &str) -> String {
    let mut is_first = true;
    let letters = name.chars().map(|letter| {
        let written = match is_first {
            true => letter.to_ascii_uppercase(),
            false => letter.to_ascii_lowercase(),
        };
        is_first = letter == '-';
        written
    });
    letters.collect()
}

fn has_prefix(text: &str, prefix: &str) -> bool {
    let start = text.get(..prefix.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}
