use std::os::unix::fs::PermissionsExt;

use super::*;

fn load(
    folder: &Folder,
    cert: &str,
    key: &str,
    password: Option<&str>,
) -> Result<Profile, ProfileError> {
    Profile::load(ProfileConfig {
        name: "p".to_owned(),
        cert_file: Some(folder.path(cert)),
        private_key_file: Some(folder.path(key)),
        password: password.map(str::to_owned),
        ..ProfileConfig::default()
    })
}

#[test]
fn every_form_of_key_is_read() {
    let folder = Folder::new();
    let run = |arguments: &str| openssl(folder.0.path(), arguments);
    if run("version").is_none() {
        return;
    }
    run("genrsa -traditional -out rsa.pem 2048").unwrap();
    run("ecparam -name prime256v1 -genkey -out ec.pem").unwrap();
    run("genpkey -algorithm ed25519 -out ed.pem").unwrap();
    for name in ["rsa", "ec", "ed"] {
        run(&format!("req -x509 -key {name}.pem -subj /CN=north -days 2 -out {name}.crt")).unwrap();
        run(&format!("pkcs8 -topk8 -nocrypt -in {name}.pem -out {name}-pkcs8.pem")).unwrap();
        run(&format!("pkcs8 -topk8 -in {name}.pem -passout pass:secret -out {name}-default.pem"))
            .unwrap();
        load(&folder, &format!("{name}.crt"), &format!("{name}.pem"), None).unwrap();
        load(&folder, &format!("{name}.crt"), &format!("{name}-pkcs8.pem"), None).unwrap();
        load(&folder, &format!("{name}.crt"), &format!("{name}-default.pem"), Some("secret"))
            .unwrap();
    }
    let first = |name: &str| std::fs::read_to_string(folder.path(name)).unwrap();
    assert!(first("rsa.pem").starts_with("-----BEGIN RSA PRIVATE KEY"), "PKCS#1");
    assert!(first("ec.pem").contains("-----BEGIN EC PRIVATE KEY"), "SEC1, behind its parameters");

    for (index, form) in [
        "rsa -traditional -aes128",
        "rsa -traditional -aes192",
        "rsa -traditional -aes256",
        "rsa -traditional -des3",
        "pkcs8 -topk8 -v2 aes-128-cbc",
        "pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA1",
        "pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA512",
        "pkcs8 -topk8 -v2 des3",
        "pkcs8 -topk8 -scrypt",
    ]
    .into_iter()
    .enumerate()
    {
        let file = format!("encrypted-{index}.pem");
        run(&format!("{form} -in rsa.pem -passout pass:secret -out {file}")).unwrap();
        load(&folder, "rsa.crt", &file, Some("secret"))
            .unwrap_or_else(|error| panic!("{form}: {error}"));
        let error = load(&folder, "rsa.crt", &file, Some("Secret")).unwrap_err();
        assert_eq!(error.problem, ProfileProblem::WrongPassword, "{form}");
        assert!(!error.to_string().contains("ecret"), "{error}");
        assert_eq!(
            load(&folder, "rsa.crt", &file, None).unwrap_err().problem,
            ProfileProblem::NoPassword,
            "{form}"
        );
    }
    run("ec -aes256 -in ec.pem -passout pass:secret -out ec-encrypted.pem").unwrap();
    load(&folder, "ec.crt", "ec-encrypted.pem", Some("secret")).unwrap();
    run("genrsa -traditional -aes256 -passout pass:secret -out direct.pem 2048").unwrap();
    run("req -x509 -key direct.pem -passin pass:secret -subj /CN=north -days 2 -out direct.crt")
        .unwrap();
    load(&folder, "direct.crt", "direct.pem", Some("secret")).unwrap();

    run("pkcs8 -topk8 -v1 PBE-SHA1-3DES -in rsa.pem -passout pass:secret -out outdated.pem")
        .unwrap();
    let error = load(&folder, "rsa.crt", "outdated.pem", Some("secret")).unwrap_err();
    assert!(
        error.to_string().ends_with("convert it with: openssl pkcs8 -topk8 -v2 aes-256-cbc"),
        "{error}"
    );
    run("rsa -traditional -camellia256 -in rsa.pem -passout pass:secret -out camellia.pem")
        .unwrap();
    let error = load(&folder, "rsa.crt", "camellia.pem", Some("secret")).unwrap_err();
    assert!(error.to_string().contains("(CAMELLIA-256-CBC)"), "{error}");

    // A certificate of X.509 version 1, as plain `x509 -req` makes it.
    run("req -new -key rsa.pem -subj /CN=north -out north.csr").unwrap();
    run("x509 -req -in north.csr -CA ec.crt -CAkey ec.pem -CAcreateserial -days 2 -out v1.crt")
        .unwrap();
    assert!(run("x509 -in v1.crt -noout -text").unwrap().contains("Version: 1 "));
    load(&folder, "v1.crt", "rsa.pem", None).unwrap();

    let error = load(&folder, "rsa.crt", "ec.pem", None).unwrap_err();
    let (crt, pem) = (folder.path("rsa.crt"), folder.path("ec.pem"));
    let expected = format!(
        "sslProfile 'p', privateKeyFile {}: the private key does not match the certificate in {}: \
         they are not a pair",
        pem.display(),
        crt.display()
    );
    assert_eq!(error.to_string(), expected);
}

