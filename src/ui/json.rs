//! The JSON display: one object a line for each event, as `docs/events.md` describes it.

use super::{Clock, View};
use crate::build::event::Event;
use serde::Serialize;
use std::io::Write;

pub(super) struct Json {
    output: Box<dyn Write + Send>,
    clock: Clock,
    /// Kept from line to line to save the allocation.
    line: Vec<u8>,
}

#[derive(Serialize)]
struct Line<'e> {
    time: String,
    #[serde(flatten)]
    event: &'e Event,
}

impl Json {
    pub(super) fn new(output: Box<dyn Write + Send>, clock: Clock) -> Self {
        Self {
            output,
            clock,
            line: Vec::new(),
        }
    }
}

impl View for Json {
    fn show(&mut self, event: Event) {
        let line = Line {
            // RFC 3339 in UTC, always with milliseconds so that times sort as texts.
            time: format!("{:.3}", (self.clock)()),
            event: &event,
        };
        self.line.clear();
        // Nothing here can fail: keys are texts, and memory takes all that is written.
        if serde_json::to_writer(&mut self.line, &line).is_ok() {
            self.line.push(b'\n');
            super::write(&mut *self.output, &self.line);
        }
    }

    fn finish(&mut self) {}
}

#[cfg(test)]
mod tests {
    use crate::ui::Progress;
    use crate::ui::sample_events::{every_event, output, place, two_builds};
    use crate::ui::testing::shown;
    use std::collections::BTreeSet;

    const DOCUMENTATION: &str = include_str!("../../docs/events.md");

    #[test]
    fn each_event_is_a_line() {
        insta::assert_snapshot!(shown(Progress::Json, two_builds()), @r#"
        {"time":"2026-01-02T03:04:05.000Z","event":"build_started","build":"oci.base","steps":5}
        {"time":"2026-01-02T03:04:05.100Z","event":"build_started","build":"oci.web","steps":2}
        {"time":"2026-01-02T03:04:05.200Z","event":"base_resolved","build":"oci.base","base":"layout fixtures/busybox","digest":"sha256:cae662172fd450bb0cd710a769079c05bfc5d8e35efa6576edc7d0377afdd4a2","seconds":0.003}
        {"time":"2026-01-02T03:04:05.300Z","event":"step_cached","build":"oci.base","step":1,"steps":5,"name":"shell.packages","key":"sha256:2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683","layer":{"diff_id":"sha256:dac1d7cfa95021764849fd102524e141488c5e3a90f861dbb5a12d9ac8584f85","bytes":1234567}}
        {"time":"2026-01-02T03:04:05.400Z","event":"step_started","build":"oci.base","step":2,"steps":5,"name":"shell.packages","key":"sha256:2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"}
        {"time":"2026-01-02T03:04:05.500Z","event":"base_resolved","build":"oci.web","base":"layout fixtures/busybox","digest":"sha256:cae662172fd450bb0cd710a769079c05bfc5d8e35efa6576edc7d0377afdd4a2","seconds":0.003}
        {"time":"2026-01-02T03:04:05.600Z","event":"step_started","build":"oci.web","step":1,"steps":2,"name":"file","key":"sha256:2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"}
        {"time":"2026-01-02T03:04:05.700Z","event":"step_output","build":"oci.base","step":2,"steps":5,"name":"shell.packages","stream":"stdout","line":"Reading package lists..."}
        {"time":"2026-01-02T03:04:05.800Z","event":"step_output","build":"oci.web","step":1,"steps":2,"name":"file","stream":"stdout","line":"copying"}
        {"time":"2026-01-02T03:04:05.900Z","event":"step_output","build":"oci.base","step":2,"steps":5,"name":"shell.packages","stream":"stdout","line":"Unpacking nginx (1.22.1-9) ..."}
        {"time":"2026-01-02T03:04:06.000Z","event":"step_finished","build":"oci.base","step":2,"steps":5,"name":"shell.packages","layer":{"diff_id":"sha256:dac1d7cfa95021764849fd102524e141488c5e3a90f861dbb5a12d9ac8584f85","bytes":1234567},"seconds":12.4}
        {"time":"2026-01-02T03:04:06.100Z","event":"step_started","build":"oci.base","step":3,"steps":5,"name":"shell.packages","key":"sha256:2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"}
        {"time":"2026-01-02T03:04:06.200Z","event":"step_output","build":"oci.base","step":3,"steps":5,"name":"shell.packages","stream":"stdout","line":"E: Unable to locate package ngins"}
        {"time":"2026-01-02T03:04:06.300Z","event":"step_finished","build":"oci.web","step":1,"steps":2,"name":"file","layer":null,"seconds":0.02}
        {"time":"2026-01-02T03:04:06.400Z","event":"step_failed","build":"oci.base","step":3,"steps":5,"name":"shell.packages","reason":"the script exited with status 100","seconds":3.1}
        {"time":"2026-01-02T03:04:06.500Z","event":"build_failed","build":"oci.base","error":"error: step 3 (shell.packages) failed: the script exited with status 100\n  --> web.pkr.hcl:12:3\nhint: run it again with `--progress=plain` to see all of its output","reason":"the script exited with status 100","seconds":15.5}
        {"time":"2026-01-02T03:04:06.600Z","event":"build_finished","build":"oci.web","digest":"sha256:05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f","bytes":45230000,"cached":1,"steps":5,"seconds":12.75}
        "#);
    }

    #[test]
    fn any_line_of_output_stays_one_line_of_json() {
        let line = "\x1b[1m\"quoted\"\\\n\u{2028}\0\u{feff}";
        let shown = shown(Progress::Json, vec![output(place(1), line)]);
        assert_eq!(shown.lines().count(), 1);
        let json: serde_json::Value = serde_json::from_str(&shown).expect("valid JSON");
        assert_eq!(json["line"], line);
    }

    /// The sections of the documentation: the name of an event and the text below it.
    fn sections() -> Vec<(&'static str, &'static str)> {
        let events = DOCUMENTATION.split("\n## The metadata file").next();
        let sections = events.unwrap_or_default().split("\n### `").skip(1);
        sections
            .map(|section| section.split_once('`').expect("a heading ends in `"))
            .collect()
    }

    #[test]
    fn the_documentation_lists_every_event_with_an_example() {
        let lines = shown(Progress::Json, every_event());
        assert_eq!(lines.lines().count(), sections().len());
        for (line, (name, section)) in lines.lines().zip(sections()) {
            let json: serde_json::Value = serde_json::from_str(line).expect("valid JSON");
            assert_eq!(
                json["event"], name,
                "sections stand in the order of the events"
            );
            assert!(
                section.contains(&format!("```json\n{line}\n```")),
                "the example of {name} must be\n{line}"
            );
        }
    }

    #[test]
    fn the_documentation_lists_every_field() {
        let lines = shown(Progress::Json, every_event());
        for (line, (name, section)) in lines.lines().zip(sections()) {
            let json: serde_json::Value = serde_json::from_str(line).expect("valid JSON");
            let fields = json.as_object().expect("an event is an object");
            let expected: BTreeSet<&str> = fields
                .keys()
                .map(String::as_str)
                .filter(|field| !["time", "event"].contains(field))
                .collect();
            let rows = section.lines().filter_map(|row| row.strip_prefix("| `"));
            let listed: BTreeSet<&str> = rows
                .filter_map(|row| row.split_once('`'))
                .map(|(field, _)| field)
                .filter(|field| !field.contains('.'))
                .collect();
            assert_eq!(listed, expected, "fields of {name}");
        }
    }
}
