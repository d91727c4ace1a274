//! Sample events for tests: one of each kind, and the story of two builds.

use crate::build::event::{Event, LayerSummary, Level, LogStream, StepPlace};
use crate::digest::{DiffId, Digest, StepKey};

/// Returns one event of each kind, in the order of `docs/events.md`.
pub(super) fn every_event() -> Vec<Event> {
    let events = vec![
        started("oci.base", 5),
        base("oci.base"),
        step_started(place(2)),
        Event::StepNote {
            place: place(2),
            text: "Running local shell script: /tmp/script.sh".to_owned(),
        },
        step_cached(place(1), Some("registry.example/cache")),
        Event::StepWaiting {
            place: place(3),
            cache: Some("apt".to_owned()),
        },
        output(place(2), "Unpacking nginx (1.22.1-9) ..."),
        Event::StepRetried {
            place: place(2),
            attempt: 2,
            reason: "the script exited with status 100".to_owned(),
        },
        step_finished(place(2), 12.4),
        step_failed(place(3), 3.1),
        Event::TestStarted {
            build: "oci.base".to_owned(),
            test: "serves the page".to_owned(),
        },
        Event::TestCached {
            build: "oci.base".to_owned(),
            test: "has its files".to_owned(),
            key: key(),
        },
        Event::TestPassed {
            build: "oci.base".to_owned(),
            test: "runs".to_owned(),
            seconds: 0.012,
        },
        Event::TestFailed {
            build: "oci.base".to_owned(),
            test: "serves the page".to_owned(),
            failures: vec![
                "port 8080/tcp: expected a listener within 10s, found none (web.pkr.hcl:12:3)"
                    .to_owned(),
            ],
            output: vec!["bind: permission denied".to_owned()],
            seconds: 10.01,
        },
        Event::PostProcessorStarted {
            build: "oci.base".to_owned(),
            post_processor: "shell-local".to_owned(),
        },
        Event::PostProcessorNote {
            build: "oci.base".to_owned(),
            post_processor: "shell-local".to_owned(),
            text: "Running local shell script: /tmp/script.sh".to_owned(),
        },
        Event::PostProcessorOutput {
            build: "oci.base".to_owned(),
            post_processor: "shell-local".to_owned(),
            stream: LogStream::Stdout,
            line: "signed".to_owned(),
        },
        Event::PostProcessorFinished {
            build: "oci.base".to_owned(),
            post_processor: "shell-local".to_owned(),
            seconds: 0.25,
        },
        Event::Notice {
            build: Some("oci.base".to_owned()),
            level: Level::Warning,
            text: "step 4 uses timestamp() and can never be cached".to_owned(),
        },
        Event::Artifact {
            build: "oci.base".to_owned(),
            kind: "oci-archive".to_owned(),
            value: "out/base.tar".to_owned(),
            builder_id: "hardtack.oci-archive".to_owned(),
            id: Digest::of("manifest").to_string(),
            description: "an archive of the image".to_owned(),
            files: vec!["out/base.tar".to_owned()],
        },
        finished("oci.base"),
        failed("oci.base"),
    ];
    for (index, event) in events.iter().enumerate() {
        assert_eq!(position(event), index, "{event:?} stands in its place");
    }
    assert_eq!(events.len(), KINDS, "each kind of event is there");
    events
}

/// Returns the events of two builds of which one fails, interleaved as they come from two
/// threads.
pub(super) fn two_builds() -> Vec<Event> {
    let web = |step| StepPlace {
        build: "oci.web".to_owned(),
        step,
        steps: 2,
        name: "file".to_owned(),
    };
    vec![
        started("oci.base", 5),
        started("oci.web", 2),
        base("oci.base"),
        step_cached(place(1), None),
        step_started(place(2)),
        base("oci.web"),
        step_started(web(1)),
        output(place(2), "Reading package lists..."),
        output(web(1), "copying"),
        output(place(2), "Unpacking nginx (1.22.1-9) ..."),
        step_finished(place(2), 12.4),
        Event::StepStarted {
            place: place(3),
            key: Some(key()),
        },
        output(place(3), "E: Unable to locate package ngins"),
        Event::StepFinished {
            place: web(1),
            layer: None,
            seconds: 0.02,
        },
        step_failed(place(3), 3.1),
        failed("oci.base"),
        finished("oci.web"),
    ]
}

