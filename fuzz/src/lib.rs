//! What the fuzz targets share: a world without a network, a clock or files, and the loading of
//! one text. The targets themselves are below `fuzz_targets/`.

use hardtack::diagnostic::Colours;
use hardtack::template::{
    LoadError, Loaded, NamedText, NoServices, Template, TemplateTexts, World, load_texts,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// The world of every text: nothing in it changes.
pub fn world() -> World {
    World {
        template_folder: PathBuf::from("/nonexistent"),
        working_folder: PathBuf::from("/nonexistent"),
        home: None,
        now: jiff::Timestamp::UNIX_EPOCH,
        random: Arc::new(|bytes| bytes.fill(7)),
        environment: BTreeMap::from([("NAME".to_owned(), "value".to_owned())]),
        services: Arc::new(NoServices),
    }
}

/// The text, if it is one that may be evaluated: none that reads files, and none whose cost lies
/// in functions that are meant to be slow.
pub fn harmless(data: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(data).ok()?;
    let refused = ["file", "bcrypt", "rsadecrypt"];
    (!refused.iter().any(|name| text.contains(name))).then_some(text)
}

/// Loads a template of one file; what is wrong with it is rendered.
pub fn load(name: &str, text: &str) -> Result<Template, String> {
    let texts = TemplateTexts {
        folder: PathBuf::from("/nonexistent"),
        templates: vec![NamedText {
            name: name.to_owned(),
            text: text.to_owned(),
        }],
        variable_files: Vec::new(),
    };
    match load_texts(texts, &[], true, world()) {
        Ok(Loaded { template, warnings }) => {
            let _ = warnings.render(template.sources(), Colours::Off);
            Ok(template)
        }
        Err(LoadError {
            sources,
            diagnostics,
            ..
        }) => Err(diagnostics.render(&sources, Colours::Off)),
    }
}
