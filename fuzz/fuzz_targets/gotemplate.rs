//! Any text can be rendered as a Go template.
#![no_main]

use hardtack::template::gotemplate::{GoTemplateData, changing_actions, render};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::sync::Arc;

fuzz_target!(|text: &str| {
    let data = GoTemplateData {
        fields: BTreeMap::from([("Vars".to_owned(), "A=b".to_owned())]),
        build_name: "name".to_owned(),
        build_type: "oci".to_owned(),
        working_folder: "/nonexistent".to_owned(),
        now: jiff::Timestamp::UNIX_EPOCH,
        random: Arc::new(|bytes| bytes.fill(7)),
    };
    let _ = changing_actions(text);
    if let Err(error) = render(text, &data) {
        let _ = error.to_string();
    }
});
