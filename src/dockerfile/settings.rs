//! Settings: the instructions that change the image's configuration, and what holds for those after
//! them.

use super::copy::with_group;
use super::lines::Line;
use super::text::{Part, Text};
use super::translate::Translator;
use super::write::{Block, list};
use crate::image::Instruction;
use crate::image::expansion;
use crate::image::instruction::{self, Command, Probe};

impl Translator<'_> {
    /// Translates an instruction that neither runs nor copies.
    pub(super) fn setting(&mut self, line: &Line) {
        if line.rest.is_empty() && !matches!(line.name.as_str(), "CMD" | "ENTRYPOINT") {
            return self.omit(line, "it has no argument", "");
        }
        match line.name.as_str() {
            "ENV" => self.env(line),
            "WORKDIR" => self.workdir(line),
            "USER" => {
                let user = self.expand(line, &line.rest);
                if let (Some(user), Some(stage)) = (user, self.stage()) {
                    stage.user = Some(user);
                }
            }
            "SHELL" => match instruction::list(&line.rest).filter(|words| !words.is_empty()) {
                None => self.omit(
                    line,
                    "it is no list in JSON",
                    "write it as [\"/bin/sh\", \"-c\"]",
                ),
                Some(words) => {
                    if let Some(stage) = self.stage() {
                        stage.config.changes.retain(|it| {
                            !it.known().is_some_and(|text| text.starts_with("SHELL "))
                        });
                        let list = serde_json::Value::from(words.clone()).to_string();
                        stage
                            .config
                            .changes
                            .push(Text::literal(format!("SHELL {list}")));
                        stage.shell = Some(words);
                    }
                }
            },
            "CMD" | "ENTRYPOINT" => self.command(line),
            "LABEL" => self.labels(line),
            "EXPOSE" => {
                let Some(ports) = self.words(line) else {
                    return;
                };
                if let Some(stage) = self.stage() {
                    stage.config.ports.extend(ports);
                }
            }
            "VOLUME" => {
                let folders = match instruction::list(&line.rest) {
                    Some(list) => list.iter().map(|word| self.expand(line, word)).collect(),
                    None => self.words(line),
                };
                if let (Some(folders), Some(stage)) = (folders, self.stage()) {
                    stage.config.volumes.extend(folders);
                }
            }
            "STOPSIGNAL" => {
                let signal = self.expand(line, &line.rest);
                if let (Some(signal), Some(stage)) = (signal, self.stage()) {
                    stage.config.stop_signal = Some(signal);
                }
            }
            "HEALTHCHECK" => {
                match Instruction::parse(&format!("HEALTHCHECK {}", line.rest), '\\') {
                    Ok(Instruction::Healthcheck(probe)) => {
                        if let Some(stage) = self.stage() {
                            stage.config.healthcheck = Some(healthcheck(&probe));
                        }
                    }
                    Ok(_) => {}
                    Err(problem) => self.omit(line, problem, ""),
                }
            }
            "ONBUILD" => {
                let change = Text::literal(format!("ONBUILD {}", line.rest));
                if let Some(stage) = self.stage() {
                    stage.config.changes.push(change);
                }
            }
            "MAINTAINER" => {
                let author = Text::literal(line.rest.clone());
                if let Some(stage) = self.stage() {
                    stage.config.author = Some(author);
                }
            }
            other => {
                let problem = format!("there is no instruction {other}");
                self.omit(line, problem, "");
            }
        }
    }

    fn env(&mut self, line: &Line) {
        let pairs = match instruction::pairs(&line.rest, self.escape) {
            Ok(pairs) => pairs,
            Err(problem) => return self.omit(line, problem, ""),
        };
        // All of one instruction see what was before it.
        let mut set = Vec::with_capacity(pairs.len());
        for (name, value) in pairs {
            let (Some(name), Some(value)) =
                (self.expand(line, &name), self.expand_any(line, &value))
            else {
                continue;
            };
            match name
                .known()
                .filter(|name| !name.is_empty() && !name.contains('='))
            {
                Some(name) => set.push((name.to_owned(), value)),
                None => self.omit(line, "the name of a variable is no plain text", ""),
            }
        }
        for (name, value) in set.clone() {
            let Some(stage) = self.stage() else { return };
            // A shell that works out a value sees what the stage has set, not what the base has.
            let is_set = |it: &str| {
                let known = stage.env.iter().chain(&stage.arguments).chain(&set);
                it != name && known.into_iter().any(|(known, _)| known == it)
            };
            let hidden = value
                .names_of_base()
                .find(|it| is_set(it))
                .map(str::to_owned);
            let hides = stage
                .env
                .iter()
                .find(|(other, text)| *other != name && text.names_of_base().any(|it| it == name))
                .map(|(other, _)| other.clone());
            if let Some(hidden) = hidden {
                self.omit(
                    line,
                    format!("{name} needs the value that {hidden} has in the base image, and the stage sets {hidden} too"),
                    "write that value, or set one of them in an instruction of its own",
                );
                continue;
            }
            if let Some(other) = hides {
                self.omit(
                    line,
                    format!("{other} needs the value that {name} has in the base image"),
                    "write that value there",
                );
                continue;
            }
            let Some(stage) = self.stage() else { return };
            stage.env.retain(|(known, _)| *known != name);
            stage.env.push((name.clone(), value.clone()));
            stage.scope.env.insert(name, value);
        }
    }

    fn workdir(&mut self, line: &Line) {
        let Some(folder) = self.expand(line, &line.rest) else {
            return;
        };
        let Some(folder) = self.absolute(line, folder) else {
            return;
        };
        let folder = match folder.known() {
            Some(known) if known.len() > 1 => Text::literal(known.trim_end_matches('/')),
            _ => folder,
        };
        let Some(stage) = self.stage() else { return };
        if folder.known() != Some("/") {
            let mut make = Block::new("provisioner", &["file"]);
            make.set("folders", list(std::slice::from_ref(&folder)));
            // As BuildKit: whoever works in the folder can write there.
            let user = stage.user.as_ref().or(stage.parents_user.as_ref());
            if let Some(user) = user.filter(|it| !matches!(it.known(), Some("root" | "0"))) {
                make.set("owner", with_group(user.clone()).hcl());
            }
            stage.body.add(make);
        }
        stage.workdir = Some(folder);
        stage.sets_workdir = true;
    }

    /// A path from the stage's working directory; reports one that only the base image can tell.
    pub(super) fn absolute(&mut self, line: &Line, path: Text) -> Option<Text> {
        let is_absolute = match path.parts().first() {
            Some(Part::Expression(expression)) => self.begins_absolute(expression),
            _ => path.starts_with('/'),
        };
        if is_absolute {
            return Some(clean(path));
        }
        let Some(workdir) = self.stage()?.workdir.clone() else {
            self.omit(
                line,
                "it depends on the working directory of the base image",
                "write an absolute path, or a WORKDIR before it",
            );
            return None;
        };
        let slash = if workdir.ends_with('/') { "" } else { "/" };
        Some(clean(workdir.with(&Text::literal(slash)).with(&path)))
    }

    fn command(&mut self, line: &Line) {
        let Some(stage) = self.stage() else { return };
        let words = match instruction::command(&line.rest) {
            Command::Program(words) => words,
            Command::Line(line) if line.is_empty() => Vec::new(),
            Command::Line(line) => {
                let usual = || instruction::DEFAULT_SHELL.map(str::to_owned).to_vec();
                let mut words = stage.shell.clone().unwrap_or_else(usual);
                words.push(line);
                words
            }
        };
        let words = words.into_iter().map(Text::literal).collect();
        match line.name.as_str() {
            "CMD" => stage.config.cmd = Some(words),
            _ => stage.config.entrypoint = Some(words),
        }
    }

    fn labels(&mut self, line: &Line) {
        let pairs = match instruction::pairs(&line.rest, self.escape) {
            Ok(pairs) => pairs,
            Err(problem) => return self.omit(line, problem, ""),
        };
        for (name, value) in pairs {
            let (Some(name), Some(value)) = (self.expand(line, &name), self.expand(line, &value))
            else {
                continue;
            };
            let Some(name) = name
                .known()
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
            else {
                self.omit(line, "the name of a label is no plain text", "");
                continue;
            };
            if let Some(stage) = self.stage() {
                stage.config.labels.insert(name, value);
            }
        }
    }

    /// The words of an instruction, expanded; none after a report.
    fn words(&mut self, line: &Line) -> Option<Vec<Text>> {
        match expansion::words(&line.rest, self.escape) {
            Ok(words) => words.iter().map(|word| self.expand(line, word)).collect(),
            Err(problem) => {
                self.omit(line, problem, "");
                None
            }
        }
    }
}

