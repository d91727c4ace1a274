//! Stages: the builds that a Dockerfile becomes, while they are put together.

use super::scope::Scope;
use super::text::Text;
use super::write::{Block, list, map};
use std::collections::BTreeMap;

/// A variable's name and its value.
pub type Variable = (String, Text);

/// Where a stage starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// An image of a registry.
    Image(Text),
    /// An earlier stage, by its label.
    Stage(String),
    /// Nothing.
    Scratch,
}

/// One stage.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Its name as a source of the template.
    pub label: String,
    /// Its name in the Dockerfile, in small letters.
    pub alias: Option<String>,
    /// Whether it only stands for an image that another one copies from.
    pub is_image: bool,
    /// Where it starts.
    pub start: Start,
    /// What it is for.
    pub platform: Option<Text>,
    /// What variables stand for.
    pub scope: Scope,
    /// The folder for what comes next; none if only the base knows.
    pub workdir: Option<Text>,
    /// Whether the stage itself has set it, so that steps must say it.
    pub sets_workdir: bool,
    /// Who runs what comes next, if the stage says so.
    pub user: Option<Text>,
    /// Who runs it otherwise, if a stage that this one starts from says so.
    pub parents_user: Option<Text>,
    /// The shell, if it is not the usual one.
    pub shell: Option<Vec<String>>,
    /// The variables that the stage sets, in order.
    pub env: Vec<(String, Text)>,
    /// The arguments that the stage declares, in order: `RUN` sees them.
    pub arguments: Vec<(String, Text)>,
    /// Provisioners, and comments about what is left out.
    pub body: Block,
    /// The rest of the configuration.
    pub config: Config,
}

/// What a stage says of the image's configuration, beside its variables, user and folder.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The program.
    pub entrypoint: Option<Vec<Text>>,
    /// The arguments.
    pub cmd: Option<Vec<Text>>,
    /// Labels.
    pub labels: BTreeMap<String, Text>,
    /// Ports.
    pub ports: Vec<Text>,
    /// Folders.
    pub volumes: Vec<Text>,
    /// The signal.
    pub stop_signal: Option<Text>,
    /// Who made the image.
    pub author: Option<Text>,
    /// The probe.
    pub healthcheck: Option<Block>,
    /// What a template has no other words for.
    pub changes: Vec<Text>,
}

impl Stage {
    /// Whether it only stands for an image that another one copies from.
    pub fn is_image(&self) -> bool {
        self.is_image
    }

    /// The `source` and the `build` block.
    pub fn blocks(self) -> [Block; 2] {
        let mut source = Block::new("source", &["oci", &self.label]);
        match &self.start {
            Start::Image(name) => source.set("image", name.hcl()),
            Start::Stage(label) => source.set("from", Text::literal(format!("oci.{label}")).hcl()),
            Start::Scratch => source.set("scratch", "true"),
        }
        if let Some(platform) = &self.platform {
            source.set("platform", platform.hcl());
        }
        let config = self.config();
        let mut build = self.body;
        if let Some(config) = config {
            build.add(config);
        }
        [source, build]
    }

    fn config(&self) -> Option<Block> {
        let settings = &self.config;
        let mut block = Block::new("config", &[]);
        let mut changes = Vec::new();
        let (of_base, known): (Vec<_>, Vec<_>) = self
            .env
            .iter()
            .cloned()
            .partition(|(_, text)| text.is_of_base());
        for (name, text) in of_base {
            let word = Text::literal(format!("ENV {name}=")).with(&text.instruction_word());
            changes.push(word);
        }
        changes.extend(settings.changes.clone());
        if !changes.is_empty() {
            block.set("changes", list(&changes));
        }
        if !known.is_empty() {
            block.set("env", map(&known));
        }
        let lists = [("entrypoint", &settings.entrypoint), ("cmd", &settings.cmd)];
        for (name, words) in lists {
            if let Some(words) = words {
                block.set(name, list(words));
            }
        }
        let workdir = self.workdir.as_ref().filter(|_| self.sets_workdir);
        let texts = [
            ("user", self.user.as_ref()),
            ("workdir", workdir),
            ("stop_signal", settings.stop_signal.as_ref()),
            ("author", settings.author.as_ref()),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                block.set(name, text.hcl());
            }
        }
        if !settings.labels.is_empty() {
            let labels: Vec<_> = settings.labels.clone().into_iter().collect();
            block.set("labels", map(&labels));
        }
        for (name, texts) in [("ports", &settings.ports), ("volumes", &settings.volumes)] {
            if !texts.is_empty() {
                block.set(name, list(texts));
            }
        }
        if let Some(healthcheck) = &settings.healthcheck {
            block.add(healthcheck.clone());
        }
        (!block.is_empty()).then_some(block)
    }

    /// The variables that `RUN` sees beside those of the base: those that the template knows, and those
    /// that a shell must work out.
    pub fn run_variables(&self) -> (Vec<Variable>, Vec<Variable>) {
        // A variable hides an argument, also one that the stage before has set.
        let arguments = self.arguments.iter();
        let seen = arguments.filter(|(name, _)| !self.scope.env.contains_key(name));
        let mut all: BTreeMap<String, Text> = seen.cloned().collect();
        all.extend(self.env.iter().cloned());
        all.into_iter().partition(|(_, text)| !text.is_of_base())
    }
}
