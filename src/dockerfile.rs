//! Dockerfiles: read, and written anew as a template.
//!
//! A *translation* has one build for each stage. What an instruction holds for those after it (`ENV`,
//! `WORKDIR`, `USER`, `SHELL`) is said again by each step, as a build's `config` applies at its end.
//! What cannot be translated is reported at its place, and never dropped silently. Nothing runs here.

mod copy;
mod ignore;
mod lines;
mod run;
mod scope;
mod settings;
mod stage;
mod text;
mod translate;
mod write;

pub use translate::{Import, Translation, translate};

#[cfg(test)]
mod tests;
