//! Translation: the instructions of a Dockerfile, one after the other, into the blocks of a template.

use super::ignore::{BadPattern, Patterns};
use super::lines::{self, Line};
use super::scope::{Scope, Unexpanded};
use super::stage::{Config, Stage, Start};
use super::text::{Part, Text};
use super::write::{self, Block};
use crate::diagnostic::{Diagnostic, Diagnostics, FileId, SourceSpan, Sources};
use crate::image::expansion;
use crate::store::Platform;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use unicode_normalization::is_nfc;

/// What BuildKit sets where nothing is started from.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is translated, and for where.
#[derive(Clone, Debug)]
pub struct Import<'a> {
    /// The file's name, for messages.
    pub name: &'a str,
    /// Its text.
    pub text: &'a str,
    /// The folder that `COPY` copies from.
    pub context: &'a Path,
    /// How the template names that folder: from its own folder, or absolute.
    pub context_name: &'a str,
    /// The text of `.dockerignore`.
    pub ignored: &'a str,
    /// That file's name, for messages.
    pub ignored_name: &'a str,
    /// Where the template itself and its lock file lie in the context, if they do.
    pub own_files: &'a [String],
    /// What `TARGETARCH` and the like are taken to be.
    pub platform: &'a Platform,
}

/// A template, and what is to be said about it.
#[derive(Debug)]
pub struct Translation {
    /// The template's text.
    pub template: String,
    /// Whether nothing is left out.
    pub is_whole: bool,
    /// What is left out, as errors, and remarks as warnings.
    pub diagnostics: Diagnostics,
    /// The texts that they point into.
    pub sources: Sources,
}

/// Translates a Dockerfile; an error says why it is none.
pub fn translate(import: &Import<'_>) -> Result<Translation, (Diagnostics, Sources)> {
    let mut sources = Sources::new();
    let file = sources.add(import.name, import.text);
    let diagnostics = Diagnostics::new();
    if !is_nfc(import.text) {
        let text = "some letters become others that look the same: strings of a template are normalised (NFC)";
        diagnostics.push(Diagnostic::warning(text));
    }
    let lines = match lines::cut(import.text) {
        Ok(lines) => lines,
        Err(error) => {
            let place = SourceSpan::new(file, error.range);
            diagnostics.push(Diagnostic::error(error.problem).at(place));
            return Err((diagnostics, sources));
        }
    };
    let mut patterns = match Patterns::read(import.ignored) {
        Ok(patterns) => patterns,
        Err(BadPattern { range, problem }) => {
            // Without the pattern, what it keeps out would be copied.
            let file = sources.add(import.ignored_name, import.ignored);
            let error = Diagnostic::error(problem).at(SourceSpan::new(file, range));
            diagnostics.push(error.help("write \\[ for a bracket that means itself"));
            return Err((diagnostics, sources));
        }
    };
    for own in import.own_files {
        patterns.add_file(own);
    }
    let mut translator = Translator {
        import: import.clone(),
        file,
        diagnostics,
        escape: lines.escape,
        patterns,
        conflicting: conflicting_arguments(&lines.instructions, lines.escape, import.platform),
        variables: Vec::new(),
        locals: Vec::new(),
        arguments: Scope::default(),
        stages: Vec::new(),
        images: BTreeMap::new(),
        is_whole: true,
    };
    for line in &lines.instructions {
        translator.instruction(line);
    }
    if translator.stages.is_empty() {
        let error = Diagnostic::error(format!("{} has no FROM, so it builds nothing", import.name));
        translator.diagnostics.push(error);
        return Err((translator.diagnostics, sources));
    }
    let template = translator.template();
    Ok(Translation {
        template,
        is_whole: translator.is_whole,
        diagnostics: translator.diagnostics,
        sources,
    })
}

/// A Dockerfile on its way into a template.
pub(super) struct Translator<'a> {
    pub(super) import: Import<'a>,
    file: FileId,
    diagnostics: Diagnostics,
    pub(super) escape: char,
    pub(super) patterns: Patterns,
    /// Names of arguments that have different values in different places.
    conflicting: BTreeSet<String>,
    /// Each with its default, in order.
    variables: Vec<(String, Text, Option<&'static str>)>,
    /// Each with its expression, in order.
    locals: Vec<(String, String)>,
    /// Those in front of the first `FROM`.
    arguments: Scope,
    pub(super) stages: Vec<Stage>,
    /// Stages that were made of images that `COPY --from` names.
    images: BTreeMap<Text, String>,
    is_whole: bool,
}

