//! The log: modules, levels, and lines in the form that tools match.

use std::fmt;

/// Which part of the router speaks. The names are those of the management schema's `log` entity.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Module {
    Router,
    RouterCore,
    RouterHello,
    RouterLs,
    RouterMa,
    Message,
    Server,
    Agent,
    Container,
    Error,
    Policy,
    Http,
    ConnMgr,
    Python,
    Protocol,
    TcpAdaptor,
    HttpAdaptor,
    FlowLog,
    AddressWatch,
    Http1Observer,
    Http2Observer,
    Http2Decoder,
}

/// How grave an event is.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    Debug,
    Info,
    Warning,
    Error,
    Critical,
}

/// Whether a line of `level` from `module` would be written.
pub fn enabled(_module: Module, level: Level) -> bool {
    level >= Level::Info
}

/// Writes one line. Call it through [`log!`](crate::log!), which formats only what is enabled.
pub fn write(module: Module, level: Level, text: fmt::Arguments<'_>) {
    eprintln!("{module:?} ({level:?}) {text}");
}

/// Logs a line: `log!(Server, Info, "listening on {address}")`.
#[macro_export]
macro_rules! log {
    ($module:ident, $level:ident, $($text:tt)+) => {{
        let (module, level) = ($crate::log::Module::$module, $crate::log::Level::$level);
        if $crate::log::enabled(module, level) {
            $crate::log::write(module, level, format_args!($($text)+));
        }
    }};
}
