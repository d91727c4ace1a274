//! A block of a template, decoded on its own, for tests.

use super::{Context, Prepared, Provisioner, StartState, prepare};
use crate::diagnostic::{Colours, Diagnostics};
use crate::sandbox::Action;
use crate::template::gotemplate::GoTemplateData;
use crate::template::{NamedText, NoServices, ScopeNames, TemplateTexts, World, load_texts};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

/// A working directory with files.
pub(super) struct Bench {
    folder: TempDir,
}

impl Bench {
    /// Makes files, and folders where a name ends in `/`.
    pub(super) fn new(files: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in files {
            let path = folder.path().join(name);
            if name.ends_with('/') {
                fs::create_dir_all(path).unwrap();
            } else {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, format!("{name}\n")).unwrap();
            }
        }
        Self { folder }
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Decodes a provisioner of a source `docker.web`; gives it with its warnings, or all that is
    /// wrong.
    pub(super) fn prepare(
        &self,
        kind: &str,
        options: &str,
    ) -> Result<(Box<dyn Provisioner>, String), String> {
        let template = NamedText {
            name: "t.pkr.hcl".to_owned(),
            text: format!(
                "source \"docker\" \"web\" {{}}\nbuild {{\n  sources = [\"docker.web\"]\n  provisioner {kind:?} {{\n{options}\n  }}\n}}\n"
            ),
        };
        let texts = TemplateTexts {
            folder: self.path().to_owned(),
            templates: vec![template],
            variable_files: Vec::new(),
        };
        let world = World {
            template_folder: self.path().to_owned(),
            working_folder: self.path().to_owned(),
            home: None,
            now: jiff::Timestamp::UNIX_EPOCH,
            random: Arc::new(|bytes| bytes.fill(0)),
            environment: BTreeMap::new(),
            services: Arc::new(NoServices),
        };
        let loaded = load_texts(texts, &[], true, world)
            .map_err(|error| error.diagnostics.render(&error.sources, Colours::Off))?;
        let go_template = GoTemplateData {
            fields: BTreeMap::new(),
            build_name: "web".to_owned(),
            build_type: "docker".to_owned(),
            working_folder: String::new(),
            now: jiff::Timestamp::UNIX_EPOCH,
            random: loaded.template.random(),
        };
        let context = Context {
            working_folder: self.path().to_owned(),
            source_name: "web".to_owned(),
            source_type: "docker".to_owned(),
            go_template: go_template.clone(),
            caller: std::sync::Arc::default(),
        };
        let scope = loaded.template.scope(&ScopeNames::default());
        let diagnostics = Diagnostics::new();
        let component = &loaded.template.builds()[0].provisioners[0];
        let arguments = loaded
            .template
            .arguments(&component.body, &scope, &diagnostics)
            .rendering(go_template);
        let prepared = prepare(kind, &arguments, &context);
        arguments.finish();
        let said = diagnostics.render(loaded.template.sources(), Colours::Off);
        let said = said.replace(&self.path().display().to_string(), "WORK");
        match prepared {
            Some(Prepared::Root(provisioner)) if !diagnostics.has_errors() => {
                Ok((provisioner, said))
            }
            _ => {
                assert!(diagnostics.has_errors(), "none without an error");
                Err(said)
            }
        }
    }

    /// The provisioner, which must be right, and its actions for a user, one a line.
    pub(super) fn actions(&self, kind: &str, options: &str, user: &str) -> String {
        let (provisioner, _) = self
            .prepare(kind, options)
            .unwrap_or_else(|said| panic!("{said}"));
        let start = StartState {
            user: user.to_owned(),
            ..StartState::default()
        };
        let scratch = tempfile::tempdir().unwrap();
        let actions = provisioner.actions(scratch.path(), &start).unwrap();
        let lines = actions.iter().map(|action| self.shown(action, user));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Those of its actions that run something: the commands alone.
    pub(super) fn commands(&self, kind: &str, options: &str, user: &str) -> Vec<String> {
        let actions = self.actions(kind, options, user);
        let runs = actions.lines().filter_map(|line| line.strip_prefix("run "));
        runs.map(str::to_owned).collect()
    }

    /// What is wrong with the options.
    pub(super) fn refusal(&self, kind: &str, options: &str) -> String {
        match self.prepare(kind, options) {
            Ok(_) => "nothing".to_owned(),
            Err(said) => said,
        }
    }

    fn shown(&self, action: &Action, user: &str) -> String {
        match action {
            Action::Temporary { path } => format!("temporary {path}"),
            Action::Upload {
                source,
                contents_only,
                destination,
                owner,
                mode: _,
            } => {
                let owner = match owner.as_str() {
                    "" => String::new(),
                    owner => format!(" of {owner}"),
                };
                let all = if *contents_only { "/*" } else { "" };
                let source = match source.strip_prefix(self.path()) {
                    Ok(below) => below.display().to_string(),
                    Err(_) if source.is_dir() => {
                        let links = fs::read_dir(source).unwrap().map(|link| {
                            let link = link.unwrap().path();
                            let target = fs::read_link(&link).unwrap();
                            let name = link.file_name().unwrap().display();
                            format!("{name} -> {}", target.display())
                        });
                        format!("[{}]", links.collect::<Vec<_>>().join(", "))
                    }
                    Err(_) => format!("{:?}", fs::read_to_string(source).unwrap()),
                };
                format!("upload {source}{all} to {destination}{owner}")
            }
            Action::Run {
                command, accept, ..
            } => {
                let accept = match accept.as_slice() {
                    [0] => String::new(),
                    codes if codes.len() > 9 => format!(" accepts {} codes", codes.len()),
                    codes => format!(" accepts {codes:?}"),
                };
                assert_eq!(command.argv[..2], ["/bin/sh", "-c"]);
                assert_eq!(command.user, user);
                format!("run {}{accept}", command.argv[2])
            }
            Action::Open => "open".to_owned(),
            Action::Copy { source, .. } => format!("copy {source}"),
            Action::Download { source, .. } => format!("download {source}"),
        }
    }
}
