//! Configuration texts: reading one never panics, and ends in a configuration or in an error with a
//! text.
#![no_main]

use skrouterd::config::{Config, Document, Format};

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let Some((choice, text)) = octets.split_first() else { return };
    let Ok(text) = core::str::from_utf8(text) else { return };
    let (name, format) =
        if choice & 1 == 0 { ("fuzz.conf", Format::Conf) } else { ("fuzz.json", Format::Json) };
    let document = Document { name: name.to_owned(), text: text.to_owned(), format };
    if let Err(error) = Config::read(&[document], 7) {
        assert!(!error.to_string().is_empty());
    }
});
