use super::super::ciphers::{describe, parse_ciphers, parse_protocols};

const ALL: &str = "TLS_AES_256_GCM_SHA384 TLS_AES_128_GCM_SHA256 TLS_CHACHA20_POLY1305_SHA256 \
                   ECDHE-ECDSA-AES256-GCM-SHA384 \
                   ECDHE-ECDSA-AES128-GCM-SHA256 ECDHE-ECDSA-CHACHA20-POLY1305 \
                   ECDHE-RSA-AES256-GCM-SHA384 \
                   ECDHE-RSA-AES128-GCM-SHA256 ECDHE-RSA-CHACHA20-POLY1305";
const ALL_13: &str = "TLS_AES_256_GCM_SHA384 TLS_AES_128_GCM_SHA256 TLS_CHACHA20_POLY1305_SHA256";

fn names(list: &str) -> Result<String, String> {
    let names: Vec<&str> =
        parse_ciphers(list)?.into_iter().map(|suite| describe(suite.suite()).0).collect();
    Ok(names.join(" "))
}

#[test]
fn lists_select_as_openssl_does() {
    let with_13 = |list: &str| format!("{ALL_13} {list}");
    for (list, expected) in [
        ("ALL", ALL.to_owned()),
        ("DEFAULT", ALL.to_owned()),
        ("HIGH:!aNULL:!MD5", ALL.to_owned()),
        ("ALL:!aNULL:!EXPORT56:RC4+RSA:+HIGH:+MEDIUM:+LOW:+SSLv2:+EXP", ALL.to_owned()),
        ("DEFAULT@STRENGTH", String::new()),
        (
            "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305",
            with_13("ECDHE-RSA-AES256-GCM-SHA384 ECDHE-ECDSA-CHACHA20-POLY1305"),
        ),
        ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", with_13("ECDHE-RSA-AES256-GCM-SHA384")),
        ("TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384".to_owned()),
        (
            "TLS_CHACHA20_POLY1305_SHA256 ECDHE-RSA-AES128-GCM-SHA256,AES128-SHA",
            "TLS_CHACHA20_POLY1305_SHA256 ECDHE-RSA-AES128-GCM-SHA256".to_owned(),
        ),
        ("ECDHE+AESGCM+aRSA", with_13("ECDHE-RSA-AES256-GCM-SHA384 ECDHE-RSA-AES128-GCM-SHA256")),
        (
            "aRSA:+AES256",
            with_13(
                "ECDHE-RSA-AES128-GCM-SHA256 ECDHE-RSA-CHACHA20-POLY1305 \
                 ECDHE-RSA-AES256-GCM-SHA384",
            ),
        ),
        (
            "aRSA:-AES:ECDHE-RSA-AES128-GCM-SHA256",
            with_13(
                "ECDHE-RSA-CHACHA20-POLY1305 \
                 ECDHE-RSA-AES128-GCM-SHA256",
            ),
        ),
        (
            "ECDSA:!AES128:ALL",
            "TLS_AES_256_GCM_SHA384 TLS_CHACHA20_POLY1305_SHA256 ECDHE-ECDSA-AES256-GCM-SHA384 \
             ECDHE-ECDSA-CHACHA20-POLY1305 \
             ECDHE-RSA-AES256-GCM-SHA384 ECDHE-RSA-CHACHA20-POLY1305"
                .to_owned(),
        ),
        (
            "aRSA:@STRENGTH:@SECLEVEL=2",
            with_13(
                "ECDHE-RSA-AES256-GCM-SHA384 ECDHE-RSA-CHACHA20-POLY1305 \
                 ECDHE-RSA-AES128-GCM-SHA256",
            ),
        ),
        ("SUITEB192", with_13("ECDHE-ECDSA-AES256-GCM-SHA384")),
    ] {
        if list == "DEFAULT@STRENGTH" {
            assert!(names(list).is_err(), "a command stands behind a separator");
        } else {
            assert_eq!(names(list).as_deref(), Ok(expected.as_str()), "{list}");
        }
    }
}

#[test]
fn a_list_that_leaves_nothing_is_an_error() {
    for list in [
        "RC4",
        "aNULL",
        "AES128-SHA",
        "HIGH:!ALL",
        "!AES",
        "MEDIUM:LOW",
        "aRSA:!aRSA",
        "AES256-SHA:!HIGH",
        ":",
        "PSK+AES",
    ] {
        let error = names(list).unwrap_err();
        assert!(
            error.contains("leaves no cipher suite") && error.contains("TLS_AES_256_GCM_SHA384"),
            "{list}: {error}"
        );
    }
    let error = names("HIGH:!CHACH20").unwrap_err();
    assert!(error.starts_with("'CHACH20' is no cipher suite and no keyword"), "{error}");
    assert!(names("HIGH:@SECLEVEL=3").unwrap_err().contains("@SECLEVEL=3"));
}

#[test]
fn protocols_are_the_two_that_hold() {
    let versions = |list: &str| {
        parse_protocols(list).map(|versions| versions.iter().map(|v| v.version).collect::<Vec<_>>())
    };
    use rustls::ProtocolVersion::{TLSv1_2, TLSv1_3};
    assert_eq!(versions("TLSv1.2"), Ok(vec![TLSv1_2]));
    assert_eq!(versions("TLSv1.2 TLSv1.3"), Ok(vec![TLSv1_2, TLSv1_3]));
    assert_eq!(versions("TLSv1.3,TLSv1.3"), Ok(vec![TLSv1_3]));
    for old in ["TLSv1", "TLSv1.1 TLSv1", "SSLv3"] {
        let error = versions(old).unwrap_err();
        assert!(error.contains("not supported (RFC 8996)"), "{error}");
    }
    assert!(versions("tls1.2").unwrap_err().contains("'tls1.2' is no protocol version"));
    assert!(versions(" ").is_err());
}
