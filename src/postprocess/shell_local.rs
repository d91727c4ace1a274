//! The `shell-local` post-processor: commands on this host, after the build. The artifact is
//! passed on.

use super::{Artifact, Context, PostProcessError, PostProcessor, PrepareContext};
use crate::provision::{self, Host};
use crate::template::Arguments;
use std::sync::Arc;

/// A `shell-local` post-processor.
#[derive(Clone, Debug)]
struct ShellLocal(provision::ShellLocal);

/// Decodes the options of a `shell-local` block.
pub fn prepare(
    arguments: &Arguments<'_>,
    context: &PrepareContext,
) -> Option<Box<dyn PostProcessor>> {
    let context = provision::Context {
        working_folder: context.working_folder.clone(),
        source_name: context.go_template.build_name.clone(),
        source_type: context.go_template.build_type.clone(),
        caller: Arc::default(),
        go_template: context.go_template.clone(),
    };
    let decoded = provision::ShellLocal::decode(arguments, &context)?;
    Some(Box::new(ShellLocal(decoded)))
}

impl PostProcessor for ShellLocal {
    fn kind(&self) -> &'static str {
        "shell-local"
    }

    fn run(&self, input: &Artifact, context: &Context<'_>) -> Result<Artifact, PostProcessError> {
        self.0.execute(&Host {
            working_folder: context.working_folder,
            run_id: context.run_id,
            cancel: context.cancel,
            say: context.say,
        })?;
        Ok(input.clone())
    }
}
