//! The texts of an event: every field that a template, a program or the system wrote.
//!
//! Digests, keys, numbers and fixed words are no texts. Every field is named here, so that a new
//! one does not compile before someone has decided which it is.

use crate::build::event::{Event, StepPlace};

/// Calls `edit` with every text of `event`.
pub(super) fn edit(event: &mut Event, edit: &mut dyn FnMut(&mut String)) {
    match event {
        Event::BuildStarted { build, steps: _ } => edit(build),
        Event::BaseResolved {
            build,
            base,
            digest: _,
            seconds: _,
        } => {
            edit(build);
            edit(base);
        }
        Event::StepStarted { place, key: _ } => edit_place(place, edit),
        Event::StepCached {
            place,
            key: _,
            layer: _,
            from,
        } => {
            edit_place(place, edit);
            if let Some(from) = from {
                edit(from);
            }
        }
        Event::StepNote { place, text } => {
            edit_place(place, edit);
            edit(text);
        }
        Event::StepWaiting { place, cache } => {
            edit_place(place, edit);
            if let Some(cache) = cache {
                edit(cache);
            }
        }
        Event::StepOutput {
            place,
            stream: _,
            line,
        } => {
            edit_place(place, edit);
            edit(line);
        }
        Event::StepRetried {
            place,
            attempt: _,
            reason,
        } => {
            edit_place(place, edit);
            edit(reason);
        }
        Event::StepFinished {
            place,
            layer: _,
            seconds: _,
        } => edit_place(place, edit),
        Event::StepFailed {
            place,
            reason,
            seconds: _,
        } => {
            edit_place(place, edit);
            edit(reason);
        }
        Event::TestStarted { build, test }
        | Event::TestCached {
            build,
            test,
            key: _,
        }
        | Event::TestPassed {
            build,
            test,
            seconds: _,
        } => {
            edit(build);
            edit(test);
        }
        Event::TestFailed {
            build,
            test,
            failures,
            output,
            seconds: _,
        } => {
            edit(build);
            edit(test);
            failures.iter_mut().chain(output).for_each(edit);
        }
        Event::PostProcessorStarted {
            build,
            post_processor,
        }
        | Event::PostProcessorFinished {
            build,
            post_processor,
            seconds: _,
        } => {
            edit(build);
            edit(post_processor);
        }
        Event::PostProcessorOutput {
            build,
            post_processor,
            stream: _,
            line,
        } => {
            edit(build);
            edit(post_processor);
            edit(line);
        }
        Event::PostProcessorNote {
            build,
            post_processor,
            text,
        } => {
            edit(build);
            edit(post_processor);
            edit(text);
        }
        Event::Notice {
            build,
            level: _,
            text,
        } => {
            if let Some(build) = build {
                edit(build);
            }
            edit(text);
        }
        Event::Artifact {
            build,
            kind,
            value,
            builder_id,
            id,
            description,
            files,
        } => {
            [build, kind, value, builder_id, id, description]
                .into_iter()
                .chain(files)
                .for_each(edit);
        }
        Event::BuildFinished {
            build,
            digest: _,
            bytes: _,
            cached: _,
            steps: _,
            seconds: _,
        } => edit(build),
        Event::BuildFailed {
            build,
            error,
            reason,
            seconds: _,
        } => {
            edit(build);
            edit(error);
            edit(reason);
        }
    }
}

fn edit_place(place: &mut StepPlace, edit: &mut dyn FnMut(&mut String)) {
    let StepPlace {
        build,
        step: _,
        steps: _,
        name,
    } = place;
    edit(build);
    edit(name);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::sample_events::every_event;

    #[test]
    fn every_text_of_every_event_is_edited() {
        // Fields that are no texts, though JSON writes them as strings.
        const FIXED: [&str; 5] = ["event", "key", "digest", "stream", "level"];
        for mut event in every_event() {
            edit(&mut event, &mut |text| *text = "edited".to_owned());
            let json = serde_json::to_value(&event).expect("events can be written as JSON");
            for (field, value) in json.as_object().expect("an event is an object") {
                if value.is_string() && !FIXED.contains(&field.as_str()) {
                    assert_eq!(value, "edited", "{field} of {json}");
                }
            }
        }
    }
}
