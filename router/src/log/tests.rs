use std::fs;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::time::Clock;
use super::*;

#[test]
fn enable_is_read_by_prefix() {
    let parse = |text: &str| {
        let levels = Levels::parse(text).unwrap();
        Level::ALL
            .into_iter()
            .filter(|level| levels.contains(*level))
            .map(Level::name)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(parse(""), "");
    assert_eq!(parse("none"), "");
    assert_eq!(parse("info+"), "info warning error critical");
    assert_eq!(parse("trace"), "debug");
    assert_eq!(parse("trace+"), "debug info warning error critical");
    assert_eq!(parse("E"), "error");
    assert_eq!(parse("d;Warn, CRITICAL"), "debug warning critical");
    assert_eq!(parse("i:w+"), "info warning error critical");
    for bad in ["notice", "+", "errors", "info++", "infó"] {
        let error = Levels::parse(bad).unwrap_err().to_string();
        let expected = format!(
            "'{bad}' is not a valid log level. Should be one of {{none, debug, info, warning, \
             error, critical}}."
        );
        assert_eq!(error, expected);
    }
}

#[test]
fn modules_have_the_names_of_the_schema() {
    assert_eq!(Scope::from_name("DEFAULT"), Some(Scope::Default));
    assert_eq!(Scope::from_name("TCP_ADAPTOR"), Some(Scope::Module(Module::TcpAdaptor)));
    assert_eq!(Scope::from_name("tcp_adaptor"), None);
    for module in Module::ALL {
        assert_eq!(Scope::from_name(module.name()), Some(Scope::Module(module)));
    }
}

#[test]
fn a_peer_cannot_forge_a_line() {
    let evil = "x\r\n2026-01-01 SERVER (info) forged\x1b[2J\u{9b}\u{202e}\u{2028}\0é";
    let text = text::render(format_args!("<{evil}>"));
    assert_eq!(
        text,
        "<x\\r\\n2026-01-01 SERVER (info) forged\\x1b[2J\\u{9b}\\u{202e}\\u{2028}\\x00é>"
    );
}

#[test]
fn a_long_text_is_cut_between_characters() {
    let text = text::render(format_args!("{}{}", "a".repeat(text::TEXT_MAX - 1), "é and more"));
    assert_eq!(text.len(), text::TEXT_MAX - 1 + 3);
    assert!(text.ends_with("aaa..."));
    let exact = "b".repeat(text::TEXT_MAX);
    assert_eq!(text::render(format_args!("{exact}")), exact);
    let escapes = text::render(format_args!("{}", "\0".repeat(1 << 20)));
    assert!(escapes.len() <= text::TEXT_MAX + 3, "escapes count as they are written");
}

#[test]
fn timestamps_follow_the_pattern() {
    let time = Timestamp::new(86_400, 42_000).unwrap();
    let with = |format| {
        let mut line = Vec::new();
        Clock::new(format, true).append(&mut line, time);
        String::from_utf8(line).unwrap()
    };
    assert_eq!(with(None), "1970-01-02 00:00:00.000042 +0000");
    assert_eq!(with(Some("%H:%M")), "00:00");
    assert_eq!(with(Some("%%06lu us after %S %%")), "000042 us after 00 %");
    assert_eq!(with(Some("%%lu")), "42");
    assert_eq!(with(Some("%%-%%%S")), "%-%00");
    assert_eq!(with(Some("")), "");
    for odd in ["%", "%%", "%%06", "%%06l", "%é", "%%é", "100%Q"] {
        with(Some(odd));
    }
}

#[test]
fn lines_go_where_their_module_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    let output = Some(path.to_str().unwrap().to_owned());
    let options = Options {
        levels: Some(Levels::from(Level::Warning)),
        source: Some(true),
        timestamp: Some(false),
        output: output.clone(),
    };
    configure(Scope::Module(Module::Http1Observer), &options).unwrap();
    let before = stats(Module::Http1Observer);
    let mut formatted = 0;
    let mut costly = || formatted += 1;
    log!(Http1Observer, Info, "not written {:?}", costly());
    log!(Http1Observer, Error, "first\nline {:?}", costly());
    let place = line!() - 1;
    assert_eq!(formatted, 1, "a line that is not written is not formatted");
    assert!(flush());
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        format!("HTTP1_OBSERVER (error) first\\nline () ({}:{place})\n", file!())
    );
    let after = stats(Module::Http1Observer);
    assert_eq!(
        (after.info, after.error, after.debug),
        (before.info + 1, before.error + 1, before.debug)
    );

    // Another module on the same file; then the file is moved away.
    let quiet =
        Options { source: Some(false), timestamp: Some(false), output, ..Options::default() };
    configure(Scope::Module(Module::Http2Observer), &quiet).unwrap();
    log!(Http2Observer, Info, "second");
    assert!(flush());
    let moved = folder.path().join("b.log");
    fs::rename(&path, &moved).unwrap();
    log!(Http2Observer, Info, "third");
    // Other tests' files may be gone by now; ours is not.
    if let Err(LogError::Open { name, .. }) = reopen() {
        assert_ne!(name, path.to_str().unwrap());
    }
    log!(Http2Observer, Info, "fourth");
    assert!(flush());
    assert_eq!(fs::read_to_string(&moved).unwrap().lines().count(), 3);
    assert_eq!(fs::read_to_string(&path).unwrap(), "HTTP2_OBSERVER (info) fourth\n");
}

