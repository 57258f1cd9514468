//! The thread that writes the log.

use std::io::Write;
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Instant;

use jiff::Timestamp;

use super::level::Level;
use super::line::Line;
use super::module::Module;
use super::output::Output;
use super::queue::{QUEUE, Work};
use super::settings::{self, Settings};
use super::{limit, recent};

/// The writer gathers lines up to about this many bytes for one write.
const WRITE_SIZE: usize = 64 << 10;

/// Whether the thread runs. It starts with the first line, so after the process went to the
/// background, if it does.
static RUNS: LazyLock<bool> =
    LazyLock::new(|| thread::Builder::new().name("log".into()).spawn(run).is_ok());

/// Hands a line to the thread. Without a thread it writes the line itself.
pub(super) fn push(line: Line) {
    recent::keep(line.time, line.module, line.level, &line.text);
    if *RUNS {
        QUEUE.push(line);
    } else {
        write_out(&settings::current(), &[line], 0);
    }
}

fn run() {
    loop {
        match QUEUE.take() {
            Work::Write(lines, dropped) => {
                write_out(&settings::current(), &lines, dropped);
                QUEUE.written(&lines);
            }
            Work::Sweep => {
                let (sums, due) = limit::sweep(Some(Instant::now()));
                sums.into_iter().for_each(push);
                QUEUE.wait(due);
            }
        }
    }
}

/// Writes lines to the outputs of their modules. Adjacent lines for one output leave in one write.
fn write_out(settings: &Settings, lines: &[Line], dropped: u64) {
    let mut buffer = Vec::new();
    let mut pending = 0;
    let mut target: Option<&Arc<Output>> = None;
    for line in lines {
        let output = settings.output(line.module);
        let same =
            target.is_some_and(|target| Arc::ptr_eq(target, output)) && !output.takes_messages();
        if let Some(target) = target
            && (!same || buffer.len() >= WRITE_SIZE)
        {
            target.write(&buffer, pending);
            buffer.clear();
            pending = 0;
        }
        target = Some(output);
        format(settings, line, output, &mut buffer);
        pending += 1;
    }
    if let Some(target) = target {
        target.write(&buffer, pending);
    }
    if dropped > 0 {
        let text = format!("{dropped} lines dropped: the log is written more slowly than it grows");
        let (module, level) = (Module::Router, Level::Warning);
        let line =
            Line { time: Timestamp::now(), module, level, file: file!(), line: line!(), text };
        let output = settings.default_output();
        buffer.clear();
        format(settings, &line, output, &mut buffer);
        output.write(&buffer, 1);
    }
}

/// Appends `<timestamp> MODULE (level) text[ (file:line)]`.
fn format(settings: &Settings, line: &Line, output: &Output, buffer: &mut Vec<u8>) {
    let head = output.head(line.level);
    if let Some(head) = &head {
        buffer.extend_from_slice(head.as_bytes());
    } else if settings.timestamp(line.module) {
        settings.clock.append(buffer, line.time);
        buffer.push(b' ');
    }
    // Writing to a vector does not fail.
    let _ = write!(buffer, "{} ({}) {}", line.module, line.level, line.text);
    if settings.source(line.module) && !line.file.is_empty() {
        let _ = write!(buffer, " ({}:{})", line.file, line.line);
    }
    if head.is_none() {
        buffer.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_form_that_tools_match() {
        let (settings, mut buffer) = (Settings::default(), Vec::new());
        format(&settings, &Line::sample("it's on"), &Output::stderr(), &mut buffer);
        let text = String::from_utf8(buffer).unwrap();
        let fields: Vec<&str> = text.splitn(4, ' ').collect();
        assert_eq!(fields[3], "HTTP2_DECODER (info) it's on\n");
        assert_eq!((fields[0].len(), fields[1].len(), fields[2].len()), (10, 15, 5), "{text}");
    }
}
