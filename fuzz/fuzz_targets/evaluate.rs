//! Any expression can be evaluated, and its value displayed.
#![no_main]

use hardtack::diagnostic::Colours;
use hardtack::template::{Template, display};
use hardtack_fuzz::{harmless, load};
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

const NAMES: &str = r#"
variable "count" { default = 3 }
locals {
  list = [{ n = "p", t = ["u"] }, { n = "q", t = ["v", "w"] }]
  map  = { b = 2, a = 1 }
  none = null
  text = "some text"
  set  = convert([3, 1, 2, 1], set(number))
}
"#;

fuzz_target!(|data: &[u8]| {
    // The template is the same for all texts.
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    let template =
        TEMPLATE.get_or_init(|| load("t.pkr.hcl", NAMES).expect("a template without mistakes"));
    let Some(text) = harmless(data) else { return };
    match template.evaluate(text) {
        Ok(value) => {
            let _ = display(&value);
        }
        Err((sources, diagnostics)) => {
            let _ = diagnostics.render(&sources, Colours::Off);
        }
    }
});
