//! The `compress` post-processor: an artifact's files as one archive, or one file compressed.
//!
//! Unlike Packer's archives these are the same for the same files: names are sorted, times and
//! owners are left out.

use super::{Artifact, Context, PostProcessError, PostProcessor, PrepareContext};
use crate::provision::Said;
use crate::template::Arguments;
use crate::template::gotemplate;
use flate2::{Compression, GzBuilder};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const DEFAULT_OUTPUT: &str = "packer_{{.BuildName}}_{{.BuilderType}}";

/// What the name of the output says about its form, the longest first.
const FORMS: [(&str, Form); 4] = [
    (
        ".tar.gz",
        Form {
            tar: true,
            gzip: true,
        },
    ),
    (
        ".tgz",
        Form {
            tar: true,
            gzip: true,
        },
    ),
    (
        ".tar",
        Form {
            tar: true,
            gzip: false,
        },
    ),
    (
        ".gz",
        Form {
            tar: false,
            gzip: true,
        },
    ),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Form {
    tar: bool,
    gzip: bool,
}

/// A `compress` post-processor.
#[derive(Clone, Debug)]
struct Compress {
    output: String,
    form: Form,
    level: u32,
}

/// Decodes the options of a `compress` block.
pub fn prepare(
    arguments: &Arguments<'_>,
    context: &PrepareContext,
) -> Option<Box<dyn PostProcessor>> {
    let output: String = arguments
        .unrendered("output")
        .unwrap_or_else(|| format!("{DEFAULT_OUTPUT}.tar.gz"));
    let level: u32 = arguments.optional("compression_level").unwrap_or(6);
    if !(1..=9).contains(&level) {
        arguments.error(
            arguments.span("compression_level"),
            format!("compression_level {level} is not from 1 to 9"),
            &[],
        );
        return None;
    }
    let output = match gotemplate::render(&output, &context.go_template) {
        Ok(output) => output,
        Err(error) => {
            arguments.error(arguments.span("output"), error.to_string(), &[]);
            return None;
        }
    };
    let Some(form) = form_of(&output) else {
        arguments.error(
            arguments.span("output"),
            format!("the form of {output} does not follow from its name"),
            &["it ends in .tar.gz, .tgz, .tar or .gz; other forms are not supported"],
        );
        return None;
    };
    Some(Box::new(Compress {
        output,
        form,
        level,
    }))
}

fn form_of(output: &str) -> Option<Form> {
    let mut forms = FORMS.iter();
    let found = forms.find(|(extension, _)| output.ends_with(extension));
    found.map(|(_, form)| *form)
}

impl PostProcessor for Compress {
    fn kind(&self) -> &'static str {
        "compress"
    }

    fn run(&self, input: &Artifact, context: &Context<'_>) -> Result<Artifact, PostProcessError> {
        let mut files: Vec<PathBuf> = input
            .files
            .iter()
            .map(|file| context.working_folder.join(file))
            .collect();
        files.sort();
        if files.is_empty() {
            return Err(PostProcessError::NoFiles {
                post_processor: "compress",
            });
        }
        if !self.form.tar && files.len() > 1 {
            return Err(PostProcessError::SeveralFiles {
                output: self.output.clone(),
            });
        }
        let path = context.working_folder.join(&self.output);
        (context.say)(Said::Note(&format!("Archiving into {}", self.output)));
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(PostProcessError::file("create", folder))?;
        }
        self.write(&files, &path)
            .map_err(PostProcessError::file("write", &path))?;
        let shown = PathBuf::from(&self.output);
        Ok(Artifact::at("compress", &shown, vec![shown.clone()], input))
    }
}

impl Compress {
    fn write(&self, files: &[PathBuf], path: &Path) -> io::Result<()> {
        let output = File::create(path)?;
        if !self.form.gzip {
            return self.write_content(files, output).map(drop);
        }
        // Without a name and a time, so that the same content is the same file.
        let level = Compression::new(self.level);
        let encoder = GzBuilder::new().write(output, level);
        self.write_content(files, encoder)?.finish().map(drop)
    }

    fn write_content<W: Write>(&self, files: &[PathBuf], mut output: W) -> io::Result<W> {
        if !self.form.tar {
            for file in files {
                io::copy(&mut File::open(file)?, &mut output)?;
            }
            return Ok(output);
        }
        let mut archive = tar::Builder::new(output);
        for file in files {
            let found = fs::metadata(file)?;
            let mut header = tar::Header::new_gnu();
            header.set_size(found.len());
            header.set_mode(found.permissions().mode() & 0o777);
            header.set_mtime(0);
            header.set_uid(0);
            header.set_gid(0);
            let name = Path::new(file.file_name().unwrap_or_default());
            archive.append_data(&mut header, name, File::open(file)?)?;
        }
        archive.into_inner()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn the_form_follows_from_the_name() {
        for (name, expected) in [
            ("a.tar.gz", Some((true, true))),
            ("a.tgz", Some((true, true))),
            ("a.tar", Some((true, false))),
            ("a.raw.gz", Some((false, true))),
            ("a.zip", None),
            ("tar", None),
        ] {
            let found = form_of(name).map(|form| (form.tar, form.gzip));
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn archives_hold_all_files_and_are_the_same_again() {
        let folder = tempfile::tempdir().unwrap();
        let files = ["a", "b"].map(|name| folder.path().join(name));
        let mut archives = Vec::new();
        for _ in 0..2 {
            for file in &files {
                fs::write(file, file.display().to_string()).unwrap();
            }
            let output = folder.path().join("all.tar.gz");
            let form = form_of("all.tar.gz").unwrap();
            let compress = Compress {
                output: String::new(),
                form,
                level: 6,
            };
            compress.write(&files, &output).unwrap();
            archives.push(fs::read(output).unwrap());
        }
        assert_eq!(archives[0], archives[1]);
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(archives[0].as_slice()));
        let mut found = Vec::new();
        for entry in tar.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            found.push((entry.path().unwrap().display().to_string(), text));
        }
        let expected = files.map(|file| {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            (name, file.display().to_string())
        });
        assert_eq!(found, expected);
    }
}
