//! The `docker-import` post-processor: an image of a root file system, or of the build's image with
//! another name and configuration.
//!
//! A file becomes one layer, as with `docker import`. An artifact that is an image, in whatever
//! form, keeps its layers and its configuration, which exporting it as a file would lose.

use super::{Artifact, Context, DOCKER_IMPORT, PackerName, PostProcessError, PostProcessor};
use super::{PrepareContext, docker_tag};
use crate::decompress::Compression;
use crate::digest::{DiffId, Hasher};
use crate::image::{Assembly, ConfigChanges, Image, Instruction, NewLayer, assemble, instruction};
use crate::layer::GzipWriter;
use crate::store::blob::BlobInput;
use crate::store::{LayerDescriptor, Platform, Store};
use crate::template::Arguments;
use oci_spec::image::MediaType;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write};
use std::path::Path;

/// Artifacts that are an image, or hold one as files.
const IMAGES: [&str; 9] = [
    "image",
    "oci-layout",
    "oci-archive",
    "oci-push",
    "docker-archive",
    "docker-save",
    "docker-tag",
    "docker-push",
    "docker-import",
];

/// A `docker-import` post-processor.
#[derive(Clone, Debug)]
struct DockerImport {
    repository: String,
    tag: String,
    changes: ConfigChanges,
    platform: Option<Platform>,
}

/// Decodes the options of a `docker-import` block.
pub fn prepare(
    arguments: &Arguments<'_>,
    _context: &PrepareContext,
) -> Option<Box<dyn PostProcessor>> {
    // There is no other program to call.
    let _: Option<String> = arguments.optional("docker_path");
    let repository: Option<String> = arguments.required("repository");
    let tag: Option<String> = arguments.optional("tag");
    let tag = tag.unwrap_or_else(|| "latest".to_owned());
    let lines: Vec<String> = arguments.optional("changes").unwrap_or_default();
    let platform: Option<String> = arguments.optional("platform");
    let mut valid = docker_tag::check_tag(arguments, "tag", &tag);
    let mut changes = ConfigChanges::default();
    for line in &lines {
        match Instruction::parse(line, '\\') {
            Ok(instruction) => changes.instructions.push(instruction),
            Err(problem) => {
                let help = format!("instructions are {}", instruction::NAMES);
                let text = format!("cannot apply the change {line:?}: {problem}");
                arguments.error(arguments.span("changes"), text, &[&help]);
                valid = false;
            }
        }
    }
    if valid && let Err(error) = changes.check() {
        arguments.error(arguments.span("changes"), error.to_string(), &[]);
        valid = false;
    }
    let platform = match platform.map(|text| text.parse::<Platform>()).transpose() {
        Ok(platform) => platform,
        Err(error) => {
            arguments.error(arguments.span("platform"), error.to_string(), &[]);
            valid = false;
            None
        }
    };
    let repository = repository?;
    valid &= docker_tag::check_repository(arguments, &repository);
    valid.then(|| {
        Box::new(DockerImport {
            repository,
            tag,
            changes,
            platform,
        }) as Box<dyn PostProcessor>
    })
}

impl PostProcessor for DockerImport {
    fn kind(&self) -> &'static str {
        "docker-import"
    }

    fn gives_names(&self) -> bool {
        true
    }

    fn gives_image(&self) -> bool {
        true
    }

    fn run(&self, input: &Artifact, context: &Context<'_>) -> Result<Artifact, PostProcessError> {
        let image = match IMAGES.contains(&input.kind) {
            true => self.changed(context.image_of(input)?.as_ref(), context)?,
            false => self.imported(input, context)?,
        };
        let name = format!("{}:{}", self.repository, self.tag);
        let built = context.now.to_string();
        context
            .store
            .set_reference(&name, &image.manifest, Some(&built))?;
        Ok(Artifact {
            kind: self.kind(),
            digest: Some(image.manifest.digest),
            value: name.clone(),
            files: Vec::new(),
            packer: PackerName::image(DOCKER_IMPORT, &name, &[]),
            names: vec![name],
        })
    }
}

impl DockerImport {
    /// An image with other settings over the same layers.
    fn changed(&self, image: &Image, context: &Context<'_>) -> Result<Image, PostProcessError> {
        let platform = image.config.platform();
        if let Some(wanted) = self.platform.as_ref().filter(|it| **it != platform) {
            return Err(PostProcessError::Platform {
                wanted: wanted.to_string(),
                found: platform.to_string(),
            });
        }
        if self.changes == ConfigChanges::default() {
            return Ok(image.clone());
        }
        let created = image.config.created.as_deref();
        let created = created.and_then(|text| text.parse::<jiff::Timestamp>().ok());
        let changed = assemble(
            context.store,
            &Assembly {
                base: Some(image),
                platform: &platform,
                layers: &[],
                changes: &self.changes,
                annotations: &image.annotations,
                epoch: created.map_or(0, jiff::Timestamp::as_second),
            },
        )?;
        Ok(changed)
    }