/// The step `step` of `oci.base`.
pub(super) fn place(step: usize) -> StepPlace {
    StepPlace {
        build: "oci.base".to_owned(),
        step,
        steps: 5,
        name: "shell.packages".to_owned(),
    }
}

/// A build of the name `build` begins.
pub(super) fn started(build: &str, steps: usize) -> Event {
    Event::BuildStarted {
        build: build.to_owned(),
        steps,
    }
}

/// A step begins.
pub(super) fn step_started(place: StepPlace) -> Event {
    Event::StepStarted {
        place,
        key: Some(key()),
    }
}

/// A step writes `line`.
pub(super) fn output(place: StepPlace, line: &str) -> Event {
    Event::StepOutput {
        place,
        stream: LogStream::Stdout,
        line: line.to_owned(),
    }
}

/// A step ends well.
pub(super) fn step_finished(place: StepPlace, seconds: f64) -> Event {
    Event::StepFinished {
        place,
        layer: layer(),
        seconds,
    }
}

/// A step fails.
pub(super) fn step_failed(place: StepPlace, seconds: f64) -> Event {
    Event::StepFailed {
        place,
        reason: "the script exited with status 100".to_owned(),
        seconds,
    }
}

/// A build ends well.
pub(super) fn finished(build: &str) -> Event {
    Event::BuildFinished {
        build: build.to_owned(),
        digest: Some(Digest::of("manifest")),
        bytes: 45_230_000,
        cached: 1,
        steps: 5,
        seconds: 12.75,
    }
}

/// A build fails.
pub(super) fn failed(build: &str) -> Event {
    Event::BuildFailed {
        build: build.to_owned(),
        error: "error: step 3 (shell.packages) failed: the script exited with status 100\n  \
                --> web.pkr.hcl:12:3\n\
                hint: run it again with `--progress=plain` to see all of its output"
            .to_owned(),
        reason: "the script exited with status 100".to_owned(),
        seconds: 15.5,
    }
}

fn base(build: &str) -> Event {
    Event::BaseResolved {
        build: build.to_owned(),
        base: "layout fixtures/busybox".to_owned(),
        digest: Some(Digest::of("base")),
        seconds: 0.003,
    }
}

fn step_cached(place: StepPlace, from: Option<&str>) -> Event {
    Event::StepCached {
        place,
        key: key(),
        layer: layer(),
        from: from.map(str::to_owned),
    }
}

fn key() -> StepKey {
    StepKey(Digest::of("key"))
}

fn layer() -> Option<LayerSummary> {
    Some(LayerSummary {
        diff_id: DiffId(Digest::of("layer")),
        bytes: Some(1_234_567),
    })
}

const KINDS: usize = 22;

/// Where the kind of `event` stands in [`every_event`]; a new kind does not compile before it has
/// a place, and with it a sample and a section in `docs/events.md`.
fn position(event: &Event) -> usize {
    match event {
        Event::BuildStarted { .. } => 0,
        Event::BaseResolved { .. } => 1,
        Event::StepStarted { .. } => 2,
        Event::StepNote { .. } => 3,
        Event::StepCached { .. } => 4,
        Event::StepWaiting { .. } => 5,
        Event::StepOutput { .. } => 6,
        Event::StepRetried { .. } => 7,
        Event::StepFinished { .. } => 8,
        Event::StepFailed { .. } => 9,
        Event::TestStarted { .. } => 10,
        Event::TestCached { .. } => 11,
        Event::TestPassed { .. } => 12,
        Event::TestFailed { .. } => 13,
        Event::PostProcessorStarted { .. } => 14,
        Event::PostProcessorNote { .. } => 15,
        Event::PostProcessorOutput { .. } => 16,
        Event::PostProcessorFinished { .. } => 17,
        Event::Notice { .. } => 18,
        Event::Artifact { .. } => 19,
        Event::BuildFinished { .. } => 20,
        Event::BuildFailed { .. } => 21,
    }
}
