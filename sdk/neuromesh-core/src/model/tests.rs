use super::*;

fn manifest() -> Manifest {
    let file = |role: &str| ModelFile { role: role.into(), digest: Digest::of(role.as_bytes()), size: 7 };
    Manifest {
        format: 1,
        name: "all-minilm-l6-v2".into(),
        pipeline: Pipeline::TextEmbedding { max_tokens: 256, normalize: true },
        files: vec![file("graph"), file("tokenizer")],
        memory: 1,
        license: "Apache-2.0".into(),
    }
}

#[test]
fn the_stored_form_is_read_back() {
    let json = manifest().to_json();
    assert_eq!(Manifest::from_json(&json), Ok(manifest()));
    assert_eq!(manifest().digest(), Digest::of(&json));
    assert_eq!(manifest().size(), 14);
    let text = String::from_utf8(json).unwrap();
    assert!(text.contains(r#""pipeline":{"kind":"text-embedding","max_tokens":256,"normalize":true}"#), "{text}");
}

#[test]
fn rules_are_kept() {
    type Change = fn(&mut Manifest);
    let changes: [(Change, &str); 9] = [
        (|m| m.format = 2, "format 2"),
        (|m| m.name = "Upper".into(), "name"),
        (|m| m.name = String::new(), "name"),
        (|m| m.name = "../up".into(), "name"),
        (|m| m.files.clear(), "0 files"),
        (|m| m.files[0].size = u64::MAX, "over"),
        (|m| m.files[1].role = "graph".into(), "two files"),
        (|m| m.files[1].role = "/etc/passwd".into(), "role"),
        (|m| drop(m.files.pop()), "needs a file"),
    ];
    for (change, expected) in changes {
        let mut changed = manifest();
        change(&mut changed);
        let error = Manifest::from_json(&changed.to_json()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_is_no_manifest_says_so() {
    for json in ["", "{}", "[]", "\u{0}", r#"{"format":1}"#] {
        assert!(matches!(Manifest::from_json(json.as_bytes()), Err(ManifestError::Syntax(_))), "{json}");
    }
    let unknown = String::from_utf8(manifest().to_json()).unwrap().replace("\"memory\"", "\"surprise\":1,\"memory\"");
    assert!(matches!(Manifest::from_json(unknown.as_bytes()), Err(ManifestError::Syntax(_))));
    let large = vec![b' '; MAX_MANIFEST_BYTES + 1];
    assert_eq!(Manifest::from_json(&large), Err(ManifestError::TooLarge(large.len())));
}
