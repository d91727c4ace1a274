//! `COPY` and `ADD`: files become `file` provisioners, those of another stage by way of a mount.

use super::lines::{Heredoc, Line};
use super::run::flags;
use super::text::{Part, Text};
use super::translate::Translator;
use super::write::{Block, list};
use crate::decompress::Compression;
use crate::image::{expansion, instruction};
use crate::provision::{Exclusion, pattern_glob};
use crate::template::hcl_quoted;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// Where another stage's files are seen while they are copied.
const MOUNT: &str = "/.hardtack-from";
/// How many files a pattern may match.
const MATCH_LIMIT: usize = 10_000;

/// What the flags say.
#[derive(Default)]
struct Flags {
    from: Option<String>,
    owner: Option<Text>,
    mode: Option<String>,
    exclude: Vec<String>,
}

/// One source.
enum Source {
    /// A file, as the template names it.
    File(Text),
    /// A folder by its path in the context.
    Folder(Text, Vec<String>),
    /// The files that a pattern matches.
    Pattern(String),
    /// A text.
    Content(Text),
}

impl Translator<'_> {
    /// Translates `COPY` and `ADD`.
    pub(super) fn copy(&mut self, line: &Line) {
        let (given, rest) = flags(&line.rest);
        let Some(flags) = self.copy_flags(line, &given) else {
            return;
        };
        let words = match instruction::list(rest) {
            Some(list) => list.iter().map(|word| expansion::quoted(word)).collect(),
            None => match expansion::words(rest, self.escape) {
                Ok(words) => words,
                Err(problem) => return self.omit(line, problem, ""),
            },
        };
        let Some((destination, sources)) = words.split_last().filter(|(_, it)| !it.is_empty())
        else {
            return self.omit(line, "it needs a source and a destination", "");
        };
        let Some(destination) = self.expand(line, destination) else {
            return;
        };
        let Some(destination) = self.absolute(line, destination) else {
            return;
        };
        let blocks = match &flags.from {
            Some(from) => self.copies_within(line, from, sources, &flags),
            None => self.copies(line, sources, &flags),
        };
        let Some(blocks) = blocks else { return };
        for (mut block, mount) in blocks {
            block.set("destination", destination.hcl());
            if let Some(owner) = &flags.owner {
                block.set("owner", owner.hcl());
            }
            if let Some(mode) = &flags.mode {
                block.set("mode", hcl_quoted(mode));
            }
            if let Some(mount) = mount {
                block.add(mount);
            }
            if let Some(stage) = self.stage() {
                stage.body.add(block);
            }
        }
    }

    fn copy_flags(&mut self, line: &Line, given: &[&str]) -> Option<Flags> {
        let mut flags = Flags::default();
        for flag in given {
            let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
            match name {
                "from" if line.name == "COPY" => flags.from = Some(value.to_owned()),
                "chown" => {
                    let owner = self.expand(line, value)?;
                    flags.owner = Some(with_group(owner));
                }
                "chmod" => {
                    let mode = self.expand(line, value)?;
                    let octal = mode.known().filter(|it| {
                        (1..=4).contains(&it.len()) && it.chars().all(|c| c.is_digit(8))
                    });
                    let Some(octal) = octal else {
                        self.omit(
                            line,
                            format!("--chmod={value} is no number of permission bits"),
                            "write octal digits, as --chmod=0755",
                        );
                        return None;
                    };
                    flags.mode = Some(format!("{octal:0>4}"));
                }
                "exclude" => {
                    let pattern = self.expand(line, value)?;
                    let Some(pattern) = pattern.known().map(str::to_owned) else {
                        self.omit(
                            line,
                            format!("--exclude={value} is not known yet"),
                            "write the pattern there",
                        );
                        return None;
                    };
                    if let Err(problem) = Exclusion::read(std::slice::from_ref(&pattern)) {
                        self.omit(line, problem, "write \\[ for a bracket that means itself");
                        return None;
                    }
                    flags.exclude.push(pattern);
                }
                // How layers are put together is no matter of the template.
                "link" => {}
                _ => {
                    self.omit(line, format!("--{flag} is not supported"), "");
                    return None;
                }
            }
        }
        Some(flags)
    }

    /// Copies from another stage, or an image.
    fn copies_within(
        &mut self,
        line: &Line,
        from: &str,
        sources: &[String],
        flags: &Flags,
    ) -> Option<Vec<(Block, Option<Block>)>> {
        if !flags.exclude.is_empty() {
            self.omit(
                line,
                "--exclude with --from is not supported",
                "name the files",
            );
            return None;
        }
        let label = self.label_of(line, from)?;
        let mut paths = Vec::new();
        for word in sources {
            let source = self.expand(line, word)?;
            if has_pattern(source.known().unwrap_or_default()) {
                self.omit(
                    line,
                    format!("{word} is a pattern of files in another image"),
                    "name the files, or copy the folder that they are in",
                );
                return None;
            }
            let slash = if source.starts_with('/') { "" } else { "/" };
            let end = if source.ends_with('/') { "" } else { "/" };
            // A folder stands for what it contains.
            let path = Text::literal(format!("{MOUNT}{slash}"));
            paths.push(path.with(&source).with(&Text::literal(end)));
        }
        let mut block = Block::new("provisioner", &["file"]);
        block.set("direction", "\"within\"");
        set_sources(&mut block, &paths);
        let mut mount = Block::new("mount", &["bind"]);
        mount.set("from", Text::literal(format!("oci.{label}")).hcl());
        mount.set("path", "\"/\"");
        mount.set("target", hcl_quoted(MOUNT));
        Some(vec![(block, Some(mount))])
    }

    /// Copies from the context.
    fn copies(
        &mut self,
        line: &Line,
        words: &[String],
        flags: &Flags,
    ) -> Option<Vec<(Block, Option<Block>)>> {
        let mut sources = Vec::new();
        for word in words {
            let heredoc = line.heredocs.iter().find(|it| it.word == *word);
            match heredoc {
                Some(heredoc) => sources.push(self.heredoc(line, heredoc)?),
                None => sources.extend(self.source(line, word, flags)?),
            }
        }
        let mut blocks: Vec<(Block, Option<Block>)> = Vec::new();
        let mut plain: Vec<Text> = Vec::new();
        let flush = |plain: &mut Vec<Text>, blocks: &mut Vec<(Block, Option<Block>)>| {
            if !plain.is_empty() {
                let mut block = Block::new("provisioner", &["file"]);
                set_sources(&mut block, plain);
                blocks.push((block, None));
                plain.clear();
            }
        };
        for source in sources {
            match source {
                Source::File(path) => plain.push(path),
                Source::Folder(path, exclude) if exclude.is_empty() => plain.push(path),
                Source::Folder(path, exclude) => {
                    flush(&mut plain, &mut blocks);
                    let mut block = Block::new("provisioner", &["file"]);
                    block.set("source", path.hcl());
                    let exclude: Vec<Text> = exclude.into_iter().map(Text::literal).collect();
                    block.set("exclude", list(&exclude));
                    blocks.push((block, None));
                }
                Source::Pattern(pattern) => {
                    flush(&mut plain, &mut blocks);
                    let name = Text::of([Part::Expression("name".to_owned())]);
                    let file = self.context_path(&Text::literal("./")).with(&name);
                    let mut block = Block::new("provisioner", &["file"]);
                    // `fileset` looks from the template's folder, a source from the working folder.
                    let context = match self.import.context_name {
                        "" => ".",
                        name => name,
                    };
                    let each = format!(
                        "[for name in fileset({}, {}) : {}]",
                        Text::literal(context).hcl(),
                        Text::literal(pattern).hcl(),
                        file.hcl()
                    );
                    block.set("sources", each);
                    blocks.push((block, None));
                }
                Source::Content(text) => {
                    flush(&mut plain, &mut blocks);
                    let mut block = Block::new("provisioner", &["file"]);
                    block.set("content", text.hcl());
                    blocks.push((block, None));
                }
            }
        }
        flush(&mut plain, &mut blocks);
        Some(blocks)
    }

    fn heredoc(&mut self, line: &Line, heredoc: &Heredoc) -> Option<Source> {
        let is_folder = line.rest.ends_with('/');
        if is_folder || line.heredocs.len() > 1 {
            self.omit(
                line,
                "a heredoc is copied into a folder",
                "name the file that it becomes as the destination",
            );
            return None;
        }
        let text = match heredoc.is_expanded {
            true => self.expand(line, &expansion::keeping_quotes(&heredoc.content))?,
            false => Text::literal(heredoc.content.clone()),
        };
        Some(Source::Content(text))
    }

    /// What one word of a `COPY` names; none after a report.
    fn source(&mut self, line: &Line, word: &str, flags: &Flags) -> Option<Vec<Source>> {
        let source = self.expand(line, word)?;
        self.within_context(line, &source)?;
        let Some(known) = source.known().map(str::to_owned) else {
            self.remark(
                line,
                format!("{word} is taken for a file, as its name is not known yet"),
            );
            return Some(vec![Source::File(self.context_path(&source))]);
        };
        if line.name == "ADD" && is_address(&known) {
            self.omit(
                line,
                format!("{known} is not downloaded"),
                "download it in a RUN, where it can be checked too",
            );
            return None;
        }
        let parts = clean(&known);
        let path = parts.join("/");
        let whole = self.import.context.join(&path);
        if let Ok(metadata) = fs::metadata(&whole) {
            if !path.is_empty() && self.patterns.exclude(&path) && !metadata.is_dir() {
                self.omit(line, format!("{known} is excluded by .dockerignore"), "");
                return None;
            }
            if line.name == "ADD" && metadata.is_file() && is_archive(&whole) {
                self.omit(
                    line,
                    format!("{known} is an archive, which ADD unpacks"),
                    "unpack it in a RUN with a bind mount, or beside the Dockerfile",
                );
                return None;
            }
            if metadata.is_dir() {
                let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
                let mut exclude = self.patterns.below(&parts);
                exclude.extend(flags.exclude.clone());
                let folder = self.context_path(&Text::literal(format!("{path}/")));
                return Some(vec![Source::Folder(folder, exclude)]);
            }
            return Some(vec![Source::File(self.context_path(&Text::literal(path)))]);
        }
        if !has_pattern(&known) {
            self.omit(
                line,
                format!(
                    "there is no {known} in the context {}",
                    self.import.context.display()
                ),
                "paths are looked up from the context; --context names another one",
            );
            return None;
        }
        let found = matches(self.import.context, &parts);
        let kept: Vec<&String> = found
            .iter()
            .filter(|it| !self.patterns.exclude(it))
            .collect();
        if kept.is_empty() {
            self.omit(line, format!("nothing in the context matches {known}"), "");
            return None;
        }
        for path in kept.iter().copied().cloned().collect::<Vec<_>>() {
            self.within_context(line, &Text::literal(path))?;
        }
        let is_file = |path: &&String| self.import.context.join(path).is_file();
        let is_shown = |path: &&String| !path.split('/').any(|part| part.starts_with('.'));
        let is_simple = kept.len() == found.len()
            && kept.iter().all(|path| is_file(path) && is_shown(path))
            && !path.contains(['{', '}', '\\']);
        if is_simple {
            return Some(vec![Source::Pattern(path)]);
        }
        self.remark(
            line,
            format!(
                "what {known} matches now is listed by name; files that come later are not copied"
            ),
        );
        let mut sources = Vec::new();
        for path in kept.into_iter().cloned().collect::<Vec<_>>() {
            let is_folder = self.import.context.join(&path).is_dir();
            let parts: Vec<&str> = path.split('/').collect();
            sources.push(match is_folder {
                true => Source::Folder(
                    self.context_path(&Text::literal(format!("{path}/"))),
                    self.patterns.below(&parts),
                ),
                false => Source::File(self.context_path(&Text::literal(path))),
            });
        }
        Some(sources)
    }

    /// Reports a path that leads out of the context, as one through a link can: what lies there is
    /// none of the image's. A path that is not known yet is taken to be its default.
    pub(super) fn within_context(&mut self, line: &Line, path: &Text) -> Option<()> {
        let whole = match path.known() {
            Some(known) => clean(known).join("/"),
            None => self.by_default(path).trim_start_matches('/').to_owned(),
        };
        let context = self.import.context;
        // What is not there is told elsewhere.
        let real = |path: &Path| path.canonicalize().ok();
        let is_outside = real(&context.join(&whole))
            .zip(real(context))
            .is_some_and(|(path, context)| !path.starts_with(context));
        if !is_outside {
            return Some(());
        }
        self.omit(
            line,
            format!("{whole} leads out of the context {}", context.display()),
            "copy what it leads to into the context, or name a context that holds both with --context",
        );
        None
    }

    /// A path of the context as the template names it.
    pub(super) fn context_path(&self, path: &Text) -> Text {
        let name = self.import.context_name;
        let mut whole = match name.starts_with('/') {
            true => Text::literal(name),
            false => {
                let root = Text::of([Part::Expression("path.root".to_owned())]);
                match name {
                    "" | "." => root,
                    name => root.with(&Text::literal(format!("/{name}"))),
                }
            }
        };
        match path.known() {
            Some("." | "") => {}
            Some(path) => {
                let end = if path.ends_with('/') { "/" } else { "" };
                let path = clean(path).join("/");
                let end = if path.is_empty() { "" } else { end };
                whole = whole.with(&Text::literal(format!("/{path}{end}")));
            }
            None => {
                let slash = if path.starts_with('/') { "" } else { "/" };
                whole = whole.with(&Text::literal(slash)).with(path);
            }
        }
        whole
    }
}

