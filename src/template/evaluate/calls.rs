//! Function calls: the library's functions, and those that see expressions or evaluate themselves.

use super::{Evaluated, Evaluation};
use crate::diagnostic::{Diagnostic, SourceSpan, Sources, did_you_mean};
use crate::template::convert;
use crate::template::functions::{self, FunctionContext};
use crate::template::scope::{Reach, Scope};
use crate::template::syntax::{Call, identifier_length, parse_template};
use crate::template::type_constraint::TypeConstraint;
use crate::template::value::{Type, Value};

/// The functions that are evaluated here.
const LAZY: [&str; 5] = ["try", "can", "convert", "env", "templatefile"];

impl Evaluation {
    pub(super) fn call(&self, call: &Call, place: SourceSpan, scope: &Scope) -> Evaluated {
        let name = &*call.name.text;
        if matches!(scope.reach(), Reach::Constants | Reach::Defaults) && name != "env" {
            return Err(Diagnostic::error("functions cannot be called here")
                .at(place)
                .help("only constants can be used; a local can call functions"));
        }
        match name {
            "try" => self.call_try(call, place, scope),
            "can" => self.call_can(call, place, scope),
            "convert" => self.call_convert(call, place, scope),
            "env" => self.call_env(call, place, scope),
            "templatefile" => self.call_templatefile(call, place, scope),
            _ if functions::exists(name) => self.call_library(name, call, place, scope),
            _ => Err(no_such_function(call)),
        }
    }

