//! The template language: HCL text in, a checked and evaluated template out.
//!
//! The dialect is that of Packer's HCL2 templates. [`load()`] reads the files, parses them,
//! decides the variables, evaluates the locals and checks the builds. The bodies of sources and
//! components stay as written until their owner opens them with [`Template::arguments`], in a
//! scope of its own.

mod arguments;
mod body;
mod build;
pub mod canonical;
mod changing;
mod component;
pub mod convert;
mod data;
mod decode;
mod display;
pub mod duration;
mod evaluate;
mod files;
mod for_each;
pub mod functions;
pub mod gotemplate;
mod graph;
mod load;
mod loaded;
mod locals;
pub mod number;
mod references;
mod registry;
mod scope;
mod secrets;
pub mod services;
mod settings;
mod sources;
mod syntax;
mod type_constraint;
mod unify;
mod unused;

pub mod value;
mod variables;

pub use arguments::Arguments;
pub use body::Body;
pub use build::{Build, SourceUse};
pub use changing::ChangingCall;
pub use component::Component;
pub use decode::FromValue;
pub use display::{display, go_quoted, hcl_quoted};
pub use files::{FileError, NamedText, TemplateTexts, read_text};
pub use load::{LoadArguments, LoadError, Loaded, check_syntax, load, load_texts, read_constants};
pub use loaded::{ScopeNames, Template};
pub use scope::{RandomBytes, Scope, World};
pub use services::{HttpRequest, HttpResponse, NoServices, ServiceError, Services};
pub use settings::{PACKER_VERSION, RequiredPlugin};
pub use value::{Number, Type, Value};

#[cfg(test)]
mod tests;
