//! One line for each event: for logs and pipes.

use super::{Display, format, summary, text};
use crate::build::event::{Event, EventSink, LayerSummary, Level, StepPlace};
use crate::mask::Masker;
use std::io::Write;
use std::sync::Mutex;

/// Writes events as lines, Packer's way: `==> BUILD: …` for what hardtack says, four spaces before
/// what a command writes.
pub struct Plain {
    state: Mutex<State>,
    masker: Masker,
    /// Only failures and warnings.
    quiet: bool,
}

struct State {
    stream: Box<dyn Write + Send>,
    summary: Vec<String>,
}

impl Plain {
    /// Writes to `stream`.
    pub fn new(stream: Box<dyn Write + Send>, masker: Masker) -> Self {
        Self {
            state: Mutex::new(State {
                stream,
                summary: Vec::new(),
            }),
            masker,
            quiet: false,
        }
    }

    /// Writes only failures and warnings.
    pub fn quiet(stream: Box<dyn Write + Send>, masker: Masker) -> Self {
        Self {
            quiet: true,
            ..Self::new(stream, masker)
        }
    }
}

impl EventSink for Plain {
    fn emit(&self, event: Event) {
        let is_failure = matches!(event, Event::BuildFailed { .. })
            || matches!(
                event,
                Event::Notice {
                    level: Level::Warning,
                    ..
                }
            );
        if self.quiet && !is_failure {
            return;
        }
        let Ok(mut state) = self.state.lock() else {
            return;
        };
        if let Some(line) = summary::of(&event) {
            state.summary.push(line);
        }
        if let Some(line) = line(&event) {
            let line = self.masker.mask(&line);
            // Who does not listen any more misses nothing that decides anything.
            let _ = writeln!(state.stream, "{line}");
        }
    }
}

impl Display for Plain {
    fn finish(&self) {
        let Ok(mut state) = self.state.lock() else {
            return;
        };
        for line in std::mem::take(&mut state.summary) {
            let line = self.masker.mask(&line).into_owned();
            let _ = writeln!(state.stream, "{line}");
        }
        let _ = state.stream.flush();
    }
}

/// `BUILD: [2/5] shell`
fn place(place: &StepPlace) -> String {
    format!(
        "{}: [{}/{}] {}",
        place.build, place.step, place.steps, place.name
    )
}

fn layer(layer: Option<&LayerSummary>) -> String {
    match layer {
        None => "nothing changed".to_owned(),
        Some(LayerSummary {
            diff_id,
            bytes: None,
        }) => format!("layer {}", diff_id.0.short()),
        Some(LayerSummary {
            diff_id,
            bytes: Some(bytes),
        }) => {
            format!("layer {}, {}", diff_id.0.short(), format::bytes(*bytes))
        }
    }
}

