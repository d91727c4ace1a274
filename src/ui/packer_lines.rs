//! The display of `-machine-readable`: events as Packer words them, in Packer's lines.
//!
//! Scripts look for `artifact`, `error` and their counts, which come once all builds have ended;
//! before them each message is a line of type `ui`, as Packer prints it for people: `say` for what
//! happens, `message` for output, `error` for errors and a command's standard error.

use super::machine_readable::line;
use super::{Clock, Stamps, View, wording};
use crate::build::event::{Event, Level, LogStream, StepPlace};
use crate::mask::Masker;
use jiff::Timestamp;
use std::io::Write;
use std::time::Duration;

pub(super) struct PackerLines {
    output: Box<dyn Write + Send>,
    clock: Clock,
    stamps: Option<Stamps>,
    begin: Option<Timestamp>,
    /// Builds that ended well, with what was said of their artifacts.
    built: Vec<(String, Vec<Artifact>)>,
    /// Builds that failed, and why.
    failed: Vec<(String, String)>,
    finished: bool,
}

struct Artifact {
    builder_id: String,
    id: String,
    description: String,
    files: Vec<String>,
}

impl PackerLines {
    pub(super) fn new(output: Box<dyn Write + Send>, clock: Clock, stamps: Option<Stamps>) -> Self {
        Self {
            output,
            clock,
            stamps,
            begin: None,
            built: Vec::new(),
            failed: Vec::new(),
            finished: false,
        }
    }

    fn line(&mut self, target: &str, kind: &str, data: &[&str]) {
        // The texts of events hold no secrets any more.
        let line = line((self.clock)(), target, kind, data, &Masker::default());
        super::write(&mut *self.output, line.as_bytes());
    }

    /// A message that belongs to no single build.
    fn common(&mut self, kind: &str, text: &str) {
        self.line("", "ui", &[kind, text]);
    }

    /// A message of a build; as in Packer, only these have the time of day.
    fn ui(&mut self, kind: &str, text: &str) {
        let stamped = self.stamps.as_ref().map(|stamps| {
            let stamp = stamps.of((self.clock)());
            format!("{stamp}: {text}")
        });
        self.line("", "ui", &[kind, stamped.as_deref().unwrap_or(text)]);
    }

    fn say(&mut self, target: &str, text: &str) {
        self.ui("say", &format!("==> {target}: {text}"));
    }

    fn output(&mut self, target: &str, stream: LogStream, text: &str) {
        match stream {
            LogStream::Stdout => self.ui("message", &format!("    {target}: {text}")),
            LogStream::Stderr => self.ui("error", &format!("==> {target}: {text}")),
        }
    }

    /// What Packer prints when all builds have ended.
    fn end(&mut self, begin: Timestamp) {
        let waited = elapsed(begin, (self.clock)());
        self.common("say", &format!("\n==> Wait completed after {waited}"));
        let failed = std::mem::take(&mut self.failed);
        if !failed.is_empty() {
            self.line("", "error-count", &[&failed.len().to_string()]);
            self.common(
                "error",
                "\n==> Some builds didn't complete successfully and had errors:",
            );
            for (build, reason) in &failed {
                self.line(build, "error", &[reason]);
                self.common("error", &format!("--> {build}: {reason}"));
            }
        }
        let built = std::mem::take(&mut self.built);
        if built.is_empty() {
            self.common(
                "say",
                "\n==> Builds finished but no artifacts were created.",
            );
            return;
        }
        self.common(
            "say",
            "\n==> Builds finished. The artifacts of successful builds are:",
        );
        for (build, artifacts) in &built {
            self.line(build, "artifact-count", &[&artifacts.len().to_string()]);
            for (index, artifact) in artifacts.iter().enumerate() {
                self.artifact(build, &index.to_string(), artifact);
            }
        }
    }

    fn artifact(&mut self, build: &str, index: &str, artifact: &Artifact) {
        let count = artifact.files.len().to_string();
        for (what, value) in [
            ("builder-id", &artifact.builder_id),
            ("id", &artifact.id),
            ("string", &artifact.description),
            ("files-count", &count),
        ] {
            self.line(build, "artifact", &[index, what, value]);
        }
        for (number, file) in artifact.files.iter().enumerate() {
            let number = number.to_string();
            self.line(build, "artifact", &[index, "file", &number, file]);
        }
        self.line(build, "artifact", &[index, "end"]);
        self.common("say", &format!("--> {build}: {}", artifact.description));
    }

    fn artifacts_of(&mut self, build: &str) -> &mut Vec<Artifact> {
        let known = self.built.iter().position(|(name, _)| name == build);
        let index = known.unwrap_or_else(|| {
            self.built.push((build.to_owned(), Vec::new()));
            self.built.len() - 1
        });
        &mut self.built[index].1
    }
}