#[test]
fn errors_name_profile_attribute_and_file() {
    let folder = Folder::new();
    let issued = Authority::new("ca").unwrap().issue("north", &["north"]).unwrap();
    let good = folder.config("north", &issued);
    Profile::load(good.clone()).unwrap();
    let empty = folder.write("empty", "");
    let garbage =
        folder.write("garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let broken =
        folder.write("broken", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    let large = folder.write("large", &"x".repeat((1 << 20) + 1));
    let absent = folder.path("absent");
    let error = |change: &dyn Fn(&mut ProfileConfig)| {
        let mut config = good.clone();
        change(&mut config);
        Profile::load(config).unwrap_err().to_string()
    };
    let begins =
        |text: String, expected: String| assert!(text.starts_with(&expected), "{text}\n{expected}");
    let at = |attribute: &str, file: &Path, what: &str| {
        format!("sslProfile 'north', {attribute} {}: {what}", file.display())
    };

    begins(
        error(&|c| c.ca_cert_file = Some(absent.clone())),
        at("caCertFile", &absent, "cannot be read: No such file"),
    );
    begins(
        error(&|c| c.ca_cert_file = Some(folder.path("north"))),
        at("caCertFile", &folder.path("north"), "cannot be read: Is a dir"),
    );
    begins(
        error(&|c| c.ca_cert_file = Some(empty.clone())),
        at("caCertFile", &empty, "holds no certificate"),
    );
    begins(
        error(&|c| c.cert_file = Some(garbage.clone())),
        at("certFile", &garbage, "certificate 1 of the file is malformed"),
    );
    begins(
        error(&|c| c.cert_file = Some(large.clone())),
        at("certFile", &large, "is larger than 1 MiB"),
    );
    begins(
        error(&|c| c.private_key_file = Some(empty.clone())),
        at("privateKeyFile", &empty, "holds no private key"),
    );
    begins(
        error(&|c| c.private_key_file = Some(broken.clone())),
        at("privateKeyFile", &broken, "the private key cannot be used"),
    );
    begins(
        error(&|c| c.private_key_file = c.cert_file.clone()),
        at("privateKeyFile", good.cert_file.as_ref().unwrap(), "holds no"),
    );
    begins(
        error(&|c| c.private_key_file = None),
        "sslProfile 'north', privateKeyFile: is missing: certFile is given".to_owned(),
    );
    begins(
        error(&|c| c.cert_file = Some(PathBuf::new())),
        "sslProfile 'north', certFile: is missing".to_owned(),
    );
    begins(
        error(&|c| c.ciphers = Some("RC4".to_owned())),
        "sslProfile 'north', ciphers: 'RC4' leaves no cipher suite".to_owned(),
    );
    begins(
        error(&|c| c.protocols = Some("TLSv1.1".to_owned())),
        "sslProfile 'north', protocols: TLSv1.1 is broken".to_owned(),
    );
    begins(
        error(&|c| {
            c.protocols = Some("TLSv1.2".to_owned());
            c.ciphers = Some("TLS_AES_256_GCM_SHA384".to_owned());
        }),
        "sslProfile 'north', ciphers: no cipher suite of the list belongs to a protocol version"
            .to_owned(),
    );

    let bare = Profile::load(ProfileConfig { name: "bare".to_owned(), ..ProfileConfig::default() })
        .unwrap();
    begins(
        bare.acceptor(ClientVerification::None).unwrap_err().to_string(),
        "sslProfile 'bare', certFile: is missing: a listener".into(),
    );
    begins(
        bare.connector(ServerVerification::Chain).unwrap_err().to_string(),
        "sslProfile 'bare', caCertFile: is missing".into(),
    );
    let mut config = good.clone();
    config.ca_cert_file = None;
    let error = Profile::load(config).unwrap().acceptor(ClientVerification::Required).unwrap_err();
    begins(
        error.to_string(),
        "sslProfile 'north', caCertFile: is missing: a listener that authenticates".to_owned(),
    );
}

#[test]
fn secrets_stay_out_of_debug_forms() {
    let config = ProfileConfig {
        name: "p".to_owned(),
        password: Some("hunter2".to_owned()),
        ..ProfileConfig::default()
    };
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn issued_keys_are_the_owners_only() {
    let folder = Folder::new();
    let issued = Authority::new("ca").unwrap().issue("north", &[]).unwrap();
    let path = folder.write("tls.key", "older, readable by all");
    issued.write(folder.0.path()).unwrap();
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(
        Authority::new("ca").unwrap().issue("x", &["n\u{f6}rth"]),
        Err(AuthorityError::Name(_))
    ));
}
