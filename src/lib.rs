//! hardtack turns an HCL template into a frozen, content-addressed image.
//!
//! One build goes through the modules in this order and never back; a module uses only those
//! below it in the table.
//!
//! | stage | module | in | out |
//! |---|---|---|---|
//! | arguments | [`cli`] | a command line | calls, an exit code |
//! | display | [`ui`] | events | terminal, plain lines, JSON |
//! | run | [`build`] | a plan | images in the store, events |
//! | plan | [`plan`] | a template | builds, steps, keys |
//! | Dockerfiles | [`dockerfile`] | a Dockerfile | a template's text |
//! | no image | [`imageless`] | a source's options | nothing, or one file |
//! | the host | [`doctor`] | this host | what it allows, and remedies |
//! | after the build | [`postprocess`] | an image | archives, names, checksums |
//! | bases | [`base`] | a source's options | the first layers |
//! | tests | [`check`] | `test` blocks, an open root | what is not as expected |
//! | steps | [`provision`] | a provisioner's options | key material and actions |
//! | results | [`cache`] | keys of steps | their records, here and elsewhere |
//! | isolation | [`sandbox`] | actions, a root made of trees | a changed upper tree |
//! | layers | [`layer`] | what changed | a tar, a blob; and back |
//! | copies | [`mod@copy`] | two places | what the one has, in the other |
//! | registries | [`registry`] | references | images from elsewhere, and to there |
//! | images | [`image`] | layers, configuration | config, manifest, layouts, archives |
//! | storage | [`store`] | blobs, trees, results | the same, by digest |
//! | services | [`services`] | what a template asks of others | answers over the network |
//! | network | [`network`] | addresses | how connections are made |
//! | language | [`template`] | HCL text | a checked, evaluated template |
//! | archives | [`mod@decompress`] | bytes of any compression | plain bytes |
//! | messages | [`diagnostic`] | what, where, why | one rendered error |
//! | secrets | [`mask`] | text | the same without sensitive values |
//! | words | [`mod@format`] | sizes, durations, times | text |
//! | terminals | [`text`] | hostile text | harmless text, measured |
//! | digests | [`digest`] | bytes | [`digest::Digest`] |

pub mod base;
pub mod build;
pub mod cache;
pub mod check;
pub mod cli;
pub mod copy;
pub mod decompress;
pub mod diagnostic;
pub mod digest;
pub mod dockerfile;
pub mod doctor;
pub mod format;
pub mod image;
pub mod imageless;
pub mod layer;
pub mod mask;
pub mod network;
pub mod plan;
pub mod postprocess;
pub mod provision;
pub mod registry;
pub mod sandbox;
pub mod services;
pub mod store;
pub mod template;
pub mod text;
pub mod ui;
