//! Any text can be loaded as a template in JSON.
#![no_main]

use hardtack_fuzz::{harmless, load};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some(text) = harmless(data) {
        let _ = load("t.pkr.json", text);
    }
});
