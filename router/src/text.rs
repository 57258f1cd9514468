//! Escapes text from outside for a terminal and a log.
//!
//! Escaped text of a peer cannot drive a terminal, forge a line, or appear in another order than it
//! has.

use std::borrow::Cow;
use std::fmt::{self, Formatter, Write};

/// Returns true if a terminal obeys the character, hides it, or shows something else for it.
///
/// These are control characters, ends of lines and paragraphs, and Unicode's format characters
/// (category Cf), some of which reorder the text.
pub fn is_obeyed(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
            | '\u{890}' | '\u{891}' | '\u{8e2}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0001}' | '\u{e0020}'..='\u{e007f}')
}

/// A character that a terminal would obey. Its [`Display`](fmt::Display) form is the escape.
#[derive(Clone, Copy, Debug)]
pub struct Escaped(pub char);

impl fmt::Display for Escaped {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            '\n' => f.write_str("\\n"),
            '\r' => f.write_str("\\r"),
            '\t' => f.write_str("\\t"),
            other if other.is_ascii() => write!(f, "\\x{:02x}", u32::from(other)),
            other => write!(f, "\\u{{{:x}}}", u32::from(other)),
        }
    }
}

/// Returns the text on one line, with every obeyed character escaped.
pub fn line(text: &str) -> Cow<'_, str> {
    escape(text, is_obeyed)
}

/// Returns the text with its line ends, and with every other obeyed character escaped.
pub fn lines(text: &str) -> Cow<'_, str> {
    escape(text, |character| character != '\n' && is_obeyed(character))
}

fn escape(text: &str, obeyed: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&obeyed) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match obeyed(character) {
            // Writing to a string does not fail.
            true => _ = write!(escaped, "{}", Escaped(character)),
            false => escaped.push(character),
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_obeyed_is_escaped() {
        let hostile = "a\u{1b}[2J\r\nb\u{7f}\u{9b}\u{85}\u{2028}\u{202e}\u{2066}\u{200f}\u{feff}\
                       \u{e0041}\0é猫👍";
        let cleaned = "a\\x1b[2J\\r\\nb\\x7f\\u{9b}\\u{85}\\u{2028}\\u{202e}\\u{2066}\\u{200f}\\u\
                       {feff}\\u{e0041}\\x00é猫👍";
        assert_eq!(line(hostile), cleaned);
        assert_eq!(lines("a\nb\r\n\tc"), "a\nb\\r\n\\tc");
        assert!(matches!(line("plain ü"), Cow::Borrowed("plain ü")));
    }

    proptest! {
        #[test]
        fn nothing_that_is_obeyed_is_left(text in any::<String>()) {
            prop_assert!(!line(&text).contains(is_obeyed));
            let obeyed = |character| character != '\n' && is_obeyed(character);
            prop_assert!(!lines(&text).contains(obeyed));
            prop_assert_eq!(lines(&text).lines().count(),
                text.lines().count().max(lines(&text).lines().count()));
        }
    }
}
