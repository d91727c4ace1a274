//! The template language: HCL text in, a checked and evaluated template out.

pub mod convert;
pub mod functions;
pub mod number;
pub mod value;
