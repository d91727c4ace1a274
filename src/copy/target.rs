//! Targets: the place that something is copied to.

use super::graph::Graph;
use super::origin::Origin;
use super::{CopyError, Place, Settings};
use crate::image::layout::LayoutWriter;
use crate::image::manifest::DocumentKind;
use crate::image::{self, archive, docker};
use crate::registry::{Pushed, Reference, push};
use crate::store::{Descriptor, Platform, Store};
use std::path::{Path, PathBuf};
use std::slice;

/// A place that is to be written; nothing has been touched.
pub(super) struct Target<'a> {
    settings: &'a Settings<'a>,
    name: String,
    kind: Kind,
}

enum Kind {
    Registry(Reference),
    Layout(PathBuf, Option<String>),
    OciArchive(PathBuf, Option<String>),
    DockerArchive(PathBuf, Option<String>),
    Store(String),
}

/// A place that is being written.
pub(super) struct OpenTarget<'a> {
    target: Target<'a>,
    /// For a layout.
    layout: Option<LayoutWriter>,
}

impl<'a> Target<'a> {
    /// Works out what a place means as a target.
    pub fn new(place: &Place, settings: &'a Settings<'a>) -> Result<Self, CopyError> {
        let folder = settings.working_folder;
        let kind = match place {
            // It would go to Docker's registry, where whoever forgets a scheme does not want it.
            Place::Plain(text) if !Reference::names_registry(text) => {
                return Err(CopyError::NoHost {
                    target: text.clone(),
                });
            }
            Place::Registry(text) | Place::Plain(text) => Kind::Registry(text.parse()?),
            Place::Layout(path, name) => Kind::Layout(folder.join(path), name.clone()),
            Place::OciArchive(path, name) => Kind::OciArchive(folder.join(path), name.clone()),
            Place::DockerArchive(path, name) => {
                Kind::DockerArchive(folder.join(path), name.clone())
            }
            Place::Store(name) => Kind::Store(name.clone()),
        };
        Ok(Self {
            settings,
            name: place.to_string(),
            kind,
        })
    }

    /// Whether what refers to an image has a place in it.
    pub fn takes_referrers(&self) -> bool {
        !matches!(self.kind, Kind::DockerArchive(..))
    }

