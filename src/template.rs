//! The template language: HCL text in, a checked and evaluated template out.

pub mod value;
