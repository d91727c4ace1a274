//! Names: what expressions and Go templates of one build can refer to.

use super::{PlannedBuild, Settings};
use crate::base::ResolvedBase;
use crate::image::Image;
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

/// What is known of an image, and of the one that it was built on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageNames {
    /// The digest of its manifest.
    pub digest: String,
    /// The digest of its configuration.
    pub config: String,
    /// Of a source of Packer's docker plugin: where a registry has the base, and the digest of its
    /// configuration.
    pub source: Option<(String, String)>,
}

impl ImageNames {
    /// Those of an image that is not there yet.
    pub fn unknown(source_type: &str) -> Self {
        let unknown = || UNKNOWN.to_owned();
        Self {
            digest: unknown(),
            config: unknown(),
            source: (source_type == DOCKER).then(|| (unknown(), unknown())),
        }
    }
}

/// What is known of a build's image; none if it makes none.
pub fn image_names(
    build: &PlannedBuild,
    image: Option<&Image>,
    base: Option<&ResolvedBase>,
) -> Option<ImageNames> {
    let planned = build.image()?;
    // Packer's words for what there is none of.
    let digest = image.map(|image| image.manifest.digest.to_string());
    let config = image.map(|image| image.config_descriptor.digest.to_string());
    let missing = "ERR_IMAGE_SHA256_NOT_FOUND";
    let of_base = || {
        let below = base.and_then(|base| base.image.as_ref());
        let config = below.map(|image| image.config_descriptor.digest.to_string());
        let digest = base.and_then(|base| base.repository_digest.clone());
        (digest.unwrap_or_default(), config.unwrap_or_default())
    };
    Some(ImageNames {
        digest: digest.unwrap_or_else(|| UNKNOWN.to_owned()),
        config: config.unwrap_or_else(|| missing.to_owned()),
        source: (planned.base.kind() == DOCKER).then(of_base),
    })
}

/// The source whose builds know about their base, as in Packer.
pub const DOCKER: &str = "docker";

/// The attributes of `build` beside its name. `id` is the artifact's, and those of an image have the
/// digests of its manifest and configuration too. Nothing is connected to and served over HTTP, so
/// what describes that is what Packer gives for a null source.
pub fn build_values(
    id: &str,
    image: Option<&ImageNames>,
    settings: &Settings,
) -> BTreeMap<String, Value> {
    let of_image = image.map(|it| {
        [
            ("Digest", it.digest.as_str()),
            ("ImageSha256", it.config.as_str()),
        ]
    });
    let of_base = image.and_then(|it| it.source.as_ref());
    let of_base = of_base.map(|(digest, config)| {
        [
            ("SourceImageDigest", digest.as_str()),
            ("SourceImageSha256", config.as_str()),
        ]
    });
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
    let names = of_image.into_iter().chain(of_base).flatten().chain(of_run);
    names
        .chain(of_connection.map(|name| (name, UNKNOWN)))
        .map(|(name, value)| (name.to_owned(), Value::string(value)))
        .collect()
}
