//! Reads a command line by a table of options.
//!
//! The user may shorten a long option as long as it is unique. A value may stand in the same word
//! or in the next. Words and options may be mixed. The C router's tools accept all this, and
//! scripts use it.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;

use lexopt::{Arg, Parser};
use thiserror::Error;

#[derive(Debug, PartialEq, Eq)]
pub(in crate::bin) struct Opt {
    pub(in crate::bin) short: Option<char>,
    pub(in crate::bin) long: &'static str,
    /// Name of its value in the help; `None` for an option without a value.
    pub(in crate::bin) value: Option<&'static str>,
    pub(in crate::bin) help: &'static str,
    /// Options of one group exclude each other, except in group 0.
    pub(in crate::bin) group: u8,
}

impl Opt {
    pub(in crate::bin) const fn flag(long: &'static str, help: &'static str) -> Self {
        Self { short: None, long, value: None, help, group: 0 }
    }

    pub(in crate::bin) const fn value(
        long: &'static str,
        value: &'static str,
        help: &'static str,
    ) -> Self {
        Self { short: None, long, value: Some(value), help, group: 0 }
    }

    pub(in crate::bin) const fn short(self, short: char) -> Self {
        Self { short: Some(short), ..self }
    }

    pub(in crate::bin) const fn group(self, group: u8) -> Self {
        Self { group, ..self }
    }

    /// Returns the option's name in errors.
    fn name(&self) -> String {
        self.short
            .map_or_else(|| format!("--{}", self.long), |short| format!("-{short}/--{}", self.long))
    }
}

/// A chapter of the help, with its options.
#[derive(Debug)]
pub(in crate::bin) struct Chapter {
    pub(in crate::bin) title: &'static str,
    pub(in crate::bin) options: &'static [Opt],
}

/// A command: its name, synopsis, description and options.
#[derive(Debug)]
pub(in crate::bin) struct Command {
    pub(in crate::bin) name: &'static str,
    pub(in crate::bin) synopsis: &'static str,
    pub(in crate::bin) about: &'static str,
    pub(in crate::bin) chapters: &'static [Chapter],
}

/// The fault of a command line.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("usage: {synopsis}\n{name}: error: {problem}")]
pub(in crate::bin) struct UsageError {
    name: &'static str,
    synopsis: &'static str,
    problem: String,
}

/// A part of a command line.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::bin) enum Part {
    /// An option and its value; empty for an option without one.
    Option(&'static Opt, String),
    /// A word that is no option.
    Word(String),
}

/// The options of every command.
const HELP: &Opt = &Opt::flag("help", "Print this help.").short('h');
const VERSION: &Opt = &Opt::flag("version", "Print the version.");

/// The meaning of a command line.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::bin) enum Wish {
    /// Print this text and end.
    Print(String),
    /// Run with these parts.
    Parts(Vec<Part>),
}

impl Command {
    /// Returns an error in the command line.
    pub(in crate::bin) fn error(&self, problem: impl Into<String>) -> UsageError {
        UsageError { name: self.name, synopsis: self.synopsis, problem: problem.into() }
    }

    /// Reads the value of an option as a number or another type. `kind` names the type in the
    /// error.
    ///
    /// # Errors
    /// The text does not parse.
    pub(in crate::bin) fn number<T: std::str::FromStr>(
        &self,
        option: &Opt,
        kind: &str,
        text: &str,
    ) -> Result<T, UsageError> {
        text.trim().parse().map_err(|_| {
            self.error(format!("argument {}: invalid {kind} value: '{text}'", option.name()))
        })
    }