/// A path without needless parts, if it is known. A `/` at its end stays.
fn clean(path: Text) -> Text {
    let Some(known) = path.known() else {
        return path;
    };
    let mut parts = Vec::new();
    for part in known.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let is_folder = known.ends_with('/') || known.ends_with("/.");
    let end = if is_folder && !parts.is_empty() {
        "/"
    } else {
        ""
    };
    Text::literal(format!("/{}{end}", parts.join("/")))
}

fn healthcheck(probe: &Probe) -> Block {
    let mut block = Block::new("healthcheck", &[]);
    let words = match &probe.command {
        None => vec!["NONE".to_owned()],
        Some(Command::Line(line)) => vec!["CMD-SHELL".to_owned(), line.clone()],
        Some(Command::Program(words)) => {
            let mut all = vec!["CMD".to_owned()];
            all.extend(words.clone());
            all
        }
    };
    let words: Vec<Text> = words.into_iter().map(Text::literal).collect();
    block.set("test", list(&words));
    let times = [
        ("interval", probe.times.interval),
        ("timeout", probe.times.timeout),
        ("start_period", probe.times.start_period),
        ("start_interval", probe.times.start_interval),
    ];
    for (name, time) in times {
        if let Some(time) = time {
            block.set(name, Text::literal(duration(time)).hcl());
        }
    }
    if let Some(retries) = probe.times.retries {
        block.set("retries", retries.to_string());
    }
    block
}

/// Nanoseconds in the largest unit that fits.
fn duration(time: i64) -> String {
    let units = [
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
    ];
    let unit = units.iter().find(|(size, _)| time % size == 0 && time != 0);
    match unit {
        Some((size, name)) => format!("{}{name}", time / size),
        None => format!("{time}ns"),
    }
}
