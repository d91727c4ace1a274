//! `RUN`: a command becomes a `shell` provisioner, its flags the network and the mounts of the step.

use super::lines::Line;
use super::text::{Text, shell_literal};
use super::translate::Translator;
use super::write::{Block, list};
use crate::image::instruction::{self, Command};

impl Translator<'_> {
    /// Translates `RUN`.
    pub(super) fn run(&mut self, line: &Line) {
        let (flags, rest) = flags(&line.rest);
        let mut settings = Vec::new();
        let mut mounts = Vec::new();
        for flag in &flags {
            let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
            match (name, value) {
                ("mount", value) => match self.mount(line, value) {
                    Some(mount) => mounts.push(mount),
                    None => return,
                },
                ("network", "none" | "host") => {
                    settings.push(("network", Text::literal(value).hcl()));
                }
                ("network", "default") | ("security", "sandbox") => {}
                _ => {
                    return self.omit(line, format!("--{flag} is not supported"), "");
                }
            }
        }
        if rest.trim().is_empty() {
            return self.omit(line, "it has no command", "");
        }
        let pieces = without_flags(&line.pieces, flags.len());
        let escape = self.escape;
        let Some(stage) = self.stage() else { return };
        let (known, of_base) = stage.run_variables();
        let exports: Vec<Text> = of_base
            .iter()
            .map(|(name, text)| Text::literal(format!("export {name}=")).with(&text.shell_word()))
            .collect();
        let order = match Order::read(line, rest, &pieces, stage.shell.as_deref(), escape) {
            Ok(order) => order,
            Err(problem) => return self.omit(line, problem, ""),
        };
        let mut block = Block::new("provisioner", &["shell"]);
        match order {
            Order::Program(words) if exports.is_empty() => {
                let words: Vec<Text> = words.into_iter().map(Text::literal).collect();
                block.set("exec", list(&words));
            }
            Order::Program(words) => {
                // Only a shell can work the variables out.
                let words: Vec<String> = words.iter().map(|word| shell_literal(word)).collect();
                let mut lines = exports;
                lines.push(Text::literal(format!("exec {}", words.join(" "))));
                block.set("inline", list(&lines));
            }
            Order::Script { lines, .. }
                if lines.first().is_some_and(|it| it.starts_with("#!")) && !exports.is_empty() =>
            {
                return self.omit(line, "its script needs a variable of the base image", "");
            }
            Order::Script { lines, shebang } => {
                let mut all = exports;
                all.extend(lines.into_iter().map(Text::literal));
                block.set("inline", list(&all));
                if let Some(shebang) = shebang {
                    block.set("inline_shebang", Text::literal(shebang).hcl());
                }
            }
        }
        let Some(stage) = self.stage() else { return };
        let label = stage.label.clone();
        let user = stage.user.clone();
        let workdir = stage.workdir.clone().filter(|_| stage.sets_workdir);
        if !known.is_empty() {
            let environment = self.environment(&label, &known);
            block.set("env", environment);
        }
        for (name, text) in [("user", user), ("workdir", workdir)] {
            if let Some(text) = text {
                block.set(name, text.hcl());
            }
        }
        for (name, expression) in settings {
            block.set(name, expression);
        }
        for mount in mounts {
            block.add(mount);
        }
        if let Some(stage) = self.stage() {
            stage.body.add(block);
        }
    }

    /// Translates the value of `--mount`; none after a report.
    fn mount(&mut self, line: &Line, value: &str) -> Option<Block> {
        let mut options: Vec<(String, Text)> = Vec::new();
        for option in value.split(',').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, "true"));
            let name = match name.to_ascii_lowercase().as_str() {
                "dst" | "destination" => "target".to_owned(),
                "src" => "source".to_owned(),
                "ro" => "readonly".to_owned(),
                "rw" => "readwrite".to_owned(),
                other => other.to_owned(),
            };
            options.push((name, self.expand(line, value)?));
        }
        let mut take = |name: &str| {
            let place = options.iter().position(|(known, _)| known == name)?;
            Some(options.remove(place).1)
        };
        let kind = take("type").unwrap_or_else(|| Text::literal("bind"));
        let kind = kind.known().unwrap_or_default().to_owned();
        let target = take("target");
        let mut block = Block::new("mount", &[&kind]);
        let mut problem = None;
        let mut remark = None;
        let mut source = None;
        match kind.as_str() {
            "cache" => {
                for name in ["id", "uid", "gid", "mode"] {
                    if let Some(text) = take(name) {
                        block.set(name, number_or_text(name, &text));
                    }
                }
                let sharing = take("sharing");
                match sharing.as_ref().and_then(Text::known) {
                    None if sharing.is_some() => problem = Some("its sharing is no plain text"),
                    None | Some("shared") => {}
                    Some("locked") => block.set("sharing", "\"locked\""),
                    Some(_) => {
                        block.set("sharing", "\"locked\"");
                        remark =
                            Some("a private cache becomes a locked one: steps wait for each other");
                    }
                }
            }
            "secret" => {
                let id = take("id");
                let of_target = || {
                    let path = target.as_ref().and_then(Text::known)?;
                    Some(Text::literal(path.rsplit('/').next().unwrap_or_default()))
                };
                match id.or_else(of_target) {
                    Some(id) => block.set("id", id.hcl()),
                    None => problem = Some("it has neither an id nor a target"),
                }
                if let Some(variable) = take("env") {
                    block.set("variable", variable.hcl());
                }
                for name in ["uid", "gid", "mode"] {
                    if let Some(text) = take(name) {
                        block.set(name, number_or_text(name, &text));
                    }
                }
                if let Some(required) = take("required") {
                    block.set("required", required.known().unwrap_or("true").to_owned());
                } else {
                    // In a Dockerfile, a secret may be missing unless it says otherwise.
                    block.set("required", "false");
                }
            }
            "ssh" => {
                if let Some(id) = take("id") {
                    block.set("id", id.hcl());
                }
                for name in ["uid", "gid", "mode"] {
                    if let Some(text) = take(name) {
                        block.set(name, number_or_text(name, &text));
                    }
                }
                // As a secret, it may be missing.
                let required = take("required");
                let required = required.as_ref().and_then(Text::known);
                block.set("required", required.unwrap_or("false").to_owned());
            }
            "tmpfs" => {
                if let Some(size) = take("size") {
                    block.set("size", size.hcl());
                }
            }
            "bind" => {
                source = take("source");
                if take("readwrite").is_some_and(|it| it.known() != Some("false")) {
                    remark = Some("the mount is read-only: nothing can be written to it");
                }
                drop(take("readonly"));
            }
            _ => problem = Some("there is no such kind of mount"),
        }
        let from = if kind == "bind" { take("from") } else { None };
        if let Some((name, _)) = options.first() {
            self.omit(
                line,
                format!("its mount has the option {name}, which is not supported"),
                "",
            );
            return None;
        }
        if let Some(problem) = problem {
            self.omit(line, format!("--mount={value}: {problem}"), "");
            return None;
        }
        if let Some(remark) = remark {
            self.remark(line, remark);
        }
        if kind == "bind" {
            match from {
                Some(from) => {
                    let label = self.label_of_text(line, &from)?;
                    block.set("from", Text::literal(format!("oci.{label}")).hcl());
                    let path = source.unwrap_or_else(|| Text::literal("/"));
                    let slash = if path.starts_with('/') { "" } else { "/" };
                    block.set("path", Text::literal(slash).with(&path).hcl());
                }
                None => {
                    let path = source.unwrap_or_else(|| Text::literal("."));
                    self.within_context(line, &path)?;
                    block.set("source", self.context_path(&path).hcl());
                }
            }
        }
        match target {
            Some(target) => {
                let target = self.absolute(line, target)?;
                block.set("target", target.hcl());
            }
            None if matches!(kind.as_str(), "secret" | "ssh") => {}
            None => {
                self.omit(line, format!("--mount={value}: it has no target"), "");
                return None;
            }
        }
        Some(block)
    }
}

