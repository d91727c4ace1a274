//! The quiet display: failures, each with the last lines of its output, and nothing else.

use super::palette::Palette;
use super::running::Running;
use super::{Clock, View, wording};
use crate::build::event::Event;
use std::io::Write;

pub(super) struct Quiet {
    output: Box<dyn Write + Send>,
    clock: Clock,
    palette: Palette,
    running: Running,
}

impl Quiet {
    pub(super) fn new(output: Box<dyn Write + Send>, clock: Clock, palette: Palette) -> Self {
        Self {
            output,
            clock,
            palette,
            running: Running::default(),
        }
    }
}

impl View for Quiet {
    fn show(&mut self, event: Event) {
        match event {
            Event::StepOutput { place, line, .. } => self.running.step_wrote(&place, line),
            Event::PostProcessorOutput {
                build,
                post_processor,
                line,
                ..
            } => {
                self.running
                    .post_processor_wrote(&build, &post_processor, line);
            }
            event => {
                let ended = self.running.observe(&event, (self.clock)());
                if let Some(failure) = wording::failure(&event, &ended, self.palette) {
                    super::write(&mut *self.output, failure.as_bytes());
                }
            }
        }
    }

    fn finish(&mut self) {}
}

#[cfg(test)]
mod tests {
    use crate::ui::Progress;
    use crate::ui::sample_events::two_builds;
    use crate::ui::testing::shown;

    #[test]
    fn failures_are_shown_with_the_last_lines() {
        insta::assert_snapshot!(shown(Progress::Quiet, two_builds()), @r#"
        ✗ oci.base [3/5] shell.packages  failed after 3.1s: the script exited with status 100
            E: Unable to locate package ngins
        ✗ oci.base  failed after 15.5s
        error: step 3 (shell.packages) failed: the script exited with status 100
          --> web.pkr.hcl:12:3
        hint: run it again with `--progress=plain` to see all of its output
        "#);
    }
}
