//! The post-processors that write an image to the host: `oci-layout`, `oci-archive`,
//! `docker-archive`, and Packer's `docker-save`.

use super::{Artifact, Context, PostProcessError, PostProcessor, PrepareContext, docker_tag};
use crate::image::{archive, docker, layout};
use crate::template::Arguments;
use std::fs;
use std::path::{Path, PathBuf};

/// The form in which an image is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    OciLayout,
    OciArchive,
    DockerArchive,
    /// A Docker archive with the names that `docker-tag` gave.
    DockerSave,
}

/// One of these post-processors.
#[derive(Clone, Debug)]
struct Export {
    form: Form,
    path: String,
    /// Names that the image gets inside; the build's name where there is none.
    names: Vec<String>,
}

/// Decodes the options of an `oci-layout` block.
pub fn prepare_oci_layout(
    arguments: &Arguments<'_>,
    _context: &PrepareContext,
) -> Option<Box<dyn PostProcessor>> {
    prepare(arguments, Form::OciLayout)
}

/// Decodes the options of an `oci-archive` block.
pub fn prepare_oci_archive(
    arguments: &Arguments<'_>,
    _context: &PrepareContext,
) -> Option<Box<dyn PostProcessor>> {
    prepare(arguments, Form::OciArchive)
}

/// Decodes the options of a `docker-archive` block.
pub fn prepare_docker_archive(
    arguments: &Arguments<'_>,
    _context: &PrepareContext,
) -> Option<Box<dyn PostProcessor>> {
    prepare(arguments, Form::DockerArchive)
}

/// Decodes the options of a `docker-save` block.
pub fn prepare_docker_save(
    arguments: &Arguments<'_>,
    _context: &PrepareContext,
) -> Option<Box<dyn PostProcessor>> {
    // There is no other program to call.
    let _: Option<String> = arguments.optional("docker_path");
    prepare(arguments, Form::DockerSave)
}

fn prepare(arguments: &Arguments<'_>, form: Form) -> Option<Box<dyn PostProcessor>> {
    let path: Option<String> = arguments.required("path");
    let mut names: Vec<String> = Vec::new();
    let mut valid = true;
    if form == Form::DockerArchive {
        names = arguments.optional("tags").unwrap_or_default();
        for name in &names {
            let (repository, tag) = match name.rsplit_once(':') {
                Some((repository, tag)) if !tag.contains('/') => (repository, tag),
                _ => (name.as_str(), "latest"),
            };
            if !docker_tag::is_repository(repository) || !docker_tag::is_tag(tag) {
                arguments.error(
                    arguments.span("tags"),
                    format!("{name:?} is not an image name"),
                    &["it is REPOSITORY[:TAG], as \"team/web:1.2\""],
                );
                valid = false;
            }
        }
    } else if form != Form::DockerSave
        && let Some(name) = arguments.optional::<String>("reference")
    {
        names.push(name);
    }
    let path = path?;
    if path.is_empty() {
        arguments.error(arguments.span("path"), "path must not be empty", &[]);
        valid = false;
    }
    valid.then(|| Box::new(Export { form, path, names }) as Box<dyn PostProcessor>)
}

impl PostProcessor for Export {
    fn kind(&self) -> &'static str {
        match self.form {
            Form::OciLayout => "oci-layout",
            Form::OciArchive => "oci-archive",
            Form::DockerArchive => "docker-archive",
            Form::DockerSave => "docker-save",
        }
    }

    fn needs_image(&self) -> bool {
        true
    }

    fn needs_layers(&self) -> bool {
        true
    }

    fn run(&self, input: &Artifact, context: &Context<'_>) -> Result<Artifact, PostProcessError> {
        let path = context.working_folder.join(&self.path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(PostProcessError::file("create", parent))?;
        }
        let name = self
            .names
            .first()
            .map_or(context.build_name, String::as_str);
        let image = context.image_of(input)?;
        match self.form {
            Form::OciLayout => layout::write(context.store, &image, &path, name)?,
            Form::OciArchive => archive::write_oci(context.store, &image, &path, Some(name))?,
            Form::DockerArchive | Form::DockerSave => {
                // Docker accepts only names of its own form; the build's need not be one.
                let tags: Vec<String> = if self.names.is_empty() {
                    input
                        .names
                        .iter()
                        .filter(|name| name.contains(':'))
                        .cloned()
                        .collect()
                } else {
                    self.names.iter().map(|name| with_tag(name)).collect()
                };
                docker::write(context.store, &image, &path, &tags)?;
            }
        }
        let files = if self.form == Form::OciLayout {
            files_below(&path)?
        } else {
            vec![path.clone()]
        };
        let mut artifact = Artifact::at(self.kind(), &path, files, input);
        if self.form == Form::DockerSave {
            // Packer passes on what it got.
            artifact.packer.clone_from(&input.packer);
        }
        Ok(artifact)
    }
}

/// Adds `:latest` to a name without a tag.
fn with_tag(name: &str) -> String {
    match name.rsplit_once(':') {
        Some((_, tag)) if !tag.contains('/') => name.to_owned(),
        _ => format!("{name}:latest"),
    }
}

/// All files below `folder`, sorted.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>, PostProcessError> {
    let mut files = Vec::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder).map_err(PostProcessError::file("read", &folder))? {
            let entry = entry.map_err(PostProcessError::file("read", &folder))?;
            let kind = entry
                .file_type()
                .map_err(PostProcessError::file("read", entry.path()))?;
            if kind.is_dir() {
                pending.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}
