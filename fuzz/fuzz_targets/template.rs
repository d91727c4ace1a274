//! Any text can be loaded as a template in the native syntax, and its bodies opened.
#![no_main]

use hardtack_fuzz::{harmless, load};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some(text) = harmless(data)
        && let Ok(template) = load("t.pkr.hcl", text)
    {
        for (_, value) in template.locals() {
            let _ = hardtack::template::display(&value);
        }
    }
});