/// The names of arguments whose defaults differ, or depend on other variables. A declaration without
/// a default is one of its own, unless the value comes from in front of the stages or from the platform.
fn conflicting_arguments(lines: &[Line], escape: char, platform: &Platform) -> BTreeSet<String> {
    let mut defaults: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut global = BTreeSet::new();
    let mut is_in_stage = false;
    for line in lines {
        is_in_stage |= line.name == "FROM";
        if line.name != "ARG" {
            continue;
        }
        for word in expansion::words(&line.rest, escape).unwrap_or_default() {
            let (name, default) = match word.split_once('=') {
                Some((name, default)) => (name, default),
                None if is_in_stage && global.contains(&word) => continue,
                None if automatic(&word, platform).is_some() => continue,
                None => (word.as_str(), ""),
            };
            if !is_in_stage {
                global.insert(name.to_owned());
            }
            let of_name = defaults.entry(name.to_owned()).or_default();
            of_name.insert(default.to_owned());
        }
    }
    let differ = |defaults: &BTreeSet<String>| {
        defaults.len() > 1 || defaults.iter().any(|it| it.contains('$'))
    };
    let names = defaults.into_iter().filter(|(_, it)| differ(it));
    names.map(|(name, _)| name).collect()
}

impl Translator<'_> {
    fn instruction(&mut self, line: &Line) {
        match line.name.as_str() {
            "FROM" => self.from(line),
            "ARG" => self.argument(line),
            _ if self.stages.is_empty() => {
                self.omit(
                    line,
                    "it stands in front of the first FROM",
                    "Docker refuses it too",
                );
            }
            "RUN" => self.run(line),
            "COPY" | "ADD" => self.copy(line),
            _ => self.setting(line),
        }
    }

    /// Reports what is left out, and says so in the template.
    pub(super) fn omit(&mut self, line: &Line, problem: impl Into<String>, help: &str) {
        self.is_whole = false;
        let problem = problem.into();
        let text = format!("{} is left out: {problem}", line.name);
        let error = Diagnostic::error(text).at(self.place(line));
        self.diagnostics.push(match help {
            "" => error,
            help => error.help(help),
        });
        let number = self.number(line);
        let name = self.import.name.to_owned();
        if let Some(stage) = self.stages.last_mut() {
            let comment = format!(
                "{name}:{number}: left out, {problem}: {} {}",
                line.name, line.rest
            );
            stage.body.comment(&comment);
        }
    }

    /// Reports what is translated and yet worth a word.
    pub(super) fn remark(&self, line: &Line, text: impl Into<String>) {
        let warning = Diagnostic::warning(text).at(self.place(line));
        self.diagnostics.push(warning);
    }

    fn place(&self, line: &Line) -> SourceSpan {
        SourceSpan::new(self.file, line.range.clone())
    }

    fn number(&self, line: &Line) -> usize {
        let before = self.import.text.get(..line.range.start).unwrap_or_default();
        before.matches('\n').count() + 1
    }

    /// The stage that is being put together; there is one.
    pub(super) fn stage(&mut self) -> Option<&mut Stage> {
        self.stages.last_mut()
    }

    /// Expands a word, and reports one that cannot be expanded or that only the base image can.
    pub(super) fn expand(&mut self, line: &Line, word: &str) -> Option<Text> {
        let text = self.expand_any(line, word)?;
        if text.is_of_base() {
            self.omit(
                line,
                format!("{word:?} depends on a variable of the base image"),
                "write its value there",
            );
            return None;
        }
        Some(text)
    }

    /// Expands a word, and reports one that cannot be expanded.
    pub(super) fn expand_any(&mut self, line: &Line, word: &str) -> Option<Text> {
        let scope = self
            .stages
            .last()
            .map_or(&self.arguments, |stage| &stage.scope);
        match scope.expand(word, self.escape) {
            Ok(text) => Some(text),
            Err(Unexpanded(problem)) => {
                self.omit(line, problem, "write the value there");
                None
            }
        }
    }

    /// `FROM [--platform=P] IMAGE [AS NAME]`.
    fn from(&mut self, line: &Line) {
        let scope = Scope {
            arguments: self.arguments.arguments.clone(),
            ..Scope::default()
        };
        let escape = self.escape;
        let mut words = line.rest.split_whitespace().peekable();
        let mut platform = None;
        let mut problem = None;
        while let Some(flag) = words.peek().and_then(|word| word.strip_prefix("--")) {
            match flag.split_once('=') {
                Some(("platform", value)) => platform = Some(value),
                _ => problem = Some(format!("there is no flag --{flag}")),
            }
            words.next();
        }
        let image = words.next();
        let alias = match (words.next(), words.next(), words.next()) {
            (None, ..) => None,
            (Some(word), Some(name), None) if word.eq_ignore_ascii_case("as") => Some(name),
            _ => {
                problem = Some("it is not FROM IMAGE [AS NAME]".to_owned());
                None
            }
        };
        let image = match scope.expand(image.unwrap_or_default(), escape) {
            Ok(text) if text.known() != Some("") => Some(text),
            Ok(_) => {
                problem = Some("it names no image".to_owned());
                None
            }
            Err(Unexpanded(reason)) => {
                problem = Some(reason);
                None
            }
        };
        // A stage is begun in any case, so that what follows has its place.
        let image = image.unwrap_or_default();
        let parent = image
            .known()
            .and_then(|name| self.stage_named(name))
            .cloned();
        let start = match (&parent, image.known()) {
            (Some(parent), _) => Start::Stage(parent.label.clone()),
            (None, Some("scratch")) => Start::Scratch,
            (None, _) => Start::Image(image),
        };
        let label = self.label(alias);
        let mut stage = Stage::begin(label, alias, start, parent.as_ref());
        stage.platform = match platform {
            // That is what is built for without being told.
            None
            | Some(
                "$BUILDPLATFORM" | "${BUILDPLATFORM}" | "$TARGETPLATFORM" | "${TARGETPLATFORM}",
            ) => None,
            Some(word) => match scope.expand(word, escape) {
                Ok(text) => Some(text),
                Err(Unexpanded(reason)) => {
                    problem = Some(reason);
                    None
                }
            },
        };
        self.stages.push(stage);
        if let Some(problem) = problem {
            self.omit(line, problem, "");
        }
    }

    /// An earlier stage by its name or number.
    pub(super) fn stage_named(&self, name: &str) -> Option<&Stage> {
        let lower = name.to_lowercase();
        let named = self.stages.iter().rev();
        let mut named = named.filter(|stage| stage.alias.as_deref() == Some(lower.as_str()));
        named.next()
    }

    /// An earlier stage, as `--from` names it: also by its number.
    pub(super) fn label_of(&mut self, line: &Line, name: &str) -> Option<String> {
        let name = self.expand(line, name)?;
        self.label_of_text(line, &name)
    }

    /// The same, of a name that is expanded.
    pub(super) fn label_of_text(&mut self, line: &Line, name: &Text) -> Option<String> {
        let current = self.stages.len().saturating_sub(1);
        if let Some(known) = name.known() {
            if let Some(stage) = self.stage_named(known) {
                return Some(stage.label.clone());
            }
            if let Ok(number) = known.parse::<usize>() {
                let own: Vec<&Stage> = self.stages.iter().filter(|it| !it.is_image()).collect();
                let earlier = own.len().saturating_sub(1);
                let found = own.into_iter().take(earlier).nth(number);
                let Some(stage) = found else {
                    self.omit(line, format!("there is no stage {number} before it"), "");
                    return None;
                };
                return Some(stage.label.clone());
            }
        }
        if let Some(label) = self.images.get(name) {
            return Some(label.clone());
        }
        // An image that no stage starts from: a build of its own that does nothing.
        let label = self.label(Some(name.known().unwrap_or("image")));
        let stage = Stage::of_image(label.clone(), Start::Image(name.clone()));
        self.stages.insert(current, stage);
        self.images.insert(name.clone(), label.clone());
        Some(label)
    }

    /// A label that no other stage has.
    fn label(&self, name: Option<&str>) -> String {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let own = self.stages.iter().filter(|stage| !stage.is_image()).count();
        let plain: String = match name {
            Some(name) => name
                .chars()
                .map(|c| if is_part(c) { c } else { '-' })
                .collect(),
            None => format!("stage-{own}"),
        };
        let plain = plain.trim_matches('-');
        let plain = match plain.starts_with(|c: char| c.is_ascii_alphabetic()) {
            true => plain.to_owned(),
            false => format!("stage-{plain}"),
        };
        let is_taken = |label: &String| self.stages.iter().any(|stage| stage.label == *label);
        let numbered = (2..).map(|number| format!("{plain}-{number}"));
        let mut labels = std::iter::once(plain.clone()).chain(numbered);
        labels.find(|label| !is_taken(label)).unwrap_or(plain)
    }

    /// `ARG NAME[=default] …`.
    fn argument(&mut self, line: &Line) {
        let words = match expansion::words(&line.rest, self.escape) {
            Ok(words) if !words.is_empty() => words,
            Ok(_) => return self.omit(line, "it names no argument", ""),
            Err(problem) => return self.omit(line, problem, ""),
        };
        for word in words {
            let (name, default) = match word.split_once('=') {
                Some((name, default)) => (name, Some(default)),
                None => (word.as_str(), None),
            };
            let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !is_name {
                self.omit(
                    line,
                    format!("{name:?} cannot be the name of a variable"),
                    "",
                );
                continue;
            }
            let default = match default {
                Some(default) => match self.expand(line, default) {
                    Some(text) => Some(text),
                    None => continue,
                },
                None => None,
            };
            let text = self.variable(line, name, default);
            match self.stages.last_mut() {
                None => drop(self.arguments.arguments.insert(name.to_owned(), text)),
                Some(stage) => {
                    stage.arguments.retain(|(known, _)| known != name);
                    stage.arguments.push((name.to_owned(), text.clone()));
                    stage.scope.arguments.insert(name.to_owned(), text);
                }
            }
        }
    }

    /// What an argument stands for: a variable of the template, or a local where its default is not
    /// always the same.
    fn variable(&mut self, line: &Line, name: &str, default: Option<Text>) -> Text {
        let of_variable = Text::of([Part::Expression(format!("var.{name}"))]);
        let is_new = !self.variables.iter().any(|(known, ..)| known == name);
        let automatic = automatic(name, self.import.platform);
        let is_automatic = default.is_none() && automatic.is_some();
        let is_conflicting = self.conflicting.contains(name);
        if is_new {
            let first = match (&default, automatic) {
                (Some(text), _) if !is_conflicting => text.clone(),
                (None, Some(value)) => Text::literal(value),
                _ => Text::default(),
            };
            let description = is_automatic.then_some("what is built for, or on");
            self.variables.push((name.to_owned(), first, description));
            if is_automatic {
                self.remark(
                    line,
                    format!("{name} is a variable of the template, with the value of this machine"),
                );
            }
        } else if let (Some(text), false) = (&default, is_conflicting) {
            // An earlier declaration may have had none.
            let known = self.variables.iter_mut().find(|(known, ..)| known == name);
            if let Some((_, first, _)) = known {
                *first = text.clone();
            }
        }
        match default {
            Some(text) if is_conflicting => {
                let taken = |local: &String| self.locals.iter().any(|(known, _)| known == local);
                let numbered = (2..).map(|number| format!("{name}_{number}"));
                let mut names = std::iter::once(name.to_owned()).chain(numbered);
                let local = names.find(|local| !taken(local)).unwrap_or_default();
                let expression = format!("var.{name} != \"\" ? var.{name} : {}", text.hcl());
                self.locals.push((local.clone(), expression));
                Text::of([Part::Expression(format!("local.{local}"))])
            }
            Some(_) => of_variable,
            // It has the default of the one in front of the first stage.
            None => match self.arguments.arguments.get(name) {
                Some(text) if !self.stages.is_empty() => text.clone(),
                _ => of_variable,
            },
        }
    }

    /// Whether an expression gives an absolute path, by the default of the variable that it is.
    pub(super) fn begins_absolute(&self, expression: &str) -> bool {
        let default = self.default_of(expression);
        default.is_some_and(|default| default.starts_with('/'))
    }

    /// What a text is if all variables have their defaults, as far as those are known.
    pub(super) fn by_default(&self, text: &Text) -> String {
        let parts = text.parts().iter();
        let values = parts.map(|part| match part {
            Part::Literal(text) => text.as_str(),
            Part::Expression(expression) => {
                let default = self.default_of(expression);
                default.and_then(Text::known).unwrap_or_default()
            }
            Part::OfBase(_) => "",
        });
        values.collect()
    }

    fn default_of(&self, expression: &str) -> Option<&Text> {
        let name = expression.strip_prefix("var.")?;
        let mut variables = self.variables.iter();
        let (_, default, _) = variables.find(|(known, ..)| known == name)?;
        Some(default)
    }

    /// An expression for a map of variables: a local's name, if it is worth one.
    pub(super) fn environment(&mut self, label: &str, pairs: &[(String, Text)]) -> String {
        let expression = write::map(pairs);
        if pairs.len() < 2 {
            return expression;
        }
        let known = self.locals.iter().find(|(_, known)| *known == expression);
        if let Some((name, _)) = known {
            return format!("local.{name}");
        }
        let plain = format!("{}_env", label.replace('-', "_"));
        let taken = |local: &String| self.locals.iter().any(|(known, _)| known == local);
        let numbered = (2..).map(|number| format!("{plain}_{number}"));
        let mut names = std::iter::once(plain.clone()).chain(numbered);
        let name = names.find(|name| !taken(name)).unwrap_or(plain);
        self.locals.push((name.clone(), expression));
        format!("local.{name}")
    }

    /// The whole template.
    fn template(&mut self) -> String {
        let mut blocks = Vec::new();
        for (name, default, description) in &self.variables {
            let mut block = Block::new("variable", &[name]);
            block.set("type", "string");
            block.set("default", default.hcl());
            if let Some(description) = description {
                block.set("description", Text::literal(*description).hcl());
            }
            blocks.push(block);
        }
        if !self.locals.is_empty() {
            let mut block = Block::new("locals", &[]);
            for (name, expression) in &self.locals {
                block.set(name, expression.clone());
            }
            blocks.push(block);
        }
        for stage in std::mem::take(&mut self.stages) {
            blocks.extend(stage.blocks());
        }
        let comment = format!(
            "Made of {} by `hardtack import-dockerfile`.",
            self.import.name
        );
        write::template(&comment, &blocks)
    }
}

