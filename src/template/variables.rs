//! Variables: their declarations, and the values that win.

mod given;

pub(super) use given::{Given, GivenValues, Origin};

use super::arguments::Arguments;
use super::body::Body;
use super::evaluate::check_size;
use super::locals::too_large;
use super::references::references;
use super::scope::Scope;
use super::syntax::{Block, Expression, ExpressionKind, identifier_length};
use super::type_constraint::TypeConstraint;
use super::value::{Type, Value};
use crate::diagnostic::{Diagnostic, Diagnostics, SourceSpan, Topic};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

/// A declared variable.
#[derive(Debug)]
pub(super) struct Variable {
    name_span: SourceSpan,
    source: VariableSource,
}

impl Variable {
    /// The place of its name.
    pub(super) fn place(&self) -> SourceSpan {
        self.name_span
    }
}

#[derive(Debug)]
enum VariableSource {
    /// `name = default` in a `variables` block.
    Default(Arc<Expression>),
    /// A `variable` block.
    Block(Body),
}

/// Variables by name.
pub(super) type Variables = BTreeMap<Arc<str>, Variable>;

/// Takes over the variables of a `variables` block.
pub(super) fn declare_all(block: &Block, variables: &mut Variables, diagnostics: &Diagnostics) {
    for attribute in block.body.attributes() {
        let variable = Variable {
            name_span: attribute.name.span,
            source: VariableSource::Default(attribute.value.clone()),
        };
        declare(&attribute.name.text, variable, variables, diagnostics);
    }
    for inner in block.body.written_blocks() {
        diagnostics.push(
            Diagnostic::error("a `variables` block holds only arguments")
                .at(inner.header())
                .help("declare it with `variable \"NAME\" { … }`"),
        );
    }
}

/// Takes over a `variable` block; its label is the name.
pub(super) fn declare_one(block: &Block, variables: &mut Variables, diagnostics: &Diagnostics) {
    let Some(label) = block.labels.first() else {
        return;
    };
    if !is_identifier(&label.text) {
        diagnostics.push(
            Diagnostic::error(format!("{:?} cannot be the name of a variable", label.text))
                .at(label.span)
                .help("a name is made of letters, digits, `_` and `-`, and begins with a letter"),
        );
        return;
    }
    let variable = Variable {
        name_span: label.span,
        source: VariableSource::Block(Body::new(block)),
    };
    declare(&label.text, variable, variables, diagnostics);
}

fn declare(name: &str, variable: Variable, variables: &mut Variables, diagnostics: &Diagnostics) {
    match variables.entry(Arc::from(name)) {
        Entry::Vacant(entry) => {
            entry.insert(variable);
        }
        Entry::Occupied(entry) => diagnostics.push(
            Diagnostic::error(format!("variable `{name}` is declared twice"))
                .at(variable.name_span)
                .note(entry.get().name_span, "first here"),
        ),
    }
}

fn is_identifier(name: &str) -> bool {
    !name.is_empty() && identifier_length(name) == name.len()
}

fn refers_elsewhere(condition: &Expression) -> bool {
    ["local", "data", "path", "packer", "source", "build"]
        .iter()
        .any(|root| !references(condition, root).names.is_empty())
}

fn is_false(expression: &Expression) -> bool {
    matches!(expression.kind, ExpressionKind::Bool(false))
}

/// The places where values of sensitive variables are written.
pub(super) fn sensitive_places(variables: &Variables, given: &GivenValues) -> Vec<SourceSpan> {
    let mut places = Vec::new();
    for (name, variable) in variables {
        let VariableSource::Block(body) = &variable.source else {
            continue;
        };
        for part in &body.parts {
            let sensitive = part.attribute("sensitive");
            // Anything but a plain `false` might turn out true.
            if sensitive.is_none_or(|attribute| is_false(&attribute.value)) {
                continue;
            }
            if let Some(default) = part.attribute("default") {
                places.push(default.value.span);
            }
            places.extend(given.get(name).map(|given| given.span));
        }
    }
    places
}

/// Decides the value of every variable, and sets it in the globals of the scopes.
///
/// `defaults` is the scope of defaults, `constants` that of given values.
pub(super) fn evaluate(
    variables: &Variables,
    given: &GivenValues,
    defaults: &Scope,
    constants: &Scope,
    diagnostics: &Diagnostics,
) {
    for (name, variable) in variables {
        let evaluator = Evaluator {
            name,
            variable,
            defaults,
            constants,
            diagnostics,
        };
        let value = evaluator.evaluate(given.get(name));
        if let Some(cell) = defaults.globals().variables.get(name) {
            let _already_set = cell.set(value.unwrap_or(Value::Unknown(Type::Dynamic)));
        }
    }
}

