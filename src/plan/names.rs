//! Names: what expressions and Go templates of one build can refer to.

use super::{PlannedBuild, Settings};
use crate::provision;
use crate::template::gotemplate::GoTemplateData;
use crate::template::{self, ScopeNames, SourceUse, Template, Value};
use std::collections::BTreeMap;

/// The names of one build as expressions and Go templates see them.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    /// The `build` block's name.
    pub build_name: Option<&'a str>,
    /// The source's type.
    pub source_type: &'a str,
    /// The source's name as its block gives it.
    pub source_name: &'a str,
    /// The name that the `build` block gives the source, else the source's.
    pub local_name: &'a str,
    /// Whether its expressions leave data sources alone.
    pub without_data: bool,
}

impl<'a> Names<'a> {
    /// Those of a planned build.
    pub fn of(build: &'a PlannedBuild) -> Self {
        Self {
            build_name: build.build_name.as_deref(),
            source_type: &build.source_type,
            source_name: &build.source_name,
            local_name: &build.local_name,
            without_data: false,
        }
    }

    /// Those of one use of a source.
    pub fn of_use(block: &'a template::Build, source: &'a SourceUse) -> Self {
        Self {
            build_name: block.name.as_deref(),
            source_type: &source.kind,
            source_name: &source.source_name,
            local_name: source.name(),
            without_data: false,
        }
    }

    /// The build's name: `[BUILD.]TYPE.SOURCE`.
    pub fn full(&self) -> String {
        let source = format!("{}.{}", self.source_type, self.local_name);
        match self.build_name {
            Some(build) => format!("{build}.{source}"),
            None => source,
        }
    }

    /// The scope of expressions; `build` are the attributes of the object of that name that are
    /// known by now.
    pub fn scope(&self, build: BTreeMap<String, Value>) -> ScopeNames {
        ScopeNames {
            build_name: Some(self.build_name.unwrap_or_default().to_owned()),
            source: Some((self.source_type.to_owned(), self.local_name.to_owned())),
            without_data: self.without_data,
            build,
        }
    }

    /// What Go templates can refer to.
    pub fn go_template(&self, template: &Template, settings: &Settings) -> GoTemplateData {
        GoTemplateData {
            fields: BTreeMap::new(),
            build_name: self.source_name.to_owned(),
            build_type: self.source_type.to_owned(),
            working_folder: settings.working_folder.display().to_string(),
            now: settings.now,
            random: template.random(),
        }
        .with("BuildName", self.source_name)
        .with("BuilderType", self.source_type)
    }
}

/// What Packer shows for a value that is not known, or that there is none of.
pub const UNKNOWN: &str = "<unknown>";

/// The attributes of `build` beside its name. `id` is the artifact's, and those of an image have the
/// digests of its manifest and configuration too. Nothing is connected to and served over HTTP, so
/// what describes that is what Packer gives for a null source.
pub fn build_values(
    id: &str,
    digests: Option<(&str, &str)>,
    settings: &Settings,
) -> BTreeMap<String, Value> {
    let of_image = digests.map(|(digest, config)| [("Digest", digest), ("ImageSha256", config)]);
    let of_run = [
        ("ID", id),
        ("PackerRunUUID", &settings.run_id),
        ("PackerHTTPAddr", provision::NO_HTTP_ADDRESS),
        ("PackerHTTPIP", "ERR_HTTP_IP_NOT_IMPLEMENTED_BY_BUILDER"),
        ("PackerHTTPPort", "ERR_HTTP_PORT_NOT_IMPLEMENTED_BY_BUILDER"),
    ];
    let of_connection = [
        "ConnType",
        "Host",
        "Password",
        "Port",
        "SSHPrivateKey",
        "SSHPublicKey",
        "User",
        "WinRMPassword",
    ];
    let names = of_image.into_iter().flatten().chain(of_run);
    names
        .chain(of_connection.map(|name| (name, UNKNOWN)))
        .map(|(name, value)| (name.to_owned(), Value::string(value)))
        .collect()
}