    fn options(&self) -> impl Iterator<Item = &'static Opt> {
        [HELP, VERSION].into_iter().chain(self.chapters.iter().flat_map(|chapter| chapter.options))
    }

    /// Reads the arguments after the command's name.
    ///
    /// # Errors
    /// The command line does not fit the table.
    pub(in crate::bin) fn read(
        &self,
        args: impl IntoIterator<Item = OsString>,
    ) -> Result<Wish, UsageError> {
        let mut parser = Parser::from_args(args);
        let mut parts = Vec::new();
        let mut groups: Vec<&'static Opt> = Vec::new();
        loop {
            let (written, option) =
                match parser.next().map_err(|error| self.error(error.to_string()))? {
                    None => return Ok(Wish::Parts(parts)),
                    Some(Arg::Value(word)) => {
                        parts.push(Part::Word(self.text(word)?));
                        continue;
                    }
                    Some(Arg::Short(letter)) => (
                        format!("-{letter}"),
                        self.options().find(|option| option.short == Some(letter)),
                    ),
                    Some(Arg::Long(name)) => (format!("--{name}"), self.long(name)?),
                };
            let option =
                option.ok_or_else(|| self.error(format!("unrecognized arguments: {written}")))?;
            if option == HELP {
                return Ok(Wish::Print(self.help()));
            }
            if option == VERSION {
                return Ok(Wish::Print(format!("{}\n", env!("CARGO_PKG_VERSION"))));
            }
            if option.group > 0 {
                if let Some(other) =
                    groups.iter().find(|other| other.group == option.group && **other != option)
                {
                    return Err(self.error(format!(
                        "argument {}: not allowed with argument {}",
                        option.name(),
                        other.name()
                    )));
                }
                groups.push(option);
            }
            let value = match option.value {
                Some(_) => self.value(&mut parser, option)?,
                None => String::new(),
            };
            parts.push(Part::Option(option, value));
        }
    }

    /// Returns the option of this name, or the only one whose name begins with it.
    ///
    /// # Errors
    /// Several options begin with it.
    fn long(&self, name: &str) -> Result<Option<&'static Opt>, UsageError> {
        if let Some(exact) = self.options().find(|option| option.long == name) {
            return Ok(Some(exact));
        }
        let mut begin: Vec<_> =
            self.options().filter(|option| option.long.starts_with(name)).collect();
        match begin.len() {
            0 | 1 => Ok(begin.pop()),
            _ => {
                let names: Vec<_> =
                    begin.iter().map(|option| format!("--{}", option.long)).collect();
                Err(self
                    .error(format!("ambiguous option: --{name} could match {}", names.join(", "))))
            }
        }
    }

    fn value(&self, parser: &mut Parser, option: &Opt) -> Result<String, UsageError> {
        let value = parser.optional_value().or_else(|| {
            let mut rest = parser.raw_args().ok()?;
            rest.next_if(|word| !is_option(word))
        });
        let missing = || self.error(format!("argument {}: expected one argument", option.name()));
        self.text(value.ok_or_else(missing)?)
    }

    fn text(&self, word: OsString) -> Result<String, UsageError> {
        word.into_string().map_err(|word| {
            self.error(format!("argument is not UTF-8: {}", word.to_string_lossy()))
        })
    }

    fn help(&self) -> String {
        let mut text = format!("usage: {}\n\n{}\n", self.synopsis, self.about);
        let general = Chapter { title: "general", options: &[] };
        for chapter in std::iter::once(&general).chain(self.chapters) {
            let _ = writeln!(text, "\n{}:", chapter.title);
            let extra: &[&Opt] = if chapter.options.is_empty() { &[HELP, VERSION] } else { &[] };
            for option in extra.iter().copied().chain(chapter.options) {
                let short =
                    option.short.map_or_else(|| "    ".to_owned(), |short| format!("-{short}, "));
                let value = option.value.map(|value| format!(" {value}")).unwrap_or_default();
                let _ = writeln!(
                    text,
                    "  {:<38} {}",
                    format!("{short}--{}{value}", option.long),
                    option.help
                );
            }
        }
        text
    }
}

/// Returns true if a word is an option. Otherwise it may be the value of the word before. A
/// negative number is a value.
fn is_option(word: &OsStr) -> bool {
    let Some(rest) = word.to_str().and_then(|word| word.strip_prefix('-')) else { return false };
    !rest.is_empty() && !rest.contains(' ') && rest.parse::<f64>().is_err()
}
