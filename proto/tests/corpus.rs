//! Replays the fuzz corpora, so that a fault that a fuzzer found once stays found. The engine's own
//! tests replay the corpus of `engine_pair`, for its model belongs to them.

#[allow(clippy::allow_attributes, dead_code, unreachable_pub)]
#[path = "../fuzz/src/lib.rs"]
mod targets;

use std::path::Path;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut inputs = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        // Shown when the test fails.
        println!("{}", path.display());
        run(&std::fs::read(&path).unwrap());
        inputs += 1;
    }
    assert!(inputs > 0, "nothing in {}", folder.display());
}

#[test]
fn codec() {
    replay("codec", targets::codec);
}

#[test]
fn frames() {
    replay("frames", targets::frames);
}

#[test]
fn engine_client() {
    replay("engine_client", targets::engine_client);
}

#[test]
fn engine_server() {
    replay("engine_server", targets::engine_server);
}

#[test]
fn annotations() {
    replay("annotations", targets::annotations);
}

#[test]
fn management() {
    replay("management", targets::management);
}

#[test]
fn routing_messages() {
    replay("routing_messages", targets::routing_messages);
}

#[test]
fn streams() {
    replay("streams", targets::streams);
}
