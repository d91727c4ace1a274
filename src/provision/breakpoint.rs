//! The `breakpoint` provisioner: waits for Enter.

use super::host::{HostContext, HostProvisioner, Said};
use super::{Context, ProvisionError};
use crate::template::Arguments;

/// A `breakpoint` provisioner.
#[derive(Clone, Debug)]
struct Breakpoint {
    disable: bool,
    note: String,
}

/// Decodes the options of a `breakpoint` block.
pub fn prepare(arguments: &Arguments<'_>, _context: &Context) -> Option<Box<dyn HostProvisioner>> {
    Some(Box::new(Breakpoint {
        disable: arguments.optional("disable").unwrap_or(false),
        note: arguments.optional("note").unwrap_or_default(),
    }))
}

impl HostProvisioner for Breakpoint {
    fn kind(&self) -> &'static str {
        "breakpoint"
    }

    fn asks(&self) -> bool {
        !self.disable
    }

    fn run(&self, context: &HostContext<'_>) -> Result<(), ProvisionError> {
        let with_note = match self.note.as_str() {
            "" => ".".to_owned(),
            note => format!(" with note \"{note}\"."),
        };
        if self.disable {
            let text = format!("Breakpoint provisioner{with_note} It is disabled; continuing...");
            (context.say)(Said::Note(&text));
            return Ok(());
        }
        let text = format!("Pausing at breakpoint provisioner{with_note}");
        (context.say)(Said::Note(&text));
        let question = "Press enter to continue.";
        match context.operator.ask(question, context.cancel) {
            Some(_) => Ok(()),
            None if context.cancel.is_cancelled() => Err(ProvisionError::Interrupted),
            None => Err(ProvisionError::NoAnswer),
        }
    }
}
