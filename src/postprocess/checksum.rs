//! The `checksum` post-processor: checksum files of an artifact's files.
//!
//! As in Packer, each line is the hexadecimal sum, a tab and the file's base name, and the output
//! name is a Go template. Unlike Packer's, an existing file is replaced, so that a repeated run
//! does not grow it.

use super::{Artifact, Context, PostProcessError, PostProcessor, PrepareContext};
use crate::template::Arguments;
use crate::template::gotemplate::{self, GoTemplateData};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

const DEFAULT_OUTPUT: &str = "packer_{{.BuildName}}_{{.BuilderType}}_{{.ChecksumType}}.checksum";

/// The checksum types that there are.
const TYPES: [&str; 6] = ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"];

/// A `checksum` post-processor.
#[derive(Clone, Debug)]
struct Checksum {
    types: Vec<String>,
    output: String,
    go_template: GoTemplateData,
}

/// Decodes the options of a `checksum` block.
pub fn prepare(
    arguments: &Arguments<'_>,
    context: &PrepareContext,
) -> Option<Box<dyn PostProcessor>> {
    let types: Vec<String> = arguments
        .optional("checksum_types")
        .unwrap_or_else(|| vec!["md5".to_owned()]);
    let output: String = arguments
        .unrendered("output")
        .unwrap_or_else(|| DEFAULT_OUTPUT.to_owned());
    let mut valid = true;
    for name in &types {
        if !TYPES.contains(&name.as_str()) {
            arguments.error(
                arguments.span("checksum_types"),
                format!("{name:?} is not a type of checksum"),
                &[&format!("types are {}", TYPES.join(", "))],
            );
            valid = false;
        }
    }
    let checksum = Checksum {
        types,
        output,
        go_template: context.go_template.clone(),
    };
    if let Err(error) = checksum.output_name("name", "type", "md5") {
        arguments.error(arguments.span("output"), error.to_string(), &[]);
        valid = false;
    }
    valid.then(|| Box::new(checksum) as Box<dyn PostProcessor>)
}

impl Checksum {
    fn output_name(
        &self,
        build_name: &str,
        builder_type: &str,
        checksum_type: &str,
    ) -> Result<String, PostProcessError> {
        let data = self
            .go_template
            .clone()
            .with("BuildName", build_name)
            .with("BuilderType", builder_type)
            .with("ChecksumType", checksum_type);
        gotemplate::render(&self.output, &data).map_err(|error| PostProcessError::GoTemplate {
            option: "output",
            problem: error.to_string(),
        })
    }
}

impl PostProcessor for Checksum {
    fn kind(&self) -> &'static str {
        "checksum"
    }

    fn needs_input(&self) -> bool {
        true
    }

    fn run(&self, input: &Artifact, context: &Context<'_>) -> Result<Artifact, PostProcessError> {
        if input.files.is_empty() {
            return Err(PostProcessError::NoFiles {
                post_processor: "checksum",
            });
        }
        let mut outputs: Vec<String> = Vec::new();
        for name in &self.types {
            let output_name = self.output_name(context.source_name, context.source_type, name)?;
            let output = context.working_folder.join(&output_name);
            let mut text = String::new();
            for file in &input.files {
                let sum = sum(name, file)?;
                let base_name = file.file_name().unwrap_or_default().to_string_lossy();
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{sum}\t{base_name}");
            }
            if let Some(parent) = output.parent() {
                fs::create_dir_all(parent).map_err(PostProcessError::file("create", parent))?;
            }
            // Several types may share one output name; their lines then share the file.
            if outputs.contains(&output_name) {
                let earlier =
                    fs::read_to_string(&output).map_err(PostProcessError::file("read", &output))?;
                text.insert_str(0, &earlier);
            } else {
                outputs.push(output_name);
            }
            fs::write(&output, text).map_err(PostProcessError::file("write", &output))?;
        }
        // As in Packer, what was summed up stays part of the artifact.
        let files = input.files.iter().cloned();
        let files = files.chain(outputs.iter().map(PathBuf::from)).collect();
        Ok(Artifact {
            kind: "checksum",
            digest: input.digest,
            value: outputs.join(", "),
            files,
            names: Vec::new(),
            packer: None,
        })
    }
}

/// Computes one checksum of one file.
fn sum(name: &str, path: &Path) -> Result<String, PostProcessError> {
    use sha2::digest::Digest;
    fn of<D: Digest>(mut file: File) -> std::io::Result<String> {
        let mut hasher = D::new();
        let mut buffer = vec![0u8; 256 * 1024];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                length => hasher.update(&buffer[..length]),
            }
        }
        Ok(hasher
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect())
    }
    let file = File::open(path).map_err(PostProcessError::file("read", path))?;
    match name {
        "md5" => of::<md5::Md5>(file),
        "sha1" => of::<sha1::Sha1>(file),
        "sha224" => of::<sha2::Sha224>(file),
        "sha384" => of::<sha2::Sha384>(file),
        "sha512" => of::<sha2::Sha512>(file),
        _ => of::<sha2::Sha256>(file),
    }
    .map_err(PostProcessError::file("read", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_usual_tools() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "abc").unwrap();
        for (name, expected) in [
            ("md5", "900150983cd24fb0d6963f7d28e17f72"),
            ("sha1", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (
                "sha224",
                "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7",
            ),
            (
                "sha256",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
        ] {
            assert_eq!(sum(name, &path).unwrap(), expected);
        }
    }
}