/// The value of an argument that BuildKit sets by itself.
fn automatic(name: &str, platform: &Platform) -> Option<String> {
    let part = name
        .strip_prefix("TARGET")
        .or_else(|| name.strip_prefix("BUILD"))?;
    let architecture = platform.architecture.to_string();
    match part {
        "PLATFORM" => Some(platform.to_string()),
        "OS" => Some(platform.os.to_string()),
        "ARCH" => Some(architecture),
        "VARIANT" => Some(platform.variant.clone().unwrap_or_default()),
        _ => None,
    }
}

impl Stage {
    /// A stage at its beginning, with what it has from the one that it starts from.
    fn begin(label: String, alias: Option<&str>, start: Start, parent: Option<&Stage>) -> Self {
        let is_image = matches!(start, Start::Image(_));
        let mut stage = Self::of_image(label, start);
        stage.alias = Some(alias.unwrap_or_default().to_lowercase()).filter(|it| !it.is_empty());
        stage.is_image = false;
        if stage.start == Start::Scratch {
            let path = ("PATH".to_owned(), Text::literal(DEFAULT_PATH));
            stage.scope.env.insert(path.0.clone(), path.1.clone());
            stage.env.push(path);
        }
        stage.scope.has_unknown_base = is_image;
        if !is_image {
            stage.workdir = Some(Text::literal("/"));
        }
        if let Some(parent) = parent {
            // What needs the base's values is part of the image that this stage starts from.
            let known = parent
                .scope
                .env
                .iter()
                .filter(|(_, text)| !text.is_of_base());
            stage.scope.env = known
                .map(|(name, text)| (name.clone(), text.clone()))
                .collect();
            let is_open = parent.scope.env.values().any(Text::is_of_base);
            stage.scope.has_unknown_base = parent.scope.has_unknown_base || is_open;
            stage.workdir.clone_from(&parent.workdir);
            stage.shell.clone_from(&parent.shell);
            stage.parents_user = parent.user.clone().or_else(|| parent.parents_user.clone());
            // Its arguments are no part of the image, and yet they hold on.
            stage.scope.arguments.clone_from(&parent.scope.arguments);
            stage.arguments.clone_from(&parent.arguments);
        }
        stage
    }

    /// A build that only stands for an image.
    fn of_image(label: String, start: Start) -> Self {
        let mut body = Block::new("build", &[]);
        body.set(
            "sources",
            write::list(&[Text::literal(format!("oci.{label}"))]),
        );
        Self {
            label,
            alias: None,
            is_image: true,
            start,
            platform: None,
            scope: Scope::default(),
            workdir: None,
            sets_workdir: false,
            user: None,
            parents_user: None,
            shell: None,
            env: Vec::new(),
            arguments: Vec::new(),
            body,
            config: Config::default(),
        }
    }
}