struct Evaluator<'a> {
    name: &'a Arc<str>,
    variable: &'a Variable,
    defaults: &'a Scope,
    constants: &'a Scope,
    diagnostics: &'a Diagnostics,
}

/// A value and where it comes from.
struct Candidate {
    value: Value,
    origin: Origin,
    span: SourceSpan,
}

impl Evaluator<'_> {
    fn evaluate(&self, given: Option<&Given>) -> Option<Value> {
        match &self.variable.source {
            VariableSource::Default(expression) => {
                let default = self.default(expression, None);
                let winner = self.winner(None, default.as_ref()?, given)?;
                Some(winner.value)
            }
            VariableSource::Block(body) => {
                let arguments = Arguments::open(body, self.defaults, self.diagnostics);
                let value = self.block(&arguments, given);
                arguments.finish();
                value
            }
        }
    }

    fn block(&self, arguments: &Arguments<'_>, given: Option<&Given>) -> Option<Value> {
        let _description: Option<String> = arguments.optional("description");
        let sensitive = arguments.optional("sensitive").unwrap_or(false);
        let constraint = match arguments.expression("type") {
            None => Ok(None),
            Some(expression) => TypeConstraint::parse(&expression).map(Some),
        };
        let default = arguments.expression("default");
        let validations = arguments.blocks("validation");
        let constraint = match constraint {
            Ok(constraint) => constraint,
            Err(diagnostic) => {
                self.diagnostics.push(diagnostic);
                // The rules are still read, so that their own errors show.
                for validation in validations {
                    self.validation(&validation, None);
                    validation.finish();
                }
                return None;
            }
        };
        let default = match default {
            None => Ok(None),
            Some(expression) => self
                .default(&expression, constraint.as_ref())
                .map(Some)
                .ok_or(()),
        };
        let winner = match default {
            Ok(Some(default)) => self.winner(constraint.as_ref(), &default, given),
            Ok(None) => self.given_or_unset(constraint.as_ref(), arguments, given),
            Err(()) => None,
        };
        for validation in validations {
            self.validation(&validation, winner.as_ref());
            validation.finish();
        }
        let value = winner?.value;
        if sensitive {
            self.defaults.globals().secrets.add(&value);
        }
        Some(value)
    }

    fn default(
        &self,
        expression: &Expression,
        constraint: Option<&TypeConstraint>,
    ) -> Option<Candidate> {
        let span = expression.span;
        let value = match self.defaults.evaluate(expression) {
            Ok(value) => value,
            Err(diagnostic) => {
                self.diagnostics.push(diagnostic);
                return None;
            }
        };
        let value = self.fit(&value, constraint, span, "the default")?;
        Some(Candidate {
            value,
            origin: Origin::Default,
            span,
        })
    }

    /// The given value if there is one, else the default.
    fn winner(
        &self,
        constraint: Option<&TypeConstraint>,
        default: &Candidate,
        given: Option<&Given>,
    ) -> Option<Candidate> {
        let Some(given) = given else {
            return Some(Candidate {
                value: default.value.clone(),
                ..*default
            });
        };
        if constraint.is_some() {
            return self.given(
                constraint,
                given,
                is_literal(constraint.map(TypeConstraint::type_of)),
            );
        }
        // Without a type the default's type counts, unless it is an empty collection's or null's.
        let default_type = match &default.value {
            Value::Null(_) => Type::Dynamic,
            other if is_empty_collection(other) => Type::Dynamic,
            other => other.type_of(),
        };
        let candidate = self.given(None, given, is_literal(Some(default_type.clone())))?;
        let what = format!("the value of variable `{}`", self.name);
        let value = super::convert::convert(&candidate.value, &default_type).map_err(|error| {
            Diagnostic::error(format!("{what} does not fit its type: {error}"))
                .at(candidate.span)
                .note(default.span, "its type is that of this default")
                .help("declare the variable with a `type` to take other values")
        });
        match value {
            Ok(value) => Some(Candidate { value, ..candidate }),
            Err(diagnostic) => {
                self.diagnostics.push(diagnostic);
                None
            }
        }
    }

    fn given_or_unset(
        &self,
        constraint: Option<&TypeConstraint>,
        arguments: &Arguments<'_>,
        given: Option<&Given>,
    ) -> Option<Candidate> {
        if let Some(given) = given {
            return self.given(
                constraint,
                given,
                is_literal(constraint.map(TypeConstraint::type_of)),
            );
        }
        let name = self.name;
        self.diagnostics.push(
            Diagnostic::error(format!("variable `{name}` has no value"))
                .at(arguments.header())
                .about(Topic::UnsetVariable)
                .help(format!(
                    "give it one with `-var {name}=…`, a -var-file or PKR_VAR_{name}, or declare a default"
                )),
        );
        None
    }

    fn given(
        &self,
        constraint: Option<&TypeConstraint>,
        given: &Given,
        literal: bool,
    ) -> Option<Candidate> {
        let value = match given.evaluate(literal, self.constants) {
            Ok(value) => value,
            Err(diagnostic) => {
                self.diagnostics.push(diagnostic);
                return None;
            }
        };
        let what = format!("the value of variable `{}`", self.name);
        let value = self.fit(&value, constraint, given.span, &what)?;
        Some(Candidate {
            value,
            origin: given.origin,
            span: given.span,
        })
    }

    fn fit(
        &self,
        value: &Value,
        constraint: Option<&TypeConstraint>,
        span: SourceSpan,
        what: &str,
    ) -> Option<Value> {
        let fitted = check_size(value)
            .map_err(|reason| too_large(what, reason).at(span))
            .and_then(|()| match constraint {
                None => Ok(value.clone()),
                Some(constraint) => constraint.apply(value).map_err(|error| {
                    Diagnostic::error(format!("{what} does not fit its type: {error}"))
                        .at(span)
                        .note(self.variable.name_span, "declared here")
                }),
            });
        match fitted {
            Ok(fitted) => Some(fitted),
            Err(diagnostic) => {
                self.diagnostics.push(diagnostic);
                None
            }
        }
    }

    /// Checks one rule, of the winning value if there is one.
    fn validation(&self, validation: &Arguments<'_>, winner: Option<&Candidate>) {
        let message: Option<String> = validation.required("error_message");
        if let Some(message) = &message
            && let Some(help) = badly_worded(message)
        {
            let place = validation.span("error_message");
            validation.error(place, "an error_message is made of full sentences", &[help]);
        }
        let Some(condition) = validation.expression("condition") else {
            validation.error(validation.header(), "`condition` is required", &[]);
            return;
        };
        let span = condition.span;
        let own = references(&condition, "var");
        if !own
            .names
            .iter()
            .any(|reference| *reference.name == **self.name)
        {
            let help = format!("the condition must refer to `var.{}`", self.name);
            validation.error(span, "this rule does not check its variable", &[&help]);
            return;
        }
        if let Some(other) = own
            .names
            .iter()
            .find(|reference| *reference.name != **self.name)
        {
            validation.error(other.span, "a rule can refer to its own variable only", &[]);
            return;
        }
        let Some(winner) = winner else { return };
        let names = Value::object([(self.name.clone(), winner.value.clone())]);
        match self
            .constants
            .empty()
            .with("var", names)
            .evaluate(&condition)
        {
            // Another name is wrong whatever the value is.
            Err(diagnostic) if refers_elsewhere(&condition) => self.diagnostics.push(diagnostic),
            Err(diagnostic) => self.diagnostics.push(diagnostic.about(Topic::RefusedValue)),
            Ok(Value::Bool(true)) => {}
            Ok(Value::Bool(false)) => {
                let summary = format!(
                    "invalid value for variable `{}` {}",
                    self.name, winner.origin
                );
                self.diagnostics.push(
                    Diagnostic::error(summary)
                        .at_with(winner.span, message.unwrap_or_default())
                        .about(Topic::RefusedValue)
                        .note(span, "this rule does not hold"),
                );
            }
            Ok(other) => match super::convert::to_bool(&other) {
                Ok(true) => {}
                Ok(false) | Err(_) => {
                    let summary = format!("a condition must be a bool, not {}", other.described());
                    let error = Diagnostic::error(summary).at(span);
                    self.diagnostics.push(error.about(Topic::RefusedValue));
                }
            },
        }
    }
}

/// Whether a value from the command line or the environment is taken word for word.
fn is_literal(wanted: Option<Type>) -> bool {
    matches!(
        wanted,
        None | Some(Type::String | Type::Number | Type::Dynamic)
    )
}

fn is_empty_collection(value: &Value) -> bool {
    value
        .as_elements()
        .is_some_and(|elements| elements.is_empty())
        || value.as_entries().is_some_and(|entries| entries.is_empty())
}

/// How to word an error message better, if it is no sentence.
fn badly_worded(message: &str) -> Option<&'static str> {
    let Some(first) = message.chars().next() else {
        return Some("it must not be empty");
    };
    if first.is_alphabetic() && !first.is_uppercase() {
        return Some("begin it with an upper-case letter");
    }
    if !message.ends_with(['.', '?', '!']) {
        return Some("end it with a full stop, a question mark or an exclamation mark");
    }
    None
}