    fn call_library(&self, name: &str, call: &Call, place: SourceSpan, scope: &Scope) -> Evaluated {
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
                call.arguments
                    .get(index.min(call.arguments.len().saturating_sub(1)))
            });
            let place = argument.map_or(place, |argument| argument.span);
            Diagnostic::error(format!("{name}(): {}", error.message))
                .at(place)
                .help_maybe(error.help)
        })?;
        if functions::gives_secret(name) {
            scope.globals().secrets.add_from_store(&result);
        }
        self.charge_value(&result, place)?;
        Ok(result)
    }

    /// The values of the arguments, the last one expanded if it is followed by `...`.
    fn arguments(&self, call: &Call, scope: &Scope) -> Result<Vec<Value>, Diagnostic> {
        let mut values = Vec::with_capacity(call.arguments.len());
        for argument in &call.arguments {
            let value = self.expression(argument, scope)?;
            self.charge_value(&value, argument.span)?;
            values.push(value);
        }
        if !call.expands_last {
            return Ok(values);
        }
        let Some(last) = values.pop() else {
            return Ok(values);
        };
        match last.as_elements() {
            Some(elements) => values.extend(elements.iter().cloned()),
            None => {
                let place = call.arguments.last().map(|argument| argument.span);
                return Err(
                    Diagnostic::error("only a list, a tuple or a set can be expanded").at_with(
                        place.unwrap_or(call.name.span),
                        format!("this is {}", last.described()),
                    ),
                );
            }
        }
        Ok(values)
    }

    /// The first argument that can be evaluated.
    fn call_try(&self, call: &Call, place: SourceSpan, scope: &Scope) -> Evaluated {
        let mut failures = Vec::new();
        for argument in &call.arguments {
            match self.expression(argument, scope) {
                Ok(value) => return Ok(value),
                Err(error) => failures.push((argument.span, error)),
            }
        }
        if failures.is_empty() {
            return Err(Diagnostic::error("try(): at least one argument is required").at(place));
        }
        let failed = Diagnostic::error("try(): no argument could be evaluated").at(call.name.span);
        Err(failures.into_iter().fold(failed, |failed, (place, error)| {
            failed.note(place, error.summary)
        }))
    }

    fn call_can(&self, call: &Call, place: SourceSpan, scope: &Scope) -> Evaluated {
        match call.arguments.as_slice() {
            [argument] => Ok(Value::Bool(self.expression(argument, scope).is_ok())),
            _ => Err(Diagnostic::error("can(): exactly one argument is required").at(place)),
        }
    }

    /// `convert(value, type)`: its second argument is a type constraint.
    fn call_convert(&self, call: &Call, place: SourceSpan, scope: &Scope) -> Evaluated {
        let [value, wanted] = call.arguments.as_slice() else {
            return Err(Diagnostic::error("convert(): a value and a type are required").at(place));
        };
        let wanted = TypeConstraint::parse(wanted)?;
        let value_given = self.expression(value, scope)?;
        self.charge_value(&value_given, value.span)?;
        convert::convert(&value_given, &wanted.type_of())
            .map_err(|error| Diagnostic::error(format!("convert(): {error}")).at(value.span))
    }

    fn call_env(&self, call: &Call, place: SourceSpan, scope: &Scope) -> Evaluated {
        if scope.reach() != Reach::Defaults {
            return Err(
                Diagnostic::error("env() can only be called in the default of a variable")
                    .at(place)
                    .help("declare a variable with this default, and refer to it here"),
            );
        }
        let arguments = self.arguments(call, scope)?;
        let [Value::String(name)] = arguments.as_slice() else {
            return Err(Diagnostic::error(
                "env(): the name of an environment variable is required",
            )
            .at(place));
        };
        let value = scope.globals().world.environment.get(&**name);
        Ok(Value::string(value.map_or("", String::as_str)))
    }

    /// `templatefile(path, names)`: the file is a string template that knows these names alone.
    fn call_templatefile(&self, call: &Call, place: SourceSpan, scope: &Scope) -> Evaluated {
        let fail =
            |message: &str| Diagnostic::error(format!("templatefile(): {message}")).at(place);
        if scope.bound(WITHIN_TEMPLATE_FILE).is_some() {
            return Err(fail("a template file cannot call it again"));
        }
        let arguments = self.arguments(call, scope)?;
        let [path, names] = arguments.as_slice() else {
            return Err(fail("a path and an object of names are required"));
        };
        if path.is_unknown() || names.is_unknown() {
            return Ok(Value::Unknown(Type::Dynamic));
        }
        let Value::String(path) = path else {
            return Err(fail("the path must be a string"));
        };
        let Some(names) = names.as_entries() else {
            return Err(fail("the names must be an object or a map"));
        };
        if let Some((name, _)) = names
            .iter()
            .find(|(name, _)| identifier_length(name) != name.len() || name.is_empty())
        {
            return Err(fail(&format!("{name:?} cannot be the name of a variable")));
        }
        let folder = &scope.globals().world.template_folder;
        let text = crate::template::files::read_template_file(folder, path)
            .map_err(|error| fail(&error.to_string()))?;
        let mut sources = Sources::new();
        let file = sources.add(&**path, &*text);
        // The file is no part of the template's own texts: its places go into the message.
        let inside = |error: Diagnostic| {
            let place = error.labels.first().map(|label| sources.locate(label.span));
            fail(&format!("{}: {}", place.unwrap_or_default(), error.summary))
        };
        let template = parse_template(file, &text).map_err(&inside)?;
        let inner = scope.empty().with(WITHIN_TEMPLATE_FILE, Value::NULL);
        let inner = inner.with_all(names.clone());
        let evaluation = Evaluation::default();
        evaluation.spent.set(self.spent.get());
        let result = evaluation.expression(&template, &inner).map_err(&inside)?;
        self.charge(
            evaluation.spent.get().saturating_sub(self.spent.get()),
            place,
        )?;
        Ok(result)
    }
}

fn no_such_function(call: &Call) -> Diagnostic {
    let name = &*call.name.text;
    Diagnostic::error(format!("there is no function named `{name}`"))
        .at(call.name.span)
        .help_maybe(did_you_mean(name, functions::names().chain(LAZY)))
}

/// A name that no template can write, bound while a template file is evaluated.
const WITHIN_TEMPLATE_FILE: &str = "within templatefile()";
