//! Function calls: the library's functions, and those that see expressions or evaluate themselves.

use super::text::Form;
use super::{Evaluated, Evaluation};
use crate::diagnostic::{Diagnostic, Sources, did_you_mean};
use crate::template::convert;
use crate::template::functions::{self, FunctionContext};
use crate::template::scope::{Reach, Scope};
use crate::template::type_constraint::TypeConstraint;
use crate::template::value::Value;
use hcl::edit::Span;
use hcl::edit::expr::{Expression, FuncCall};

/// The functions that are evaluated here.
const LAZY: [&str; 5] = ["try", "can", "convert", "env", "templatefile"];

impl Evaluation<'_> {
    pub(super) fn call(
        &self,
        call: &FuncCall,
        expression: &Expression,
        scope: &Scope,
    ) -> Evaluated {
        let name = call.name.name.as_str();
        if call.name.is_namespaced() {
            return Err(self.no_such_function(name, call));
        }
        if matches!(scope.reach(), Reach::Constants | Reach::Defaults) && name != "env" {
            return Err(Diagnostic::error("functions cannot be called here")
                .at(self.span(expression))
                .help("only constants can be used; a local can call functions"));
        }
        match name {
            "try" => self.call_try(call, expression, scope),
            "can" => self.call_can(call, expression, scope),
            "convert" => self.call_convert(call, expression, scope),
            "env" => self.call_env(call, expression, scope),
            "templatefile" => self.call_templatefile(call, expression, scope),
            _ if functions::exists(name) => self.call_library(name, call, expression, scope),
            _ => Err(self.no_such_function(name, call)),
        }
    }

    fn call_library(
        &self,
        name: &str,
        call: &FuncCall,
        expression: &Expression,
        scope: &Scope,
    ) -> Evaluated {
        let arguments = self.arguments(call, scope)?;
        let world = &scope.globals().world;
        let context = FunctionContext {
            template_folder: &world.template_folder,
            working_folder: &world.working_folder,
            home: world.home.as_deref(),
            now: world.now,
            random: &*world.random,
            services: Some(&*world.services),
        };
        let result = functions::call(name, &arguments, &context).map_err(|error| {
            let argument = error.argument.and_then(|index| {
                // An expanded last argument stands for all the arguments that it gave.
                call.args.get(index.min(call.args.len().saturating_sub(1)))
            });
            let place = argument.map_or_else(|| self.span(expression), |node| self.span(node));
            Diagnostic::error(format!("{name}(): {}", error.message))
                .at(place)
                .help_maybe(error.help)
        })?;
        if functions::gives_secret(name) {
            scope.globals().secrets.add_from_store(&result);
        }
        self.charge_value(&result, expression)?;
        Ok(result)
    }

    /// The values of the arguments, the last one expanded if it is followed by `...`.
    fn arguments(&self, call: &FuncCall, scope: &Scope) -> Result<Vec<Value>, Diagnostic> {
        let mut values = Vec::with_capacity(call.args.len());
        for argument in call.args.iter() {
            let value = self.expression(argument, scope)?;
            self.charge_value(&value, argument)?;
            values.push(value);
        }
        if !call.args.expand_final() {
            return Ok(values);
        }
        let Some(last) = values.pop() else {
            return Ok(values);
        };
        match last.as_elements() {
            Some(elements) => values.extend(elements.iter().cloned()),
            None => {
                let place = call.args.iter().last().map(|argument| self.span(argument));
                return Err(
                    Diagnostic::error("only a list, a tuple or a set can be expanded").at_with(
                        place.unwrap_or_else(|| self.span(&call.args)),
                        format!("this is {}", last.described()),
                    ),
                );
            }
        }
        Ok(values)
    }

    /// The first argument that can be evaluated.
    fn call_try(&self, call: &FuncCall, expression: &Expression, scope: &Scope) -> Evaluated {
        let mut failures = Vec::new();
        for argument in call.args.iter() {
            match self.expression(argument, scope) {
                Ok(value) => return Ok(value),
                Err(error) => failures.push((self.span(argument), error)),
            }
        }
        if failures.is_empty() {
            return Err(
                Diagnostic::error("try(): at least one argument is required")
                    .at(self.span(expression)),
            );
        }
        let failed = Diagnostic::error("try(): no argument could be evaluated")
            .at(self.span(&call.name.name));
        Err(failures.into_iter().fold(failed, |failed, (place, error)| {
            failed.note(place, error.summary)
        }))
    }

    fn call_can(&self, call: &FuncCall, expression: &Expression, scope: &Scope) -> Evaluated {
        match (call.args.len(), call.args.get(0)) {
            (1, Some(argument)) => Ok(Value::Bool(self.expression(argument, scope).is_ok())),
            _ => Err(Diagnostic::error("can(): exactly one argument is required")
                .at(self.span(expression))),
        }
    }

    /// `convert(value, type)`: its second argument is a type constraint.
    fn call_convert(&self, call: &FuncCall, expression: &Expression, scope: &Scope) -> Evaluated {
        let (2, Some(value), Some(wanted)) = (call.args.len(), call.args.get(0), call.args.get(1))
        else {
            return Err(
                Diagnostic::error("convert(): a value and a type are required")
                    .at(self.span(expression)),
            );
        };
        let wanted = TypeConstraint::parse(self.file, wanted)?;
        let value_given = self.expression(value, scope)?;
        self.charge_value(&value_given, value)?;
        convert::convert(&value_given, &wanted.type_of())
            .map_err(|error| Diagnostic::error(format!("convert(): {error}")).at(self.span(value)))
    }

    fn call_env(&self, call: &FuncCall, expression: &Expression, scope: &Scope) -> Evaluated {
        if scope.reach() != Reach::Defaults {
            return Err(
                Diagnostic::error("env() can only be called in the default of a variable")
                    .at(self.span(expression))
                    .help("declare a variable with this default, and refer to it here"),
            );
        }
        let arguments = self.arguments(call, scope)?;
        let [Value::String(name)] = arguments.as_slice() else {
            return Err(Diagnostic::error(
                "env(): the name of an environment variable is required",
            )
            .at(self.span(expression)));
        };
        let value = scope.globals().world.environment.get(&**name);
        Ok(Value::string(value.map_or("", String::as_str)))
    }

    /// `templatefile(path, names)`: the file is a string template that knows these names alone.
    fn call_templatefile(
        &self,
        call: &FuncCall,
        expression: &Expression,
        scope: &Scope,
    ) -> Evaluated {
        let fail = |message: String, node: &dyn Fn() -> crate::diagnostic::SourceSpan| {
            Diagnostic::error(format!("templatefile(): {message}")).at(node())
        };
        let here = || self.span(expression);
        if scope.bound(WITHIN_TEMPLATE_FILE).is_some() {
            return Err(fail(
                "a template file cannot call it again".to_owned(),
                &here,
            ));
        }
        let arguments = self.arguments(call, scope)?;
        let [path, names] = arguments.as_slice() else {
            return Err(fail(
                "a path and an object of names are required".to_owned(),
                &here,
            ));
        };
        if path.is_unknown() || names.is_unknown() {
            return Ok(Value::Unknown(crate::template::value::Type::Dynamic));
        }
        let Value::String(path) = path else {
            return Err(fail("the path must be a string".to_owned(), &here));
        };
        let Some(names) = names.as_entries() else {
            return Err(fail(
                "the names must be an object or a map".to_owned(),
                &here,
            ));
        };
        let text = crate::template::files::read_template_file(
            &scope.globals().world.template_folder,
            path,
        )
        .map_err(|error| fail(error.to_string(), &here))?;
        let mut sources = Sources::new();
        let file = sources.add(&**path, &*text);
        let template = hcl::edit::parser::parse_template(&text).map_err(|error| {
            let span = crate::diagnostic::SourceSpan::new(
                file,
                error.location().offset()..error.location().offset(),
            );
            fail(
                format!("{}: {}", sources.locate(span), error.message()),
                &here,
            )
        })?;
        let mut inner = scope.empty().with(WITHIN_TEMPLATE_FILE, Value::NULL);
        for (name, value) in names.iter() {
            inner = inner.with(name.clone(), value.clone());
        }
        let evaluation = Evaluation::new(file, &text);
        evaluation.spent.set(self.spent.get());
        let result = evaluation
            .text_template(&template, Form::File, &WholeText, &inner)
            .map_err(|error| {
                let place = error.labels.first().map(|label| sources.locate(label.span));
                fail(
                    format!("{}: {}", place.unwrap_or_default(), error.summary),
                    &here,
                )
            })?;
        self.charge(
            evaluation.spent.get().saturating_sub(self.spent.get()),
            expression,
        )?;
        Ok(result)
    }

    fn no_such_function(&self, name: &str, call: &FuncCall) -> Diagnostic {
        Diagnostic::error(format!("there is no function named `{name}`"))
            .at(self.span(&call.name.name))
            .help_maybe(did_you_mean(name, functions::names().chain(LAZY)))
    }
}

/// A name that no template can write, bound while a template file is evaluated.
const WITHIN_TEMPLATE_FILE: &str = "within templatefile()";

/// The node of a file that is a template as a whole.
struct WholeText;

impl Span for WholeText {
    fn span(&self) -> Option<std::ops::Range<usize>> {
        None
    }
}