impl View for PackerLines {
    fn show(&mut self, event: Event) {
        match event {
            Event::BuildStarted { .. } => {
                let now = (self.clock)();
                self.begin.get_or_insert(now);
            }
            Event::BaseResolved { build, base, .. } => {
                self.say(&build, &format!("Base: {base}"));
            }
            // What works on the host says itself what it does.
            Event::StepStarted { key: None, .. } => {}
            Event::StepStarted { place, .. } => {
                self.say(&place.build, &of_step("Running", &place));
            }
            Event::StepCached { place, from, .. } => {
                let found = format!("Found in {}:", from.as_deref().unwrap_or("the store"));
                self.say(&place.build, &of_step(&found, &place));
            }
            Event::StepWaiting { place, cache: None } => {
                self.say(
                    &place.build,
                    &of_step("Waiting for another build's", &place),
                );
            }
            Event::StepWaiting {
                place,
                cache: Some(cache),
            } => {
                self.say(&place.build, &wording::waiting(Some(&cache)));
            }
            Event::StepNote { place, text } => self.say(&place.build, &text),
            Event::StepOutput {
                place,
                stream,
                line,
            } => self.output(&place.build, stream, &line),
            Event::StepRetried {
                place,
                attempt,
                reason,
            } => self.say(
                &place.build,
                &format!("Provisioner failed with {reason:?}, retrying: attempt {attempt}"),
            ),
            Event::StepFinished { .. } | Event::PostProcessorFinished { .. } => {}
            Event::StepFailed { place, .. } => self.say(
                &place.build,
                "Provisioning step had errors: Running the cleanup provisioner, if present...",
            ),
            Event::TestStarted { build, test } => {
                self.say(&build, &format!("Running test: {test}"));
            }
            Event::TestCached { build, test, .. } => {
                self.say(&build, &format!("Test has passed before: {test}"));
            }
            Event::TestPassed { build, test, .. } => {
                self.say(&build, &format!("Test passed: {test}"));
            }
            Event::TestFailed {
                build,
                test,
                failures,
                output,
                ..
            } => {
                for line in output {
                    self.output(&build, LogStream::Stdout, &line);
                }
                for failure in failures {
                    self.output(&build, LogStream::Stderr, &format!("{test}: {failure}"));
                }
            }
            Event::PostProcessorStarted {
                build,
                post_processor,
            } => {
                let (kind, name) = kind_and_name(&post_processor);
                self.say(
                    &build,
                    &format!("Running post-processor: {name} (type {kind})"),
                );
            }
            Event::PostProcessorNote {
                build,
                post_processor,
                text,
            } => {
                let (kind, _) = kind_and_name(&post_processor);
                self.say(&format!("{build} ({kind})"), &text);
            }
            Event::PostProcessorOutput {
                build,
                post_processor,
                stream,
                line,
            } => {
                let (kind, _) = kind_and_name(&post_processor);
                self.output(&format!("{build} ({kind})"), stream, &line);
            }
            Event::Notice { build, level, text } => {
                let kind = match level {
                    Level::Error => "error",
                    Level::Warning | Level::Info => "say",
                };
                match build {
                    Some(build) => self.ui(kind, &format!("==> {build}: {text}")),
                    None => self.common(kind, &text),
                }
            }
            Event::Artifact {
                build,
                builder_id,
                id,
                description,
                files,
                ..
            } => self.artifacts_of(&build).push(Artifact {
                builder_id,
                id,
                description,
                files,
            }),
            Event::BuildFinished { build, seconds, .. } => {
                self.artifacts_of(&build);
                let took = readable(seconds);
                self.ui("say", &format!("Build '{build}' finished after {took}."));
            }
            Event::BuildFailed {
                build,
                reason,
                seconds,
                ..
            } => {
                let took = readable(seconds);
                self.ui(
                    "error",
                    &format!("Build '{build}' errored after {took}: {reason}"),
                );
                self.failed.push((build, reason));
            }
        }
    }

    fn finish(&mut self) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        if let Some(begin) = self.begin {
            self.end(begin);
        }
    }
}

fn of_step(what: &str, place: &StepPlace) -> String {
    let StepPlace {
        step, steps, name, ..
    } = place;
    format!("{what} provisioner {name} (step {step} of {steps})")
}

/// Takes `TYPE.NAME` apart; the name may be missing.
fn kind_and_name(post_processor: &str) -> (&str, &str) {
    post_processor
        .split_once('.')
        .unwrap_or((post_processor, ""))
}

fn elapsed(begin: Timestamp, end: Timestamp) -> String {
    readable(end.duration_since(begin).as_secs_f64())
}