/// The line for an event; none for those that the summary tells.
pub fn line(event: &Event) -> Option<String> {
    Some(match event {
        Event::BuildStarted { .. } | Event::BuildFinished { .. } | Event::Artifact { .. } => {
            return None;
        }
        Event::BaseResolved {
            build,
            base,
            digest,
            seconds,
        } => {
            let digest = digest
                .map(|digest| format!(" {}", digest.short()))
                .unwrap_or_default();
            format!(
                "==> {build}: base {base}{digest} ({})",
                format::seconds(*seconds)
            )
        }
        Event::StepStarted { place: at, .. } => format!("==> {}", place(at)),
        Event::StepCached {
            place: at,
            layer: one,
            ..
        } => {
            format!("==> {}: cached ({})", place(at), layer(one.as_ref()))
        }
        Event::StepWaiting { place: at } => {
            format!(
                "==> {}: waiting for another build that runs the same step",
                place(at)
            )
        }
        Event::StepOutput { place, line, .. } => {
            format!("    {}: {}", place.build, text::visible(line))
        }
        Event::StepRetried {
            place: at,
            attempt,
            reason,
        } => {
            format!("==> {}: {reason}; attempt {attempt}", place(at))
        }
        Event::StepFinished {
            place: at,
            layer: one,
            seconds,
        } => {
            format!(
                "==> {}: {} ({})",
                place(at),
                layer(one.as_ref()),
                format::seconds(*seconds)
            )
        }
        Event::StepFailed {
            place: at,
            reason,
            seconds,
        } => {
            format!(
                "==> {}: failed: {} ({})",
                place(at),
                text::visible(reason),
                format::seconds(*seconds)
            )
        }
        Event::PostProcessorStarted {
            build,
            post_processor,
        } => {
            format!("==> {build}: {post_processor}")
        }
        Event::PostProcessorFinished {
            build,
            post_processor,
            seconds,
        } => {
            format!(
                "==> {build}: {post_processor}: done ({})",
                format::seconds(*seconds)
            )
        }
        Event::PostProcessorOutput {
            build,
            post_processor,
            line,
        } => {
            format!("    {build} ({post_processor}): {}", text::visible(line))
        }
        Event::Notice {
            build,
            level,
            text: notice,
        } => {
            let build = build
                .as_ref()
                .map(|build| format!("{build}: "))
                .unwrap_or_default();
            match level {
                Level::Info => format!("    {build}{}", text::visible(notice)),
                Level::Warning => format!("warning: {build}{}", text::visible(notice)),
            }
        }
        Event::BuildFailed { build, error, .. } => {
            format!("==> {build}: failed\n{}", error.trim_end())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{DiffId, Digest, StepKey};
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn shown(quiet: bool) -> String {
        let captured = Captured::default();
        let masker = Masker::new(["hunter2".to_owned()]);
        let mut plain = Plain::new(Box::new(captured.clone()), masker);
        plain.quiet = quiet;
        let place = StepPlace {
            build: "oci.a".into(),
            step: 1,
            steps: 2,
            name: "shell".into(),
        };
        let layer = LayerSummary {
            diff_id: DiffId(Digest::of("x")),
            bytes: Some(10_240),
        };
        let events = [
            Event::BuildStarted {
                build: "oci.a".into(),
                steps: 2,
            },
            Event::BaseResolved {
                build: "oci.a".into(),
                base: "scratch".into(),
                digest: None,
                seconds: 0.0,
            },
            Event::StepStarted {
                place: place.clone(),
                key: StepKey(Digest::of("k")),
            },
            Event::StepOutput {
                place: place.clone(),
                stream: crate::build::event::LogStream::Stdout,
                line: "the password is hunter2\u{1b}[2J".into(),
            },
            Event::StepFinished {
                place: place.clone(),
                layer: Some(layer),
                seconds: 1.5,
            },
            Event::StepCached {
                place,
                key: StepKey(Digest::of("k")),
                layer: None,
            },
            Event::BuildFinished {
                build: "oci.a".into(),
                digest: Digest::of("m"),
                bytes: 2048,
                cached: 1,
                steps: 2,
                seconds: 1.6,
            },
            Event::BuildFailed {
                build: "oci.b".into(),
                error: "error: no\n".into(),
                seconds: 0.1,
            },
        ];
        events.into_iter().for_each(|event| plain.emit(event));
        plain.finish();
        let bytes = captured.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_build_reads_from_top_to_bottom() {
        insta::assert_snapshot!(shown(false), @r"
        ==> oci.a: base scratch (0.00s)
        ==> oci.a: [1/2] shell
            oci.a: the password is <sensitive>
        ==> oci.a: [1/2] shell: layer 2d711642b726, 10.2kB (1.50s)
        ==> oci.a: [1/2] shell: cached (nothing changed)
        ==> oci.b: failed
        error: no
        oci.a  sha256:62c66a7a5dd70c3146618063c344e531e6d4b59e379808443ce962b3abd63c5a  2 steps, 1 cached, 2.05kB, 1.60s
        ");
    }

    #[test]
    fn quiet_tells_only_failures() {
        assert_eq!(shown(true), "==> oci.b: failed\nerror: no\n");
    }
}
