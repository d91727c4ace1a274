//! Options of a tool's block: those that name host files and folders, and those that mean nothing
//! here.
//!
//! An option with an empty text counts as not given, as in Packer, where templates hand empty
//! variables on.

use super::Context;
use crate::template::{Arguments, Value};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Reads the options of one block, and remembers whether one was wrong.
pub struct ToolOptions<'a, 'b> {
    arguments: &'a Arguments<'b>,
    working_folder: &'a Path,
    is_right: Cell<bool>,
    /// The options that were said to be wrong.
    wrong: RefCell<BTreeSet<String>>,
}

/// What an option may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    File,
    Folder,
    Either,
}

impl<'a, 'b> ToolOptions<'a, 'b> {
    /// Opens a block.
    pub fn new(arguments: &'a Arguments<'b>, context: &'a Context) -> Self {
        Self {
            arguments,
            working_folder: &context.working_folder,
            is_right: Cell::new(true),
            wrong: RefCell::default(),
        }
    }

    /// Where relative host paths start from.
    pub fn working_folder(&self) -> &Path {
        self.working_folder
    }

    /// Whether nothing was wrong.
    pub fn is_right(&self) -> bool {
        self.is_right.get()
    }

    /// A text.
    pub fn text(&self, name: &str) -> Option<String> {
        let text: Option<String> = self.arguments.optional(name);
        text.filter(|text| !text.is_empty())
    }

    /// A Go template that is rendered later.
    pub fn template(&self, name: &str) -> Option<String> {
        let text: Option<String> = self.arguments.unrendered(name);
        text.filter(|text| !text.is_empty())
    }

    /// A list of texts.
    pub fn list(&self, name: &str) -> Vec<String> {
        let list: Vec<String> = self.arguments.optional(name).unwrap_or_default();
        list.into_iter().filter(|text| !text.is_empty()).collect()
    }

    /// A switch that is off unless it is given.
    pub fn flag(&self, name: &str) -> bool {
        self.arguments.optional(name).unwrap_or(false)
    }

    /// A host file.
    pub fn file(&self, name: &str) -> Option<PathBuf> {
        self.found(name, &self.text(name)?, Wanted::File)
    }

    /// Several host files.
    pub fn files(&self, name: &str) -> Vec<PathBuf> {
        let list = self.list(name).into_iter();
        list.filter_map(|path| self.found(name, &path, Wanted::File))
            .collect()
    }

    /// A host folder.
    pub fn folder(&self, name: &str) -> Option<PathBuf> {
        self.found(name, &self.text(name)?, Wanted::Folder)
    }

    /// Several host folders.
    pub fn folders(&self, name: &str) -> Vec<PathBuf> {
        let list = self.list(name).into_iter();
        list.filter_map(|path| self.found(name, &path, Wanted::Folder))
            .collect()
    }

    /// A host file or folder.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.found(name, &self.text(name)?, Wanted::Either)
    }

    /// A folder in the root, without a slash at its end.
    pub fn remote_folder(&self, name: &str, default: &str) -> String {
        let Some(given) = self.text(name) else {
            return default.to_owned();
        };
        let path = Path::new(&given);
        let names = path.components().filter_map(|part| match part {
            std::path::Component::Normal(name) => Some(name.to_string_lossy()),
            _ => None,
        });
        let plain = format!("/{}", names.collect::<Vec<_>>().join("/"));
        let leads_up = given.split('/').any(|part| part == "..");
        if !given.starts_with('/') || leads_up || plain == "/" {
            self.error(
                name,
                format!("{name} cannot be {given:?}"),
                &[&format!(
                    "it is an absolute path of a folder below the image's root, as {default}"
                )],
            );
        }
        plain
    }

    /// Whether an option is written that is to be refused.
    pub fn refuses(&self, name: &str) -> bool {
        let _: Option<Value> = self.arguments.unrendered(name);
        self.arguments.has(name)
    }

    /// Says that an option is wrong.
    pub fn error(&self, name: &str, problem: impl Into<String>, help: &[&str]) {
        self.is_right.set(false);
        self.wrong.borrow_mut().insert(name.to_owned());
        self.arguments
            .error(self.arguments.span(name), problem, help);
    }

    /// Says that a required option is missing, unless it was given and is wrong.
    pub fn missing(&self, names: &[&str], problem: &str, help: &[&str]) {
        self.is_right.set(false);
        let wrong = self.wrong.borrow();
        let is_wrong = names.iter().any(|name| wrong.contains(*name));
        if !is_wrong && !self.arguments.any_failed(names) {
            self.arguments.error(self.arguments.header(), problem, help);
        }
    }

    /// Warns that an option has no effect.
    pub fn warn(&self, name: &str, problem: impl Into<String>, help: &[&str]) {
        self.arguments
            .warning(self.arguments.span(name), problem, help);
    }

    /// `guest_os_type`: everything here is a Unix.
    pub fn guest_system(&self) {
        let Some(given) = self.text("guest_os_type") else {
            return;
        };
        match given.to_lowercase().as_str() {
            "unix" => {}
            "windows" => self.error(
                "guest_os_type",
                "guest_os_type cannot be \"windows\"",
                &["hardtack builds images of Linux alone"],
            ),
            _ => self.error(
                "guest_os_type",
                format!("guest_os_type cannot be {given:?}"),
                &["it is \"unix\", the default"],
            ),
        }
    }

    fn found(&self, name: &str, given: &str, wanted: Wanted) -> Option<PathBuf> {
        let path = self.working_folder.join(given);
        let problem = match (std::fs::metadata(&path), wanted) {
            (Ok(metadata), Wanted::File) if metadata.is_dir() => "is a folder, not a file",
            (Ok(metadata), Wanted::Folder) if !metadata.is_dir() => "is a file, not a folder",
            (Ok(_), _) => return Some(path),
            (Err(error), _) if error.kind() == std::io::ErrorKind::NotFound => "does not exist",
            (Err(_), _) => "cannot be looked at",
        };
        self.error(
            name,
            format!("{name}: {given} {problem}"),
            &[&format!(
                "it is looked up from the working directory {}; use \"${{path.root}}/…\" for what lies beside the template",
                self.working_folder.display()
            )],
        );
        None
    }
}
