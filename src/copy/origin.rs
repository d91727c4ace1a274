//! Origins: the place that something is copied from.

use super::graph::subject;
use super::{CopyError, Place, Settings};
use crate::digest::{DiffId, Digest};
use crate::image::manifest::{DocumentKind, ManifestList};
use crate::image::{self, ImageError, ImageSource, Layout, archive};
use crate::registry::{Client, Progress, Reference, RegistryError, RegistrySource, fetch};
use crate::store::index::REFERENCE_NAME;
use crate::store::{Descriptor, LayerDescriptor, Platform, Store};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// More entries of a layout are not looked through for what refers to others.
const ENTRY_LIMIT: usize = 1000;

/// An opened place.
pub(super) struct Origin<'a> {
    store: &'a Store,
    client: &'a Client,
    progress: Progress<'a>,
    held: Held,
    /// What files list, once it was asked for.
    listed: Mutex<Option<Arc<Listed>>>,
}

enum Held {
    Registry(Reference),
    Store(Descriptor),
    /// A layout or an archive, and the name in it.
    Files(Box<dyn ImageSource>, Option<String>),
}

impl<'a> Origin<'a> {
    /// Opens a place for reading.
    pub fn open(place: &Place, settings: &Settings<'a>) -> Result<Self, CopyError> {
        let store = settings.store;
        let folder = settings.working_folder;
        let held = match place {
            Place::Registry(text) => Held::Registry(text.parse()?),
            Place::Store(name) => Held::Store(store.resolve(name)?),
            Place::Plain(name) => match store.resolve(name) {
                Ok(descriptor) if !Reference::names_registry(name) => Held::Store(descriptor),
                _ => Held::Registry(name.parse()?),
            },
            Place::Layout(path, name) => {
                Held::Files(Box::new(Layout::open(&folder.join(path))?), name.clone())
            }
            Place::OciArchive(path, name) | Place::DockerArchive(path, name) => {
                Held::Files(archive::open(&folder.join(path), store)?, name.clone())
            }
        };
        Ok(Self {
            store,
            client: settings.client,
            progress: settings.progress,
            held,
            listed: Mutex::new(None),
        })
    }

    /// What the place's name stands for; of an index, what it has for `platform` if that is given.
    pub fn root(&self, platform: Option<&Platform>) -> Result<Descriptor, CopyError> {
        let root = match &self.held {
            Held::Registry(reference) => {
                let found = self.client.describe(reference)?;
                found.ok_or_else(|| missing(reference))?
            }
            Held::Store(descriptor) => descriptor.clone(),
            Held::Files(files, name) => image::entry(files.as_ref(), name.as_deref())?,
        };
        match platform {
            None => Ok(root.plain()),
            Some(platform) => {
                let image = image::load_from(self, self.store, &root, platform)?;
                if image.config.platform() != *platform && !is_index(&root) {
                    return Err(ImageError::NoPlatform {
                        place: self.place(),
                        wanted: platform.to_string(),
                        available: image.config.platform().to_string(),
                    }
                    .into());
                }
                Ok(image.manifest)
            }
        }
    }

    /// What refers to a document.
    pub fn referrers(&self, digest: &Digest) -> Result<Vec<Descriptor>, CopyError> {
        match &self.held {
            Held::Registry(reference) => {
                Ok(self.client.referrers(&reference.repository, digest)?)
            }
            Held::Store(_) => self.listed(self.store)?.referrers(self, digest),
            Held::Files(files, _) => self.listed(files.as_ref())?.referrers(self, digest),
        }
    }

    /// What has this very tag, beside what was asked for.
    pub fn tagged(&self, tag: &str) -> Result<Option<Descriptor>, CopyError> {
        let listed = match &self.held {
            Held::Registry(reference) => {
                let mut name = reference.without_digest();
                name.tag = Some(tag.to_owned());
                return Ok(self.client.describe(&name)?.map(|found| found.plain()));
            }
            Held::Store(_) => self.listed(self.store)?,
            Held::Files(files, _) => self.listed(files.as_ref())?,
        };
        Ok(listed.by_name.get(tag).map(Descriptor::plain))
    }

    /// Brings a blob into the store, unless it is there.
    pub fn fetch(&self, blob: &Descriptor) -> Result<(), CopyError> {
        if self.store.has_blob(&blob.digest, blob.size)? {
            return Ok(());
        }
        match &self.held {
            Held::Registry(reference) => {
                let (repository, digest) = (&reference.repository, &blob.digest);
                let (client, progress) = (self.client, self.progress);
                client.pull_blob(repository, digest, blob.size, self.store, progress)?;
            }
            Held::Store(_) => {
                // It may be where the store says that it can be had.
                let layer = LayerDescriptor {
                    diff_id: DiffId(blob.digest),
                    digest: blob.digest,
                    size: blob.size,
                    media_type: blob.media_type.clone(),
                };
                fetch::one(self.client, self.store, &layer, self.progress)?;
            }
            Held::Files(files, _) => files.import(self.store, &blob.digest, blob.size)?,
        }
        Ok(())
    }

