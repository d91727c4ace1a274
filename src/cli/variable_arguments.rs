//! The flags that give variables their values, and those that mean nothing here.

use clap::Args;
use std::path::PathBuf;

/// Values of variables, as the commands beside `build` and `plan` take them.
#[derive(Args, Debug)]
pub struct VariableArguments {
    /// Set a variable; beats every other way to set it. May be repeated.
    #[arg(long = "var", value_name = "NAME=VALUE")]
    pub values: Vec<String>,

    /// Read variables from a .pkrvars.hcl file. May be repeated; later files win.
    #[arg(long = "var-file", value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Accepted for Packer's sake: values are always evaluated in the order of what they need.
    #[arg(long, hide = true)]
    pub use_sequential_evaluation: bool,
}
