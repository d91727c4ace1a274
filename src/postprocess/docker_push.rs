//! The `docker-push` post-processor: pushes the names that `docker-tag` gave an image.
//!
//! Credentials are those of `docker login`, `podman login` or `hardtack login`, or the block's own.

use super::PrepareContext;
use super::progress::Meter;
use super::{Artifact, Context, DOCKER_IMPORT, PackerName, PostProcessError, PostProcessor};
use crate::provision::Said;
use crate::registry::options::{self, Login};
use crate::registry::{Client, Reference, push};
use crate::store::Platform;
use crate::template::Arguments;
use std::collections::BTreeMap;

/// A `docker-push` post-processor.
#[derive(Debug)]
struct DockerPush {
    login: Option<Login>,
    platform: Option<Platform>,
}

/// Decodes the options of a `docker-push` block.
pub fn prepare(
    arguments: &Arguments<'_>,
    _context: &PrepareContext,
) -> Option<Box<dyn PostProcessor>> {
    // There is no other program to call.
    let _: Option<String> = arguments.optional("docker_path");
    let platform: Option<String> = arguments.optional("platform");
    let login = options::login(arguments);
    let mut valid = login.is_ok();
    let platform = match platform.map(|text| text.parse::<Platform>()).transpose() {
        Ok(platform) => platform,
        Err(error) => {
            arguments.error(arguments.span("platform"), error.to_string(), &[]);
            valid = false;
            None
        }
    };
    let login = login.ok()?;
    valid.then(|| Box::new(DockerPush { login, platform }) as Box<dyn PostProcessor>)
}

impl PostProcessor for DockerPush {
    fn kind(&self) -> &'static str {
        "docker-push"
    }

    fn needs_image(&self) -> bool {
        true
    }

    fn needs_names(&self) -> bool {
        true
    }

    fn run(&self, input: &Artifact, context: &Context<'_>) -> Result<Artifact, PostProcessError> {
        let image = context.image_of(input)?;
        let platform = image.config.platform();
        if let Some(wanted) = self.platform.as_ref().filter(|it| **it != platform) {
            return Err(PostProcessError::Platform {
                wanted: wanted.to_string(),
                found: platform.to_string(),
            });
        }
        // Several tags of one repository are one push.
        let mut tags = BTreeMap::<_, Vec<String>>::new();
        let mut names = Vec::new();
        for name in &input.names {
            let name: Reference = name.parse()?;
            let of_repository = tags.entry(name.repository.clone()).or_default();
            of_repository.extend(name.tag.clone());
            let digest = Some(image.manifest.digest);
            names.push(Reference { digest, ..name }.to_string());
        }
        if names.is_empty() {
            return Err(PostProcessError::NoNames);
        }
        for (repository, tags) in &tags {
            let meter = Meter::new(context.say, "sent");
            let progress = |bytes| meter.add(bytes);
            let store = context.store;
            let client = self.client(context.registries, &repository.registry);
            let moved = push::image(&client, store, &image, repository, tags, &progress)?;
            (context.say)(Said::Note(&format!("{repository}: {moved}")));
        }
        let id = match &input.packer {
            Some(name) => name.id.clone(),
            None => input.names.first().cloned().unwrap_or_default(),
        };
        let packer = PackerName::image(DOCKER_IMPORT, &id, &[]);
        Ok(Artifact {
            kind: self.kind(),
            digest: Some(image.manifest.digest),
            value: names.join(","),
            files: Vec::new(),
            names: input.names.clone(),
            packer,
        })
    }
}

impl DockerPush {
    /// The client for a registry; the block's credentials are shown to no other one than theirs.
    fn client(&self, client: &Client, registry: &str) -> Client {
        match self
            .login
            .as_ref()
            .filter(|login| login.registry == registry)
        {
            None => client.clone(),
            Some(login) => client.with_login(registry, login.credentials()),
        }
    }
}
