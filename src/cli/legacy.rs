//! Packer's commands for JSON templates of its first language, which is not supported here.

use super::error::CommandError;
use anyhow::anyhow;
use clap::Args;
use std::process::ExitCode;

/// `hardtack fix` and `hardtack hcl2_upgrade`, with whatever arguments.
#[derive(Args, Debug)]
pub struct LegacyArguments {
    /// What Packer's command would get.
    #[arg(
        value_name = "ARGUMENTS",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub arguments: Vec<String>,
}

/// Refuses `command`.
pub fn refuse(command: &str) -> Result<ExitCode, CommandError> {
    let error = anyhow!("`{command}` works on JSON templates, which hardtack does not read");
    Err(CommandError::user(error)
        .hint("`packer hcl2_upgrade TEMPLATE.json` converts one to HCL, which hardtack builds"))
}