    /// The repository that the place is, for registries that can mount from it.
    pub fn repository(&self) -> Option<String> {
        match &self.held {
            Held::Registry(reference) => Some(reference.repository.to_string()),
            _ => None,
        }
    }
}

/// A place as [`image::load_from`] reads it.
impl ImageSource for Origin<'_> {
    fn place(&self) -> String {
        match &self.held {
            Held::Registry(reference) => reference.repository.to_string(),
            Held::Store(_) => self.store.place(),
            Held::Files(files, _) => files.place(),
        }
    }

    fn index(&self) -> Result<Vec<u8>, ImageError> {
        match &self.held {
            Held::Registry(reference) => self.of_registry(reference).index(),
            Held::Store(_) => self.store.index(),
            Held::Files(files, _) => files.index(),
        }
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, ImageError> {
        match &self.held {
            Held::Registry(reference) => self.of_registry(reference).document(descriptor),
            Held::Store(_) => self.store.document(descriptor),
            Held::Files(files, _) => files.document(descriptor),
        }
    }

    fn import(&self, store: &Store, digest: &Digest, size: u64) -> Result<(), ImageError> {
        match &self.held {
            Held::Registry(reference) => self.of_registry(reference).import(store, digest, size),
            Held::Store(_) => self.store.import(store, digest, size),
            Held::Files(files, _) => files.import(store, digest, size),
        }
    }
}

impl Origin<'_> {
    /// What `files` list; they are looked through once.
    fn listed(&self, files: &dyn ImageSource) -> Result<Arc<Listed>, CopyError> {
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listed) = &*listed {
            return Ok(Arc::clone(listed));
        }
        let fresh = Arc::new(Listed::of(files)?);
        *listed = Some(Arc::clone(&fresh));
        Ok(fresh)
    }

    fn of_registry(&self, reference: &Reference) -> RegistrySource {
        RegistrySource {
            client: self.client.clone(),
            repository: reference.repository.clone(),
        }
    }
}

fn is_index(descriptor: &Descriptor) -> bool {
    DocumentKind::of(&descriptor.media_type) == Some(DocumentKind::Index)
}

fn missing(reference: &Reference) -> CopyError {
    let what = match (&reference.digest, &reference.tag) {
        (Some(digest), _) => format!("manifest {digest}"),
        (None, Some(tag)) => format!("tag {tag}"),
        (None, None) => "such manifest".to_owned(),
    };
    CopyError::Registry(RegistryError::NotFound {
        repository: reference.repository.clone(),
        what,
    })
}

/// What a layout lists, by what it is asked for.
#[derive(Debug)]
struct Listed {
    by_name: BTreeMap<String, Descriptor>,
    by_subject: BTreeMap<Digest, Vec<Descriptor>>,
}

impl Listed {
    fn of(files: &dyn ImageSource) -> Result<Self, CopyError> {
        let mut listed = Self {
            by_name: BTreeMap::new(),
            by_subject: BTreeMap::new(),
        };
        let mut entries = image::entries(files)?;
        let name = |entry: &Descriptor| entry.annotations.get(REFERENCE_NAME).cloned();
        // What refers to something has mostly no name.
        entries.sort_by_key(|entry| entry.artifact_type.is_none() && name(entry).is_some());
        for (number, entry) in entries.into_iter().enumerate() {
            if number < ENTRY_LIMIT
                // What is damaged or gone refers to nothing; a copy of it by its name says so.
                && let Ok(text) = image::read(files, "an entry", &entry)
                && let Some(subject) = subject(&text)
            {
                let referrers = listed.by_subject.entry(subject).or_default();
                referrers.push(entry.clone());
            }
            if let Some(name) = name(&entry) {
                listed.by_name.insert(name, entry);
            }
        }
        Ok(listed)
    }

    /// What refers to a document: entries with a subject, and those that a registry without the API
    /// for it would list under a tag (distribution specification, "Referrers Tag Schema").
    fn referrers(
        &self,
        origin: &Origin<'_>,
        digest: &Digest,
    ) -> Result<Vec<Descriptor>, CopyError> {
        let found = self.by_subject.get(digest).into_iter().flatten();
        let mut found: BTreeMap<Digest, Descriptor> =
            found.map(|entry| (entry.digest, entry.clone())).collect();
        let tag = format!("sha256-{}", digest.hex());
        if let Some(entry) = self.by_name.get(&tag).filter(|entry| is_index(entry)) {
            let name = format!("the list of what refers to {digest}");
            let text = image::read(origin, &name, entry)?;
            let list = ManifestList::parse(&name, &entry.media_type, &text)?;
            found.extend(list.manifests.into_iter().map(|it| (it.digest, it)));
        }
        Ok(found.into_values().collect())
    }
}