    /// An image of one layer, which is a file's content. It is the same for the same file, so its
    /// time is none of now.
    fn imported(&self, input: &Artifact, context: &Context<'_>) -> Result<Image, PostProcessError> {
        let [file] = input.files.as_slice() else {
            return Err(PostProcessError::NotOneFile {
                post_processor: "docker-import",
                count: input.files.len(),
            });
        };
        let path = context.working_folder.join(file);
        let layer = NewLayer {
            layer: Some(layer(context.store, &path)?),
            created_by: "docker-import".to_owned(),
            comment: None,
        };
        let platform = self.platform.clone().unwrap_or_else(Platform::host);
        let image = assemble(
            context.store,
            &Assembly {
                base: None,
                platform: &platform,
                layers: &[layer],
                changes: &self.changes,
                annotations: &BTreeMap::new(),
                epoch: 0,
            },
        )?;
        Ok(image)
    }
}

/// Brings a tar into the store as a layer: as it is where layers may be compressed like that, else
/// with gzip.
fn layer(store: &Store, path: &Path) -> Result<LayerDescriptor, PostProcessError> {
    let read = || PostProcessError::file("read", path);
    let mut file = File::open(path).map_err(read())?;
    let mut start = Vec::new();
    let head = Read::by_ref(&mut file).take(6).read_to_end(&mut start);
    head.and_then(|_| file.seek(SeekFrom::Start(0)))
        .map_err(read())?;
    let compression = Compression::of(&start);
    let media_type = match compression {
        Compression::Zstd => MediaType::ImageLayerZstd,
        _ => MediaType::ImageLayerGzip,
    };
    let (diff_id, (digest, size)) = match compression {
        Compression::Gzip | Compression::Zstd => {
            let diff_id = pass(compression.reader(&file), io::sink())
                .map_err(read())?
                .0;
            file.seek(SeekFrom::Start(0)).map_err(read())?;
            let (digest, size) = crate::digest::Digest::of_reader(&file).map_err(read())?;
            file.seek(SeekFrom::Start(0)).map_err(read())?;
            store.import_blob(BlobInput::File(&file), &digest, size)?;
            (diff_id, (digest, size))
        }
        _ => {
            let writer = GzipWriter::new(store.blob_writer()?, 1).map_err(read())?;
            let (diff_id, writer) = pass(compression.reader(&file), writer).map_err(read())?;
            let blob = writer.finish().map_err(read())?;
            (diff_id, blob.commit(None)?)
        }
    };
    Ok(LayerDescriptor {
        diff_id,
        digest,
        size,
        media_type,
    })
}

/// Copies a tar to `output`, and checks that it is one.
fn pass<W: Write>(tar: impl Read, output: W) -> io::Result<(DiffId, W)> {
    let mut copying = Copying {
        tar,
        output: Hasher::new(output),
    };
    let mut entries = 0_u64;
    for entry in tar::Archive::new(&mut copying).entries()? {
        entry?;
        entries += 1;
    }
    if entries == 0 {
        let text = "it is no tar of a root file system, or an empty one";
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    // What stands behind the end of the tar belongs to the layer.
    io::copy(&mut copying, &mut io::sink())?;
    let (digest, _, output) = copying.output.finish();
    Ok((DiffId(digest), output))
}

/// Writes what is read from it.
struct Copying<R, W: Write> {
    tar: R,
    output: Hasher<W>,
}

impl<R: Read, W: Write> Read for Copying<R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.tar.read(buffer)?;
        let read = buffer.get(..length).unwrap_or_default();
        self.output.write_all(read)?;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn a_tar_becomes_a_layer_however_it_is_compressed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(2);
        tar.append_data(&mut header, "etc/name", &b"hi"[..])
            .unwrap();
        let tar = tar.into_inner().unwrap();
        let mut gzip = GzipWriter::new(Vec::new(), 1).unwrap();
        gzip.write_all(&tar).unwrap();
        let gzip = gzip.finish().unwrap();

        let mut digests = Vec::new();
        for (name, bytes) in [("x.tar", &tar), ("x.tar.gz", &gzip)] {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let layer = layer(&store, &path).unwrap();
            assert_eq!(layer.diff_id.0, Digest::of(&tar), "{name}");
            store.verify_blob(&layer.digest, layer.size).unwrap();
            digests.push(layer.digest);
        }
        assert_eq!(digests[0], digests[1]);

        for bytes in [
            &b""[..],
            b"no tar at all",
            &[0; 1024],
            &gzip[..40],
            &tar[..100],
        ] {
            let path = folder.path().join("wrong");
            std::fs::write(&path, bytes).unwrap();
            assert!(layer(&store, &path).is_err(), "{bytes:?}");
        }
    }
}
