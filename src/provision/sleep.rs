//! The `sleep` provisioner: waits.

use super::host::{HostContext, HostProvisioner, Said};
use super::{Context, ProvisionError};
use crate::format;
use crate::template::Arguments;
use std::time::Duration;

/// A `sleep` provisioner.
#[derive(Clone, Debug)]
struct Sleep {
    duration: Duration,
}

/// Decodes the options of a `sleep` block.
pub fn prepare(arguments: &Arguments<'_>, _context: &Context) -> Option<Box<dyn HostProvisioner>> {
    let duration = arguments.required("duration")?;
    Some(Box::new(Sleep { duration }))
}

impl HostProvisioner for Sleep {
    fn kind(&self) -> &'static str {
        "sleep"
    }

    fn run(&self, context: &HostContext<'_>) -> Result<(), ProvisionError> {
        let text = format!(
            "Waiting for {}",
            format::duration(self.duration.as_secs_f64())
        );
        (context.say)(Said::Note(&text));
        if context.cancel.wait(self.duration) {
            return Err(ProvisionError::Interrupted);
        }
        Ok(())
    }
}
