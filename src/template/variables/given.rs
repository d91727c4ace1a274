//! Values given to variables from outside: the environment, variable files, the command line.

use super::Variables;
use crate::diagnostic::{
    Diagnostic, Diagnostics, FileId, SourceSpan, Sources, Topic, did_you_mean,
};
use crate::template::scope::Scope;
use crate::template::syntax::{Body, Expression, parse_expression};
use crate::template::value::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Where a value comes from, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::template) enum Origin {
    Default,
    Environment,
    VariableFile,
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Origin::Default => "by default",
            Origin::Environment => "in the environment",
            Origin::VariableFile => "in a variable file",
            Origin::CommandLine => "on the command line",
        })
    }
}

/// A value given to a variable.
#[derive(Debug)]
pub(in crate::template) struct Given {
    pub(super) origin: Origin,
    pub(super) span: SourceSpan,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// An expression of a variable file.
    Expression(Arc<Expression>),
    /// A text, whose meaning depends on the variable's type.
    Text(String),
}

/// The strongest given value of each variable.
#[derive(Debug, Default)]
pub(in crate::template) struct GivenValues {
    by_name: BTreeMap<Arc<str>, Given>,
}

impl GivenValues {
    /// The value given to a variable.
    pub(super) fn get(&self, name: &str) -> Option<&Given> {
        self.by_name.get(name)
    }

    /// Adds `PKR_VAR_…` of the environment. Those that nothing declares belong to others.
    pub(in crate::template) fn add_environment(
        &mut self,
        environment: &BTreeMap<String, String>,
        variables: &Variables,
        sources: &mut Sources,
    ) {
        for name in variables.keys() {
            let variable = format!("PKR_VAR_{name}");
            if let Some(text) = environment.get(&variable) {
                let file = sources.add(format!("<environment {variable}>"), text.as_str());
                self.add_text(name.clone(), text, file, Origin::Environment);
            }
        }
    }

    /// Adds the values of a variable file.
    pub(in crate::template) fn add_file(
        &mut self,
        body: &Body,
        variables: &Variables,
        diagnostics: &Diagnostics,
    ) {
        for block in body.written_blocks() {
            let error =
                Diagnostic::error("a variable file holds only `name = value`").at(block.header());
            diagnostics.push(match &*block.kind.text {
                "variable" | "variables" => error.help("variables are declared in *.pkr.hcl files"),
                _ => error,
            });
        }
        for attribute in body.attributes() {
            let name = &attribute.name;
            if !variables.contains_key(&name.text) {
                let warning = undeclared(&name.text, variables, Diagnostic::warning);
                let warning = warning.about(Topic::UndeclaredVariable);
                diagnostics.push(warning.at(name.span));
                continue;
            }
            let given = Given {
                origin: Origin::VariableFile,
                span: attribute.value.span,
                form: Form::Expression(attribute.value.clone()),
            };
            self.by_name.insert(name.text.clone(), given);
        }
    }

    /// Adds a `-var name=value`.
    pub(in crate::template) fn add_argument(
        &mut self,
        argument: &str,
        variables: &Variables,
        sources: &mut Sources,
        diagnostics: &Diagnostics,
    ) {
        let Some((name, text)) = argument.split_once('=') else {
            let file = sources.add("<-var>", argument);
            diagnostics.push(
                Diagnostic::error("-var needs a name and a value")
                    .at(SourceSpan::new(file, 0..argument.len()))
                    .help("write -var NAME=VALUE"),
            );
            return;
        };
        let name = name.trim();
        let file = sources.add(format!("<-var {name}>"), text);
        if !variables.contains_key(name) {
            let span = SourceSpan::new(file, 0..text.len());
            diagnostics.push(undeclared(name, variables, Diagnostic::error).at(span));
            return;
        }
        self.add_text(Arc::from(name), text, file, Origin::CommandLine);
    }

    fn add_text(&mut self, name: Arc<str>, text: &str, file: FileId, origin: Origin) {
        let span = SourceSpan::new(file, 0..text.len());
        self.by_name.insert(
            name,
            Given {
                origin,
                span,
                form: Form::Text(text.to_owned()),
            },
        );
    }
}

impl Given {
    /// The value; a text is taken word for word if `literal`, else as an expression.
    pub(super) fn evaluate(&self, literal: bool, scope: &Scope) -> Result<Value, Diagnostic> {
        match &self.form {
            Form::Expression(expression) => scope.evaluate(expression),
            Form::Text(text) if literal => Ok(Value::string(text)),
            Form::Text(text) => {
                let expression = parse_expression(self.span.file, text)?;
                scope.evaluate(&expression)
            }
        }
    }
}

fn undeclared(name: &str, variables: &Variables, severity: fn(String) -> Diagnostic) -> Diagnostic {
    severity(format!("variable `{name}` is not declared"))
        .help_maybe(did_you_mean(name, variables.keys().map(|name| &**name)))
}
