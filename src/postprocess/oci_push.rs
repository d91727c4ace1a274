//! The `oci-push` post-processor: brings the image into a registry.
//!
//! With `index`, the builds of a run that push to the same name get one index together.

use super::joint::{Joint, Part};
use super::progress::Meter;
use super::{
    Artifact, Context, PostProcessError, PostProcessor, PrepareContext, PushedName, docker_tag,
};
use crate::digest::Digest;
use crate::image::{self, Image};
use crate::provision::Said;
use crate::registry::{Reference, Repository, push};
use crate::template::Arguments;
use oci_spec::image::MediaType;
use std::collections::BTreeMap;

/// An `oci-push` post-processor.
#[derive(Clone, Debug)]
struct OciPush {
    repository: Repository,
    tags: Vec<String>,
    index: bool,
    annotations: BTreeMap<String, String>,
}

/// Decodes the options of an `oci-push` block.
pub fn prepare(
    arguments: &Arguments<'_>,
    _context: &PrepareContext,
) -> Option<Box<dyn PostProcessor>> {
    let repository: Option<String> = arguments.required("repository");
    let tags: Option<Vec<String>> = arguments.optional("tags");
    let index = arguments.optional("index").unwrap_or(false);
    let annotations: BTreeMap<String, String> =
        arguments.optional("annotations").unwrap_or_default();
    let tags = tags.unwrap_or_else(|| vec!["latest".to_owned()]);
    let mut valid = docker_tag::check_tags(arguments, &tags);
    if tags.is_empty() && !arguments.any_failed(&["tags"]) {
        arguments.error(
            arguments.span("tags"),
            "there must be at least one tag",
            &["without `tags` it is \"latest\""],
        );
        valid = false;
    }
    if annotations.contains_key("") {
        arguments.error(
            arguments.span("annotations"),
            "an annotation must have a name",
            &[],
        );
        valid = false;
    }
    let repository = match repository?.parse::<Repository>() {
        Ok(repository) => repository,
        Err(error) => {
            let help = "it is HOST[:PORT]/PATH, as \"registry.example.com/team/web\"";
            arguments.error(arguments.span("repository"), error.to_string(), &[help]);
            return None;
        }
    };
    valid.then(|| {
        Box::new(OciPush {
            repository,
            tags,
            index,
            annotations,
        }) as Box<dyn PostProcessor>
    })
}

impl PostProcessor for OciPush {
    fn kind(&self) -> &'static str {
        "oci-push"
    }

    fn needs_image(&self) -> bool {
        true
    }

    fn pushes(&self) -> Vec<PushedName> {
        let pushed = self.names().map(|name| PushedName {
            name: name.to_string(),
            is_joint: self.index,
        });
        pushed.collect()
    }

    fn run(&self, input: &Artifact, context: &Context<'_>) -> Result<Artifact, PostProcessError> {
        let image = context.image_of(input)?;
        if self.index {
            return self.join(&image, input, context);
        }
        let image = image::annotate(context.store, &image, &self.annotations)?;
        self.push(&image, &self.tags, context)?;
        let digest = image.manifest.digest;
        let names = self.names().map(|name| Reference {
            digest: Some(digest),
            ..name
        });
        Ok(self.artifact(digest, names.collect(), input))
    }
}

impl OciPush {
    fn names(&self) -> impl Iterator<Item = Reference> + use<'_> {
        self.tags.iter().map(|tag| Reference {
            repository: self.repository.clone(),
            tag: Some(tag.clone()),
            digest: None,
        })
    }

    fn push(
        &self,
        image: &Image,
        tags: &[String],
        context: &Context<'_>,
    ) -> Result<(), PostProcessError> {
        let meter = Meter::new(context.say, "sent");
        let (client, store) = (context.registries, context.store);
        let moved = push::image(client, store, image, &self.repository, tags, &|bytes| {
            meter.add(bytes);
        })?;
        (context.say)(Said::Note(&format!("{}: {moved}", self.repository)));
        Ok(())
    }

    /// Pushes the image by its digest, and the index once all images of it are there.
    fn join(
        &self,
        image: &Image,
        input: &Artifact,
        context: &Context<'_>,
    ) -> Result<Artifact, PostProcessError> {
        self.push(image, &[], context)?;
        let mut manifest = image.manifest.plain();
        manifest.platform = Some(image.config.platform());
        let mut written = Vec::new();
        for name in self.names() {
            let part = Part {
                manifest: manifest.clone(),
                annotations: self.annotations.clone(),
            };
            let partners = (context.partners)(&name.to_string());
            let build = context.build_name;
            match context
                .joint
                .bring(&name.to_string(), build, part, &partners)?
            {
                Joint::Waiting(builds) => {
                    let builds = builds.join(", ");
                    let text = format!("the index {name} waits for {builds}");
                    (context.say)(Said::Note(&text));
                }
                Joint::Complete(text) => {
                    context.store.put_blob(&text)?;
                    let tags: Vec<String> = name.tag.iter().cloned().collect();
                    let kind = MediaType::ImageIndex;
                    let client = context.registries;
                    push::document(client, &self.repository, &kind, &text, &tags)?;
                    let digest = Some(Digest::of(&text));
                    written.push(Reference { digest, ..name });
                }
            }
        }
        let digest = image.manifest.digest;
        if written.is_empty() {
            written.push(Reference {
                repository: self.repository.clone(),
                tag: None,
                digest: Some(digest),
            });
        }
        Ok(self.artifact(digest, written, input))
    }

    fn artifact(&self, digest: Digest, names: Vec<Reference>, input: &Artifact) -> Artifact {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        Artifact {
            kind: self.kind(),
            digest: Some(digest),
            value: names.join(","),
            files: Vec::new(),
            names: input.names.clone(),
            packer: None,
        }
    }
}
