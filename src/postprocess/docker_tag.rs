//! The `docker-tag` post-processor: names for an image in the store.

use super::{Artifact, Context, PackerName, PostProcessError, PostProcessor, PrepareContext};
use crate::template::Arguments;

/// What Packer says made an image with a tag.
const DOCKER_TAG: &str = "packer.post-processor.docker-tag";

/// A `docker-tag` post-processor.
#[derive(Clone, Debug)]
struct DockerTag {
    repository: String,
    tags: Vec<String>,
}

/// Decodes the options of a `docker-tag` block.
pub fn prepare(
    arguments: &Arguments<'_>,
    _context: &PrepareContext,
) -> Option<Box<dyn PostProcessor>> {
    let repository: Option<String> = arguments.required("repository");
    let tags: Option<Vec<String>> = arguments.optional("tags");
    let tag: Option<Vec<String>> = arguments.optional("tag");
    // A name in the store moves without force, and there is no other program to call.
    let _: Option<bool> = arguments.optional("force");
    let _: Option<String> = arguments.optional("docker_path");
    let mut tags: Vec<String> = tags.into_iter().chain(tag).flatten().collect();
    if tags.is_empty() {
        tags.push("latest".to_owned());
    }
    let repository = repository?;
    let valid = check_repository(arguments, &repository) & check_tags(arguments, &tags);
    valid.then(|| Box::new(DockerTag { repository, tags }) as Box<dyn PostProcessor>)
}

/// Reports a `repository` that is none; says whether it is right.
pub fn check_repository(arguments: &Arguments<'_>, repository: &str) -> bool {
    let is_right = is_repository(repository);
    if !is_right {
        arguments.error(
            arguments.span("repository"),
            format!("{repository:?} is not the name of a repository"),
            &["it is [HOST[:PORT]/]NAME[/NAME…] in lower case, as \"registry.example.com/team/web\""],
        );
    }
    is_right
}

/// Reports those of `tags` that are none; says whether all are right.
pub fn check_tags(arguments: &Arguments<'_>, tags: &[String]) -> bool {
    let all = tags.iter().map(|tag| check_tag(arguments, "tags", tag));
    all.fold(true, |all, is_right| all & is_right)
}

/// Reports a tag that is none, given as `option`; says whether it is right.
pub fn check_tag(arguments: &Arguments<'_>, option: &str, tag: &str) -> bool {
    let is_right = is_tag(tag);
    if !is_right {
        arguments.error(
            arguments.span(option),
            format!("{tag:?} is not a tag"),
            &["a tag has at most 128 letters, digits, `_`, `.` and `-`, and begins with none of the last two"],
        );
    }
    is_right
}

/// Whether `text` is a tag (OCI distribution specification, "Pulling manifests").
pub fn is_tag(text: &str) -> bool {
    let mut characters = text.chars();
    let first = characters
        .next()
        .is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    first
        && text.len() <= 128
        && characters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

/// Whether `text` is a repository, with or without a registry's host before it.
pub fn is_repository(text: &str) -> bool {
    let (host, path) = match text.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => {
            (Some(host), path)
        }
        _ => (None, text),
    };
    let is_host = |host: &str| {
        let (name, port) = host.split_once(':').unwrap_or((host, "0"));
        !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
            && !port.is_empty()
            && port.chars().all(|c| c.is_ascii_digit())
    };
    let is_component = |component: &str| {
        let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        component.starts_with(edge)
            && component.ends_with(edge)
            && component
                .chars()
                .all(|c| edge(c) || matches!(c, '.' | '_' | '-'))
    };
    host.is_none_or(is_host) && path.len() <= 255 && path.split('/').all(is_component)
}

impl PostProcessor for DockerTag {
    fn kind(&self) -> &'static str {
        "docker-tag"
    }

    fn needs_input(&self) -> bool {
        true
    }

    fn needs_image(&self) -> bool {
        true
    }

    fn gives_names(&self) -> bool {
        true
    }

    fn run(&self, input: &Artifact, context: &Context<'_>) -> Result<Artifact, PostProcessError> {
        let image = context.image_of(input)?;
        let mut artifact = input.clone();
        artifact.kind = "docker-tag";
        artifact.names.clear();
        for tag in &self.tags {
            let name = format!("{}:{tag}", self.repository);
            let built = context.now.to_string();
            context
                .store
                .set_reference(&name, &image.manifest, Some(&built))?;
            artifact.names.push(name);
        }
        artifact.value = artifact.names.join(",");
        // The last one, as in Packer.
        let last = artifact.names.last().map(String::as_str);
        let names = &artifact.names;
        artifact.packer = PackerName::image(DOCKER_TAG, last.unwrap_or_default(), names);
        Ok(artifact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_and_tags_are_told_from_other_text() {
        for text in [
            "web",
            "team/web",
            "localhost/web",
            "r.example.com:5000/a/b-c_d.e",
            "a1",
        ] {
            assert!(is_repository(text), "{text}");
        }
        for text in [
            "",
            "Web",
            "web:1",
            "/web",
            "web/",
            "a//b",
            "-a",
            "r.example.com:x/a",
            "a b",
        ] {
            assert!(!is_repository(text), "{text}");
        }
        for text in ["latest", "1.2.3", "_x", "A-b"] {
            assert!(is_tag(text), "{text}");
        }
        for text in ["", ".a", "-a", "a b", "a/b", &"x".repeat(129)] {
            assert!(!is_tag(text), "{text}");
        }
    }
}
