use std::{fs, os::unix::fs::PermissionsExt};

use super::{Identity, IdentityError};
use crate::data::DataDir;

#[test]
fn it_is_made_once_and_private() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = DataDir::create(&folder.path().join("deep/data")).expect("made");
    let first = Identity::open(&data).expect("made");
    let second = Identity::open(&data).expect("read");
    assert_eq!((first.seed(), first.peer()), (second.seed(), second.peer()));
    assert!(first.peer().to_string().starts_with("12D3KooW"));
    let mode = fs::metadata(data.identity()).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let folder_mode = fs::metadata(data.path()).expect("there").permissions().mode();
    assert_eq!(folder_mode & 0o777, 0o700);
}

#[test]
fn damage_is_told_and_nothing_is_overwritten() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = DataDir::create(folder.path()).expect("there");
    Identity::open(&data).expect("made");
    let good = fs::read_to_string(data.identity()).expect("text");
    let digit = good.find("seed\":\"").expect("a seed") + 7;
    let flipped = if &good[digit..=digit] == "0" { "1" } else { "0" };
    let bit = format!("{}{flipped}{}", &good[..digit], &good[digit + 1..]);
    for bad in
        ["", "{}", &good[..40], &bit, "\0\0\0", &" ".repeat(9999), &good.replace("\"version\":1", "\"version\":9")]
    {
        fs::write(data.identity(), bad).expect("written");
        let error = Identity::open(&data).err().expect("refused");
        assert!(matches!(error, IdentityError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("identity.json"));
        assert_eq!(fs::read_to_string(data.identity()).expect("text"), bad);
    }
}

#[test]
fn many_at_once_agree() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = DataDir::create(folder.path()).expect("there");
    let ids = std::thread::scope(|scope| {
        let all: Vec<_> = (0..8).map(|_| scope.spawn(|| Identity::open(&data).expect("an identity").peer())).collect();
        all.into_iter().map(|one| one.join().expect("no panic")).collect::<Vec<_>>()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}