    /// Says whether `root` can be copied here, before anything is moved.
    pub fn check(&self, root: &Descriptor) -> Result<(), CopyError> {
        let is_index = DocumentKind::of(&root.media_type) == Some(DocumentKind::Index);
        match &self.kind {
            Kind::DockerArchive(..) if is_index => Err(CopyError::OneImage {
                target: self.name.clone(),
            }),
            Kind::Registry(Reference {
                digest: Some(wanted),
                ..
            }) if *wanted != root.digest => Err(CopyError::OtherDigest {
                target: self.name.clone(),
                wanted: *wanted,
                found: root.digest,
            }),
            Kind::Layout(_, Some(name)) | Kind::OciArchive(_, Some(name)) | Kind::Store(name) => {
                Ok(crate::store::reference::check_name(name)?)
            }
            Kind::DockerArchive(_, Some(name)) => {
                docker::check_tag(name)?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Begins to write.
    pub fn open(self) -> Result<OpenTarget<'a>, CopyError> {
        let layout = match &self.kind {
            Kind::Layout(path, _) => Some(LayoutWriter::open(path)?),
            Kind::OciArchive(path, _) | Kind::DockerArchive(path, _) => {
                create_parent(path)?;
                None
            }
            Kind::Registry(_) | Kind::Store(_) => None,
        };
        Ok(OpenTarget {
            target: self,
            layout,
        })
    }
}

impl OpenTarget<'_> {
    /// Brings one blob of `origin` here.
    pub fn add_blob(&self, origin: &Origin<'_>, blob: &Descriptor) -> Result<Pushed, CopyError> {
        let Settings {
            client,
            store,
            progress,
            ..
        } = *self.target.settings;
        if let Kind::Registry(reference) = &self.target.kind {
            // The same registry can mount it from there.
            if let Some(repository) = origin.repository() {
                store.add_origin(&blob.digest, &repository)?;
            }
            let repository = &reference.repository;
            let fetch = || origin.fetch(blob);
            return push::blob_with(client, store, repository, blob, progress, fetch);
        }
        let (digest, size) = (&blob.digest, blob.size);
        let has_it = match (&self.layout, &self.target.kind) {
            (Some(layout), _) => layout.has(digest, size),
            (None, Kind::Store(_)) => store.has_blob(digest, size)?,
            // An archive is written anew.
            _ => false,
        };
        if has_it {
            return Ok(Pushed::Existed);
        }
        origin.fetch(blob)?;
        if let Some(layout) = &self.layout {
            layout.add(store, digest, size)?;
        }
        Ok(Pushed::Uploaded)
    }

    /// Writes the documents, whose blobs are here, and last the name. Gives the name.
    pub fn finish(self, graph: &Graph) -> Result<String, CopyError> {
        let store = self.target.settings.store;
        let name = self.target.name.clone();
        match self.target.kind {
            Kind::Registry(reference) => {
                return finish_registry(self.target.settings, &reference, graph);
            }
            Kind::Layout(_, name) => {
                store_documents(store, graph)?;
                if let Some(layout) = self.layout {
                    for document in graph.others.iter().chain([&graph.root]) {
                        let descriptor = &document.descriptor;
                        layout.add(store, &descriptor.digest, descriptor.size)?;
                    }
                    layout.finish(&entries(graph, name))?;
                }
            }
            Kind::OciArchive(path, name) => {
                store_documents(store, graph)?;
                let documents = graph.others.iter().chain([&graph.root]);
                let documents = documents.map(|document| &document.descriptor);
                let blobs = graph.blobs.iter().chain(documents);
                let blobs = blobs.map(|blob| (blob.digest, blob.size));
                archive::write_layout(store, &path, &entries(graph, name), blobs)?;
            }
            Kind::DockerArchive(path, name) => {
                store_documents(store, graph)?;
                let root = &graph.root.descriptor;
                let image = image::load(store, root, &Platform::host())?;
                docker::write(store, &image, &path, name.as_slice())?;
            }
            Kind::Store(name) => {
                store_documents(store, graph)?;
                for referrer in &graph.referrers {
                    store.add_unnamed(referrer)?;
                }
                for (tag, companion) in &graph.companions {
                    store.set_reference(tag, companion, None)?;
                }
                store.set_reference(&name, &graph.root.descriptor, None)?;
            }
        }
        Ok(name)
    }
}

/// Writes the documents into a repository: what is listed, then what refers to something, then what
/// the name stands for.
fn finish_registry(
    settings: &Settings<'_>,
    reference: &Reference,
    graph: &Graph,
) -> Result<String, CopyError> {
    let (client, repository) = (&settings.client.direct(), &reference.repository);
    for document in &graph.others {
        let (kind, text) = (&document.descriptor.media_type, &document.text);
        match document.subject {
            None => push::document(client, repository, kind, text, &[])?,
            Some(subject) => {
                let digest = document.descriptor.digest;
                let name = reference.at(digest);
                // To be there is not enough: it must be found from what it refers to.
                let is_known = client.describe(&name)?.is_some()
                    && client
                        .referrers(repository, &subject)?
                        .iter()
                        .any(|it| it.digest == digest);
                if !is_known {
                    client.push_document(&name, kind, text)?;
                }
            }
        }
    }
    for (tag, companion) in &graph.companions {
        let mut documents = graph.others.iter();
        let document = documents.find(|it| it.descriptor.digest == companion.digest);
        if let Some(document) = document {
            let kind = &document.descriptor.media_type;
            let tag = slice::from_ref(tag);
            push::document(client, repository, kind, &document.text, tag)?;
        }
    }
    let root = &graph.root.descriptor;
    let tags: Vec<String> = reference.tag.iter().cloned().collect();
    push::document(
        client,
        repository,
        &root.media_type,
        &graph.root.text,
        &tags,
    )?;
    let name = Reference {
        digest: Some(root.digest),
        ..reference.clone()
    };
    Ok(name.to_string())
}

fn store_documents(store: &Store, graph: &Graph) -> Result<(), CopyError> {
    for document in graph.others.iter().chain([&graph.root]) {
        store.put_blob(&document.text)?;
    }
    Ok(())
}

/// What a layout lists: what was asked for, and what refers to it.
fn entries(graph: &Graph, name: Option<String>) -> Vec<(Option<String>, Descriptor)> {
    let referrers = graph.referrers.iter().map(|it| (None, it.clone()));
    let companions = graph.companions.iter().cloned();
    let companions = companions.map(|(tag, it)| (Some(tag), it));
    let root = (name, graph.root.descriptor.clone());
    referrers.chain(companions).chain([root]).collect()
}

fn create_parent(path: &Path) -> Result<(), CopyError> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder).map_err(|source| CopyError::Folder {
        path: folder.to_owned(),
        source,
    })
}
