//! The fuzz target `policy`: policy judges the address that the core reads, in every spelling.
//!
//! An input is a line of rules with commas between them, and an address.
#![expect(clippy::expect_used, reason = "a test fails by a panic")]

use std::sync::Arc;

use serde_json::json;
use skupper_proto::address::{AddressClass, AddressSpace, RouterMode};

use super::{Policy, PolicyConfig, Rules, Vhost, Visitor};

/// Runs one input.
///
/// # Panics
/// If policy allows another address than the core reads.
pub fn policy(octets: &[u8]) {
    let Ok(text) = core::str::from_utf8(octets) else { return };
    let Some((rules, address)) = text.split_once('\n') else { return };
    let groups = json!({ "all": { "users": "*", "remoteHosts": "*", "targets": rules } });
    let Ok(vhost) = Vhost::new("v", Rules::default(), groups.as_object().expect("a map")) else {
        return;
    };
    let policy = Arc::new(Policy::new(PolicyConfig { enabled: true, ..PolicyConfig::default() }));
    policy.put(vhost).expect("the first");
    let visitor = Visitor { connection: 1, user: "u", host: [127, 0, 0, 1].into(), vhost: "v" };
    let admission = policy.admit(visitor).expect("everybody may come");
    for mode in [RouterMode::Interior, RouterMode::Edge] {
        let space = AddressSpace::new(mode, "me", None);
        let read = space.read(address);
        let allowed = admission.may_send_message(read);
        for spelling in read.spellings() {
            let again = space.read(&spelling);
            assert_eq!(again.key(), read.key(), "{spelling:?} of {address:?}");
            assert_eq!(admission.may_send_message(again), allowed, "{spelling:?} of {address:?}");
        }
        // For plain rules the target knows the verdict itself.
        let is_plain = |rule: &str| rule.bytes().all(|octet| octet.is_ascii_alphanumeric());
        let plain: Vec<_> = rules.split(',').map(str::trim).collect();
        if plain.iter().all(|rule| {
            !rule.is_empty() && is_plain(rule.strip_suffix('*').unwrap_or(rule)) && *rule != "*"
        }) {
            let key = read.key();
            let by = |rule: &&str| match rule.strip_suffix('*') {
                Some(prefix) => key.text.starts_with(prefix),
                None => key.text == *rule,
            };
            let one_reading = read.spellings().next().is_some();
            let expected = key.class == AddressClass::Mobile && one_reading && plain.iter().any(by);
            assert_eq!(allowed, expected, "{plain:?} {address:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_finds_no_difference() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/policy");
        for entry in std::fs::read_dir(folder).unwrap() {
            super::policy(&std::fs::read(entry.unwrap().path()).unwrap());
        }
    }
}
