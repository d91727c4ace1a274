//! Joint indexes: one name in a registry for the images of several builds, a platform each.
//!
//! Each build of a run brings its image; whoever comes last gets all of them and writes the index.
//! Which builds belong together is known from the plan before anything runs. So the index does not
//! depend on who was faster, and none is written while one of them is missing.

use super::PostProcessError;
use crate::store::Descriptor;
use oci_spec::image::MediaType;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// The joint indexes of one run.
#[derive(Debug, Default)]
pub struct JointIndexes {
    /// By the index's name and then by build.
    brought: Mutex<BTreeMap<String, BTreeMap<String, Part>>>,
}

/// What one build brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The image's manifest, with its platform.
    pub manifest: Descriptor,
    /// What the build says of the index.
    pub annotations: BTreeMap<String, String>,
}

/// What has become of an index.
#[derive(Debug, PartialEq, Eq)]
pub enum Joint {
    /// These builds have not brought their images yet.
    Waiting(Vec<String>),
    /// All images are there; this is the text of the index.
    Complete(Vec<u8>),
}

impl JointIndexes {
    /// Adds the image of `build` to the index `name`, to which `partners`, the build among them,
    /// belong.
    pub fn bring(
        &self,
        name: &str,
        build: &str,
        part: Part,
        partners: &BTreeSet<String>,
    ) -> Result<Joint, PostProcessError> {
        if !partners.contains(build) {
            return Err(PostProcessError::LateName {
                name: name.to_owned(),
            });
        }
        let mut brought = self.brought.lock().unwrap_or_else(PoisonError::into_inner);
        let parts = brought.entry(name.to_owned()).or_default();
        parts.insert(build.to_owned(), part);
        let missing: Vec<_> = partners
            .iter()
            .filter(|it| !parts.contains_key(*it))
            .collect();
        if !missing.is_empty() {
            return Ok(Joint::Waiting(missing.into_iter().cloned().collect()));
        }
        index(name, parts).map(Joint::Complete)
    }
}

/// The index of an image specification, in the order in which its fields are written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index<'a> {
    schema_version: u32,
    media_type: MediaType,
    manifests: Vec<&'a Descriptor>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'a str, &'a str>,
}

/// The text of an index of `parts`: the same for the same images, whichever build they are of.
fn index(name: &str, parts: &BTreeMap<String, Part>) -> Result<Vec<u8>, PostProcessError> {
    let mut by_platform: BTreeMap<String, (&str, &Descriptor)> = BTreeMap::new();
    let mut annotations: BTreeMap<&str, &str> = BTreeMap::new();
    for (build, part) in parts {
        let platform = part.manifest.platform.as_ref();
        let platform = platform.map(ToString::to_string).unwrap_or_default();
        if let Some((other, _)) = by_platform.insert(platform.clone(), (build, &part.manifest)) {
            return Err(PostProcessError::SamePlatform {
                name: name.to_owned(),
                builds: format!("{other} and {build}"),
                platform,
            });
        }
        for (key, value) in &part.annotations {
            if annotations.insert(key, value).is_some_and(|it| it != value) {
                return Err(PostProcessError::Annotation {
                    name: name.to_owned(),
                    key: key.clone(),
                });
            }
        }
    }
    let index = Index {
        schema_version: 2,
        media_type: MediaType::ImageIndex,
        manifests: by_platform.into_values().map(|(_, it)| it).collect(),
        annotations,
    };
    serde_json::to_vec(&index).map_err(|source| PostProcessError::Json {
        what: "an index",
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::store::Platform;

    fn part(platform: &str, annotations: &[(&str, &str)]) -> Part {
        let digest = Digest::of(platform);
        let mut manifest = Descriptor::new(MediaType::ImageManifest, digest, 7);
        manifest.platform = Some(platform.parse::<Platform>().unwrap());
        let pairs = annotations.iter();
        let annotations = pairs.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Part {
            manifest,
            annotations: annotations.collect(),
        }
    }

    fn partners(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_index_is_the_same_whoever_comes_last() {
        let (a, b) = (part("linux/arm64", &[("k", "v")]), part("linux/amd64", &[]));
        let both = partners(&["a", "b"]);
        let mut texts = Vec::new();
        for order in [[("a", &a), ("b", &b)], [("b", &b), ("a", &a)]] {
            let joint = JointIndexes::default();
            let [(first, one), (last, other)] = order;
            assert_eq!(
                joint.bring("r/x:1", first, one.clone(), &both).unwrap(),
                Joint::Waiting(vec![last.to_owned()])
            );
            match joint.bring("r/x:1", last, other.clone(), &both).unwrap() {
                Joint::Complete(text) => texts.push(String::from_utf8(text).unwrap()),
                waiting => panic!("{waiting:?}"),
            }
        }
        assert_eq!(texts[0], texts[1]);
        let (amd64, arm64) = (texts[0].find("amd64"), texts[0].find("arm64"));
        assert!(amd64 < arm64, "sorted by platform: {}", texts[0]);
        assert!(
            texts[0].ends_with(r#","annotations":{"k":"v"}}"#),
            "{}",
            texts[0]
        );
    }

    #[test]
    fn what_makes_an_index_ambiguous_is_refused() {
        let both = partners(&["a", "b"]);
        for (one, other) in [
            (part("linux/amd64", &[]), part("linux/amd64", &[])),
            (
                part("linux/amd64", &[("k", "1")]),
                part("linux/arm64", &[("k", "2")]),
            ),
        ] {
            let joint = JointIndexes::default();
            joint.bring("r/x:1", "a", one, &both).unwrap();
            assert!(joint.bring("r/x:1", "b", other, &both).is_err());
        }
        let joint = JointIndexes::default();
        let stranger = joint.bring("r/x:1", "c", part("linux/amd64", &[]), &both);
        assert!(matches!(stranger, Err(PostProcessError::LateName { .. })));
    }
}