#[test]
fn an_output_that_cannot_be_opened_changes_nothing() {
    let options = Options {
        levels: Some(Levels::NONE),
        output: Some("/nowhere/at/all.log".into()),
        ..Options::default()
    };
    let error = configure(Scope::Module(Module::AddressWatch), &options).unwrap_err().to_string();
    assert!(
        error.starts_with("Failed to open log file '/nowhere/at/all.log': No such file"),
        "{error}"
    );
    assert!(enabled(Module::AddressWatch, Level::Error));
}

#[test]
fn repeats_are_limited_for_each_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    let options = Options {
        timestamp: Some(false),
        output: Some(path.to_str().unwrap().to_owned()),
        ..Options::default()
    };
    configure(Scope::Module(Module::HttpAdaptor), &options).unwrap();
    for n in 0..100 {
        let peer = n % 2;
        log_limited!(peer, HttpAdaptor, Warning, "peer {peer} again");
    }
    assert!(flush());
    let written = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = written.lines().collect();
    assert_eq!(
        lines[..2],
        ["HTTP_ADAPTOR (warning) peer 0 again", "HTTP_ADAPTOR (warning) peer 1 again"]
    );
    // One sum each, or more where the machine took longer than an interval for these lines.
    let repeats = |line: &str, peer: u32| -> u32 {
        let count =
            line.strip_prefix(&format!("HTTP_ADAPTOR (warning) peer {peer} again (repeated "));
        count.and_then(|count| count.split_once(" times in ")?.0.parse().ok()).unwrap_or(0)
    };
    for peer in [0, 1] {
        assert_eq!(lines[2..].iter().map(|line| repeats(line, peer)).sum::<u32>(), 49, "{written}");
    }
}

/// The writer sums up by itself, without another line to wake it.
#[test]
fn a_sum_is_written_when_its_interval_ends() {
    static LIMITER: Limiter = Limiter::every(Duration::from_millis(20));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    let options = Options {
        timestamp: Some(false),
        output: Some(path.to_str().unwrap().to_owned()),
        ..Options::default()
    };
    configure(Scope::Module(Module::Http2Decoder), &options).unwrap();
    for _ in 0..3 {
        let text = format_args!("again");
        write_limited(&LIMITER, "key", Module::Http2Decoder, Level::Info, "", 0, text);
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while !fs::read_to_string(&path).unwrap().contains("again (repeated 2 times in 1 s)") {
        assert!(Instant::now() < deadline, "{}", fs::read_to_string(&path).unwrap());
        std::thread::yield_now();
    }
}
