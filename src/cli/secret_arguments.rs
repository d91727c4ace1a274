//! The flags that say where secrets of steps come from.

use crate::plan::secret::{SecretFlag, read_flag};
use clap::Args;

/// Secrets for `mount "secret"` blocks that do not say where they come from.
#[derive(Args, Debug)]
pub struct SecretArguments {
    /// A secret of the template: id=NAME,src=FILE or id=NAME,env=VARIABLE; id=NAME alone for the
    /// variable of that name. May be repeated; later ones win.
    #[arg(long = "secret", value_name = "SECRET", value_parser = read_flag)]
    pub flags: Vec<SecretFlag>,
}
