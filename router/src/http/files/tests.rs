use std::fs;
use std::os::unix::fs::symlink;

use http_body_util::BodyExt;

use super::*;

/// Returns the media type and content that the folder serves for a path.
async fn get(folder: &Path, path: &str) -> Result<(&'static str, Vec<u8>), &'static str> {
    match Folder::new(folder.to_owned()).find(path).await {
        Some(Found::File(kind, content)) => {
            Ok((kind, content.collect().await.unwrap().to_bytes().to_vec()))
        }
        Some(Found::Folder) => Err("folder"),
        None => Err("nothing"),
    }
}

fn page(kind: &'static str, text: &str) -> Result<(&'static str, Vec<u8>), &'static str> {
    Ok((kind, text.as_bytes().to_vec()))
}

#[tokio::test]
async fn files_and_the_index_of_folders() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir_all(root.join("sub")).unwrap();
    fs::write(root.join("index.html"), "top").unwrap();
    fs::write(root.join("sub/index.html"), "below").unwrap();
    fs::write(root.join("sub/a b.TXT"), "text").unwrap();
    fs::write(root.join("sub/data"), "").unwrap();
    let long: Vec<u8> = (0..3 * READ as u32 + 17).map(|n| n as u8).collect();
    fs::write(root.join("long.json"), &long).unwrap();

    assert_eq!(get(root, "/").await, page("text/html", "top"));
    assert_eq!(get(root, "/sub/").await, page("text/html", "below"));
    assert_eq!(get(root, "/sub").await, Err("folder"));
    assert_eq!(get(root, "//sub//a%20b.TXT").await, page("text/plain", "text"));
    assert_eq!(get(root, "/sub/data").await, page("application/octet-stream", ""));
    assert_eq!(get(root, "/long.json").await, Ok(("application/json", long)));
    // A slash behind a file's name changes nothing.
    assert_eq!(get(root, "/sub/data/").await, page("application/octet-stream", ""));
    for missing in ["/none", "/sub/none", "/index.html/x", "", "sub/data"] {
        assert_eq!(get(root, missing).await, Err("nothing"), "{missing}");
    }
    assert_eq!(get(&root.join("disabled"), "/").await, Err("nothing"), "the folder is not there");
}

#[tokio::test]
async fn nothing_outside_and_nothing_hidden() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("inside")).unwrap();
    fs::write(folder.path().join("secret"), "secret").unwrap();
    fs::write(root.join("inside/page"), "page").unwrap();
    fs::write(root.join(".hidden"), "secret").unwrap();
    symlink("../secret", root.join("up")).unwrap();
    symlink(folder.path().join("secret"), root.join("absolute")).unwrap();
    symlink("..", root.join("parent")).unwrap();
    symlink("/proc/self/root", root.join("magic")).unwrap();
    symlink("/dev/zero", root.join("device")).unwrap();
    symlink("inside", root.join("link")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        root.join("pipe"),
        rustix::fs::FileType::Fifo,
        Mode::RUSR | Mode::WUSR,
        0,
    )
    .unwrap();

    assert_eq!(
        get(&root, "/link/page").await,
        page("application/octet-stream", "page"),
        "a link that stays inside"
    );
    let long = format!("/{}", "a".repeat(10_000));
    let outside = [
        "/../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/inside/%2e%2e/%2e%2e/secret",
        "/up",
        "/absolute",
        "/parent/secret",
        "/magic/etc/passwd",
        "/device",
        "/pipe",
        "/.hidden",
        "/%00",
        "/inside/page%00",
        long.as_str(),
    ];
    for path in outside {
        assert_eq!(get(&root, path).await, Err("nothing"), "{path}");
    }
}

#[test]
fn without_the_kernels_rule_no_link_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("inside")).unwrap();
    fs::write(folder.path().join("inside/page"), "page").unwrap();
    symlink("inside", folder.path().join("link")).unwrap();
    symlink("page", folder.path().join("inside/link")).unwrap();
    let root =
        rustix::fs::open(folder.path(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let open = |path: &str| open_without_links(&root, Path::new(path), OFlags::RDONLY);
    assert!(open("inside/page").is_ok());
    assert!(open("link/page").is_err() && open("inside/link").is_err());
}

#[tokio::test]
async fn a_file_that_shrinks_is_not_taken_for_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, vec![7; READ + 1]).unwrap();
    let Some(Found::File(_, mut content)) =
        Folder::new(folder.path().to_owned()).find("/file").await
    else {
        panic!()
    };
    assert_eq!(content.frame().await.unwrap().unwrap().into_data().unwrap().len(), READ);
    fs::write(&path, "").unwrap();
    assert!(content.frame().await.unwrap().is_err());
}
