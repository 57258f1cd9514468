//! The text of one line from format arguments.

use std::fmt::{self, Write};

use crate::text::{Escaped, is_obeyed};

/// The longest text of a line in bytes, before the mark of a cut. C routers have the same bound.
pub(super) const TEXT_MAX: usize = 2048;
const CUT: &str = "...";

struct Line {
    text: String,
    cut: bool,
}

/// Formats one line of at most [`TEXT_MAX`] bytes, without a character that a terminal
/// [obeys](is_obeyed).
pub(super) fn render(arguments: fmt::Arguments<'_>) -> String {
    let mut line = Line { text: String::with_capacity(120), cut: false };
    // An error is our own stop at the limit, or a value that cannot be formatted. The line so far
    // is worth having.
    if line.write_fmt(arguments).is_err() || line.cut {
        line.text.push_str(CUT);
    }
    line.text
}

impl Line {
    fn push(&mut self, piece: &str) -> fmt::Result {
        if self.cut || self.text.len() + piece.len() > TEXT_MAX {
            self.cut = true;
            return Err(fmt::Error);
        }
        self.text.push_str(piece);
        Ok(())
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(is_obeyed) {
            let (plain, after) = rest.split_at(at);
            self.push_plain(plain)?;
            let mut characters = after.chars();
            if let Some(character) = characters.next() {
                self.push(&Escaped(character).to_string())?;
            }
            rest = characters.as_str();
        }
        self.push_plain(rest)
    }
}

impl Line {
    fn push_plain(&mut self, text: &str) -> fmt::Result {
        let room = TEXT_MAX.saturating_sub(self.text.len());
        let fits = text.floor_char_boundary(room);
        let (head, tail) = text.split_at(fits);
        self.push(head)?;
        if tail.is_empty() {
            return Ok(());
        }
        self.cut = true;
        Err(fmt::Error)
    }
}