/// Returns a duration in its two largest units, as Packer prints it: `14 milliseconds 267
/// microseconds`.
fn readable(seconds: f64) -> String {
    // What is negative or no number is no time at all; nothing ends before it has begun.
    let whole = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let mut rest = whole.as_micros().max(1);
    let mut parts = Vec::new();
    for (unit, length) in [
        ("year", 31_536_000_000_000),
        ("week", 604_800_000_000),
        ("day", 86_400_000_000),
        ("hour", 3_600_000_000),
        ("minute", 60_000_000),
        ("second", 1_000_000),
        ("millisecond", 1_000),
        ("microsecond", 1),
    ] {
        let count = rest / length;
        rest %= length;
        if count > 0 && parts.len() < 2 {
            let plural = if count == 1 { "" } else { "s" };
            parts.push(format!("{count} {unit}{plural}"));
        }
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::event::EventSink;
    use crate::ui::Progress;
    use crate::ui::sample_events::{failed, started, two_builds};
    use crate::ui::testing::{Captured, TestClock, settings, shown};
    use crate::ui::{Stamps, display};
    use jiff::tz::{Offset, TimeZone};

    #[test]
    fn two_builds_at_once() {
        let mut events = two_builds();
        events.push(Event::Artifact {
            build: "oci.web".to_owned(),
            kind: "file".to_owned(),
            value: "out.txt".to_owned(),
            builder_id: "packer.file".to_owned(),
            id: "File".to_owned(),
            description: "Stored file: out.txt".to_owned(),
            files: vec!["out.txt".to_owned()],
        });
        insta::assert_snapshot!(shown(Progress::MachineReadable, events), @r#"
        1767323045,,ui,say,==> oci.base: Base: layout fixtures/busybox
        1767323045,,ui,say,==> oci.base: Found in the store: provisioner shell.packages (step 1 of 5)
        1767323045,,ui,say,==> oci.base: Running provisioner shell.packages (step 2 of 5)
        1767323045,,ui,say,==> oci.web: Base: layout fixtures/busybox
        1767323045,,ui,say,==> oci.web: Running provisioner file (step 1 of 2)
        1767323045,,ui,message,    oci.base: Reading package lists...
        1767323045,,ui,message,    oci.web: copying
        1767323045,,ui,message,    oci.base: Unpacking nginx (1.22.1-9) ...
        1767323046,,ui,say,==> oci.base: Running provisioner shell.packages (step 3 of 5)
        1767323046,,ui,message,    oci.base: E: Unable to locate package ngins
        1767323046,,ui,say,==> oci.base: Provisioning step had errors: Running the cleanup provisioner%!(PACKER_COMMA) if present...
        1767323046,,ui,error,Build 'oci.base' errored after 15 seconds 500 milliseconds: the script exited with status 100
        1767323046,,ui,say,Build 'oci.web' finished after 12 seconds 750 milliseconds.
        1767323046,,ui,say,\n==> Wait completed after 1 second 800 milliseconds
        1767323046,,error-count,1
        1767323046,,ui,error,\n==> Some builds didn't complete successfully and had errors:
        1767323046,oci.base,error,the script exited with status 100
        1767323046,,ui,error,--> oci.base: the script exited with status 100
        1767323046,,ui,say,\n==> Builds finished. The artifacts of successful builds are:
        1767323046,oci.web,artifact-count,1
        1767323046,oci.web,artifact,0,builder-id,packer.file
        1767323046,oci.web,artifact,0,id,File
        1767323046,oci.web,artifact,0,string,Stored file: out.txt
        1767323046,oci.web,artifact,0,files-count,1
        1767323046,oci.web,artifact,0,file,0,out.txt
        1767323046,oci.web,artifact,0,end
        1767323046,,ui,say,--> oci.web: Stored file: out.txt
        "#);
    }

    #[test]
    fn failures_alone_leave_no_artifacts() {
        let shown = shown(
            Progress::MachineReadable,
            vec![started("oci.base", 5), failed("oci.base")],
        );
        assert!(shown.contains(",,error-count,1\n"));
        assert!(shown.ends_with("==> Builds finished but no artifacts were created.\n"));
        assert!(!shown.contains("artifact-count"));
    }

    #[test]
    fn nothing_is_summed_up_where_no_build_began() {
        assert_eq!(shown(Progress::MachineReadable, Vec::new()), "");
    }

    #[test]
    fn messages_may_begin_with_the_time_of_day() {
        for (offset, stamp) in [
            (0, "2026-01-02T03:04:05Z"),
            (2, "2026-01-02T05:04:05+02:00"),
        ] {
            let captured = Captured::default();
            let mut settings = settings(&TestClock::default());
            settings.stamps = Some(Stamps {
                zone: TimeZone::fixed(Offset::constant(offset)),
            });
            let display = display(
                Progress::MachineReadable,
                settings,
                Box::new(captured.clone()),
            );
            for build in [Some("x".to_owned()), None] {
                display.emit(Event::Notice {
                    build,
                    level: Level::Error,
                    text: "a\nb, c".to_owned(),
                });
            }
            display.finish();
            assert_eq!(
                captured.text(),
                format!(
                    "1767323045,,ui,error,{stamp}: ==> x: a\\nb%!(PACKER_COMMA) c\n\
                     1767323045,,ui,error,a\\nb%!(PACKER_COMMA) c\n"
                )
            );
        }
    }

    #[test]
    fn durations_have_two_units() {
        for (seconds, expected) in [
            (0.000_001, "1 microsecond"),
            (0.014_267, "14 milliseconds 267 microseconds"),
            (1.001, "1 second 1 millisecond"),
            (300.251, "5 minutes 251 milliseconds"),
            (3_661.0, "1 hour 1 minute"),
            (0.0, "1 microsecond"),
            (-1.0, "1 microsecond"),
            (f64::NAN, "1 microsecond"),
        ] {
            assert_eq!(readable(seconds), expected);
        }
    }
}
