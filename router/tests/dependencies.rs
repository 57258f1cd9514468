//! Checks the packages that the workspace is built and tested with on this machine: licenses, bans
//! and sources.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Licenses with no demand beyond their text. MPL-2.0 is copyleft for each file, and its files are
/// used unchanged.
const LICENSES: [&str; 11] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MPL-2.0",
    "Unicode-3.0",
    "Zlib",
];

/// Banned packages, with the reason.
const BANNED: [(&str, &str); 5] = [
    ("openssl", "TLS is rustls"),
    ("openssl-sys", "TLS is rustls, and the executable is linked statically"),
    ("native-tls", "TLS is rustls"),
    ("ring", "the cryptography of rustls is aws-lc-rs; one is enough"),
    ("chrono", "time is jiff; one is enough"),
];

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Returns `name version` and license of each package in the build of the workspace or a member.
fn packages(arguments: &[&str]) -> BTreeMap<String, String> {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--prefix", "none", "--format", "{p}\t{l}"])
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let text = String::from_utf8(tree.stdout).unwrap();
    let mut packages = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (package, license) = line.split_once('\t').unwrap();
        // `name v1.2.3 (path or kind)`, and `(*)` for a package that was listed before.
        let package: Vec<&str> = package.split(' ').take(2).collect();
        packages.insert(package.join(" "), license.trim_end_matches(" (*)").to_owned());
    }
    packages
}

/// Returns true if allowed licenses alone can meet an SPDX expression. `/` is the old form of OR.
fn allowed(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = tokens.as_slice();
    !tokens.is_empty() && either(&mut rest) && rest.is_empty()
}

fn either(tokens: &mut &[&str]) -> bool {
    let mut met = all(tokens);
    while tokens.first() == Some(&"OR") {
        *tokens = &tokens[1..];
        // Read both sides, whatever the result of the first.
        met |= all(tokens);
    }
    met
}

fn all(tokens: &mut &[&str]) -> bool {
    let mut met = one(tokens);
    while tokens.first() == Some(&"AND") {
        *tokens = &tokens[1..];
        met &= one(tokens);
    }
    met
}

fn one(tokens: &mut &[&str]) -> bool {
    match **tokens {
        ["(", ref inner @ ..] => {
            *tokens = inner;
            let met = either(tokens);
            let closed = tokens.first() == Some(&")");
            *tokens = tokens.get(1..).unwrap_or_default();
            met && closed
        }
        [license, "WITH", exception, ref after @ ..] => {
            *tokens = after;
            LICENSES.contains(&format!("{license} WITH {exception}").as_str())
        }
        [license, ref after @ ..] => {
            *tokens = after;
            LICENSES.contains(&license.trim_end_matches('+'))
        }
        [] => false,
    }
}

#[test]
fn licenses_are_allowed() {
    let built = packages(&["--workspace", "--edges", "normal,build,dev"]);
    assert!(built.len() > 50, "{built:?}");
    let refused: Vec<_> = built.iter().filter(|(_, license)| !allowed(license)).collect();
    assert!(refused.is_empty(), "add a license to LICENSES only after reading it: {refused:?}");
}

#[test]
fn banned_packages_are_not_built_in() {
    let built = packages(&["--workspace", "--edges", "normal,build,dev"]);
    for (banned, reason) in BANNED {
        let found: Vec<_> =
            built.keys().filter(|package| package.split(' ').next() == Some(banned)).collect();
        assert!(
            found.is_empty(),
            "{found:?}: {reason}; `cargo tree --invert {banned}` says who wants it"
        );
    }
}

#[test]
fn the_protocol_crate_needs_no_runtime() {
    let built = packages(&["--package", "skupper-proto", "--edges", "normal,build"]);
    for package in built.keys() {
        let name = package.split(' ').next().unwrap_or_default();
        assert!(
            !["tokio", "mio", "socket2", "rustix", "libc", "rustls"].contains(&name),
            "skupper-proto depends on {package}"
        );
    }
}

/// Checks every package in the lock file, those for other machines included.
#[test]
fn sources_are_the_registry_alone() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let mut members = Vec::new();
    for package in lock.split("[[package]]").skip(1) {
        let field = |name: &str| {
            let line =
                package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
            line.map(|value| value.trim_matches('"').to_owned())
        };
        let name = field("name").unwrap();
        match field("source") {
            None => members.push(name),
            Some(source) => {
                assert_eq!(source, REGISTRY, "{name}");
                assert!(field("checksum").is_some(), "{name} has no checksum");
            }
        }
    }
    assert_eq!(members, ["instructions", "skbench", "skrouterd", "skupper-proto"]);
}

#[test]
fn expressions_are_read_as_spdx_does() {
    for good in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-3.0 OR MIT",
        "(GPL-3.0 OR MIT) AND ISC",
        "MPL-2.0+",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(allowed(good), "{good}");
    }
    for bad in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "MIT AND (GPL-3.0 OR AGPL-3.0)",
        "MIT WITH odd-exception",
        "(MIT",
        "MIT ISC",
        "MIT)",
    ] {
        assert!(!allowed(bad), "{bad}");
    }
    assert!(allowed("GPL-3.0 AND ISC OR MIT"), "AND binds tighter");
}