/// An owner as BuildKit takes it: a number alone is the group's too.
pub(super) fn with_group(owner: Text) -> Text {
    let number = owner.known().filter(|it| it.parse::<u32>().is_ok());
    let both = number.map(|it| Text::literal(format!("{it}:{it}")));
    both.unwrap_or(owner)
}

fn set_sources(block: &mut Block, paths: &[Text]) {
    match paths {
        [one] => block.set("source", one.hcl()),
        several => block.set("sources", list(several)),
    }
}

/// The parts of a path in the context, out of which nothing leads.
fn clean(path: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part.to_owned()),
        }
    }
    parts
}

fn has_pattern(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

/// Whether `ADD` takes it from elsewhere.
fn is_address(source: &str) -> bool {
    source.contains("://") || source.starts_with("git@")
}

/// Whether `ADD` unpacks it. What cannot be read is told when it is copied.
fn is_archive(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(512).read_to_end(&mut start));
    if read.is_err() {
        return false;
    }
    let is_tar = start.get(257..262) == Some(b"ustar");
    is_tar || Compression::of(&start) != Compression::None
}

/// The files and folders of the context that a pattern matches, sorted.
fn matches(context: &Path, parts: &[String]) -> Vec<String> {
    let mut found = vec![String::new()];
    for part in parts {
        let Ok(glob) = pattern_glob(part) else {
            return Vec::new();
        };
        let mut next = Vec::new();
        for folder in &found {
            let entries = fs::read_dir(context.join(folder))
                .into_iter()
                .flatten()
                .flatten();
            let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
            for name in names.filter(|name| glob.is_match(name)) {
                next.push(match folder.as_str() {
                    "" => name,
                    folder => format!("{folder}/{name}"),
                });
            }
        }
        next.truncate(MATCH_LIMIT);
        next.sort();
        found = next;
    }
    found
}
