//! What is said of a whole build at its end.

use super::format;
use crate::build::event::Event;

/// One line for a build that has ended well; none for other events.
pub fn of(event: &Event) -> Option<String> {
    let Event::BuildFinished {
        build,
        digest,
        bytes,
        cached,
        steps,
        seconds,
    } = event
    else {
        return None;
    };
    let plural = if *steps == 1 { "" } else { "s" };
    Some(format!(
        "{build}  {digest}  {steps} step{plural}, {cached} cached, {}, {}",
        format::bytes(*bytes),
        format::seconds(*seconds)
    ))
}
