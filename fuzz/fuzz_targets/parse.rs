//! Any text in the native syntax can be formatted, and the canonical form is stable.
#![no_main]

use hardtack::diagnostic::Colours;
use hardtack::template::NamedText;
use hardtack::template::canonical::{canonical_form, format};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = canonical_form(text);
    let named = |text: &str| NamedText {
        name: "t.pkr.hcl".to_owned(),
        text: text.to_owned(),
    };
    match format(named(text)) {
        Err((sources, diagnostics)) => {
            let _ = diagnostics.render(&sources, Colours::Off);
        }
        Ok(formatted) => match format(named(&formatted)) {
            Ok(again) => assert_eq!(again, formatted, "the canonical form has another one"),
            Err((sources, diagnostics)) => {
                let said = diagnostics.render(&sources, Colours::Off);
                panic!("the canonical form has errors:\n{said}");
            }
        },
    }
});