/// Ids are numbers, all else is text.
fn number_or_text(name: &str, text: &Text) -> String {
    let number = text.known().and_then(|it| it.parse::<u32>().ok());
    match number.filter(|_| matches!(name, "uid" | "gid")) {
        Some(number) => number.to_string(),
        None => text.hcl(),
    }
}

/// What is run.
enum Order {
    /// A program and its arguments.
    Program(Vec<String>),
    /// Lines, and what runs them if that is not the provisioner's own choice.
    Script {
        lines: Vec<String>,
        shebang: Option<&'static str>,
    },
}

impl Order {
    fn read(
        line: &Line,
        rest: &str,
        pieces: &[String],
        shell: Option<&[String]>,
        escape: char,
    ) -> Result<Self, String> {
        let mut text = rest.trim().to_owned();
        let mut is_script = false;
        match line.heredocs.as_slice() {
            [] => {
                if let Command::Program(words) = instruction::command(&text) {
                    return match words.is_empty() {
                        true => Err("its list is empty".to_owned()),
                        false => Ok(Self::Program(words)),
                    };
                }
            }
            [one] if text == one.word => {
                text.clone_from(&one.content);
                is_script = true;
            }
            several => {
                for heredoc in several {
                    text.push_str(&format!("\n{}{}", heredoc.content, heredoc.name));
                }
            }
        }
        if is_script && text.starts_with("#!") {
            let lines = text.lines().map(str::to_owned).collect();
            return Ok(Self::Script {
                lines,
                shebang: None,
            });
        }
        if let Some(shell) = shell {
            let mut words = shell.to_vec();
            words.push(text);
            return Ok(Self::Program(words));
        }
        let is_plain = line.heredocs.is_empty() && escape == '\\' && !text.contains(['\'', '#']);
        let lines: Vec<String> = match is_plain && pieces.len() > 1 {
            // As it is written: the shell joins the lines too.
            true => {
                let last = pieces.len() - 1;
                let ends = pieces.iter().enumerate();
                ends.map(|(index, piece)| match index == last {
                    true => piece.clone(),
                    false => format!("{piece}\\"),
                })
                .collect()
            }
            false => text.lines().map(str::to_owned).collect(),
        };
        // The provisioner's own shell stops at the first failure, Docker's does not.
        let is_chain = !text.contains([';', '\n', '{', '`', '!', '('])
            && text.replace("&&", "").matches('&').next().is_none()
            && !text.starts_with('#')
            && !["if ", "for ", "while ", "case ", "until "]
                .iter()
                .any(|word| text.contains(word));
        let shebang = (!is_chain).then_some("/bin/sh");
        Ok(Self::Script { lines, shebang })
    }
}

/// The flags at the beginning, without their dashes, and the rest.
pub(super) fn flags(text: &str) -> (Vec<&str>, &str) {
    let mut flags = Vec::new();
    let mut rest = text.trim_start();
    while let Some(flag) = rest.strip_prefix("--") {
        let end = flag.find(char::is_whitespace).unwrap_or(flag.len());
        let (flag, after) = flag.split_at(end);
        flags.push(flag);
        rest = after.trim_start();
    }
    (flags, rest)
}

/// The lines of an instruction without the flags at its beginning.
fn without_flags(pieces: &[String], count: usize) -> Vec<String> {
    let mut left = count;
    let mut kept: Vec<String> = Vec::new();
    for piece in pieces {
        let mut rest = piece.as_str();
        while left > 0 {
            let Some(flag) = rest.trim_start().strip_prefix("--") else {
                break;
            };
            let end = flag.find(char::is_whitespace).unwrap_or(flag.len());
            rest = flag.get(end..).unwrap_or_default();
            left -= 1;
        }
        if kept.is_empty() {
            rest = rest.trim_start();
        }
        if !(kept.is_empty() && rest.is_empty()) {
            kept.push(rest.to_owned());
        }
    }
    kept
}
