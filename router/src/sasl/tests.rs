//! Tests of password files, and of databases of Cyrus SASL.

use std::path::Path;

use proptest::prelude::*;

use super::{Passwords, SaslError, database, file, line};

#[test]
fn a_password_file_knows_its_users() {
    let text = format!(
        "# users\n\n{}\n{}\n",
        line("alice", "wonder:land").unwrap(),
        line("bob@here", "b").unwrap()
    );
    assert!(!text.contains("wonder"), "{text}");
    file::check(&text).unwrap();
    for (user, password, right) in [
        ("alice", "wonder:land", true),
        ("bob@here", "b", true),
        ("alice", "b", false),
        ("alice", "", false),
        ("carol", "nobody", false),
        ("# users", "", false),
    ] {
        assert_eq!(file::verify(file::find(&text, user).unwrap(), password), right, "{user}");
    }
}

#[test]
fn mistakes_of_a_password_file_are_told_by_line() {
    for wrong in
        ["alice", "alice:clear text", "alice:$argon2id$x", ":$scrypt$ln=1", "alice:$scrypt$ln=1"]
    {
        assert_eq!(file::check(&format!("# one\n{wrong}\n")), Err(2), "{wrong}");
    }
    assert!(matches!(line("a:b", "x"), Err(SaslError::Name)));
    assert!(matches!(line("#a", "x"), Err(SaslError::Name)));
    assert!(matches!(line("a", ""), Err(SaslError::Password)));
}

#[test]
fn settings_of_cyrus_are_read() {
    let of =
        |text: &str| Passwords::of(text, Path::new("x.conf")).map_err(|error| error.to_string());
    let database = of("pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: \
                       /a/b.sasldb\nmech_list: PLAIN\n")
    .unwrap();
    assert_eq!(database, of("sasldb_path: /a/b.sasldb").unwrap());
    assert_ne!(database, of("password_file: /a/b.sasldb").unwrap());
    assert!(of("#password_file: /a").unwrap_err().contains("names neither"));
    assert!(
        of("pwcheck_method: saslauthd\nsasldb_path: /x")
            .unwrap_err()
            .contains("pwcheck_method saslauthd is not supported")
    );
    assert!(of("auxprop_plugin: sql\nsasldb_path: /x").unwrap_err().contains("auxprop_plugin sql"));
}

/// Returns a file in the layout of the database's own library.
fn database_file(entries: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut meta = vec![0; 512];
    meta[12..16].copy_from_slice(&0x0006_1561_u32.to_ne_bytes());
    meta[20..24].copy_from_slice(&512_u32.to_ne_bytes());
    let mut page = vec![0; 512];
    let items: Vec<_> = entries.iter().flat_map(|(key, data)| [*key, *data]).collect();
    page[20..22].copy_from_slice(&u16::try_from(items.len()).unwrap().to_ne_bytes());
    page[25] = 13;
    let mut end = page.len();
    for (index, item) in items.iter().enumerate() {
        let start = end - item.len() - 1;
        page[start] = 1;
        page[start + 1..end].copy_from_slice(item);
        page[26 + 2 * index..28 + 2 * index]
            .copy_from_slice(&u16::try_from(start).unwrap().to_ne_bytes());
        end = start;
    }
    meta.extend(page);
    meta
}

#[test]
fn a_database_knows_its_users() {
    let file = database_file(&[
        (b"a\0here\0userPassword", b"one"),
        (b"test\0domain.com\0userPassword", b"password"),
    ]);
    assert_eq!(
        database::find(&file, b"test\0domain.com\0userPassword"),
        Some(Some(&b"password"[..]))
    );
    assert_eq!(database::find(&file, b"test\0domain.com\0cmusaslsecretOTP"), Some(None));
    assert_eq!(database::find(b"alice:$scrypt$", b"x"), None);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    std::fs::write(&path, &file).unwrap();
    let passwords =
        Passwords::of(&format!("sasldb_path: {}", path.display()), Path::new("x.conf")).unwrap();
    passwords.check().unwrap();
    assert!(passwords.verify("test@domain.com", "password", "here").unwrap());
    assert!(!passwords.verify("test@domain.com", "passwore", "here").unwrap());
    assert!(!passwords.verify("test", "password", "here").unwrap());
    assert!(passwords.verify("a", "one", "here").unwrap());
    std::fs::write(&path, "text").unwrap();
    assert!(passwords.check().unwrap_err().to_string().contains("is no Berkeley DB hash file"));
    std::fs::remove_file(&path).unwrap();
    assert!(
        passwords.verify("a", "one", "here").unwrap_err().to_string().contains("cannot be read")
    );
}

proptest! {
    #[test]
    fn no_file_makes_the_reader_fail(mut octets in proptest::collection::vec(any::<u8>(),
        512..2048), key: Vec<u8>) {
        octets[12..16].copy_from_slice(&0x0006_1561_u32.to_ne_bytes());
        octets[20..24].copy_from_slice(&512_u32.to_ne_bytes());
        if let Some(kind) = octets.get_mut(512 + 25) {
            *kind = 13;
        }
        let _ = database::find(&octets, &key);
    }
}
