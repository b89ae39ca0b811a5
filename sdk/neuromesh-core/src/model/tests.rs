use super::*;

fn manifest() -> Manifest {
    let file = |role: &str| ModelFile { role: role.into(), digest: Digest::of(role.as_bytes()), size: 7 };
    Manifest {
        format: 1,
        name: "all-minilm-l6-v2".into(),
        pipeline: Pipeline::TextEmbedding { max_tokens: 256, normalize: true, pooling: Pooling::Mean },
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

#[test]
fn every_pipeline_is_read_back() {
    let classes = r#"{"kind":"image","resize":{"shortest":256},"crop":[224,224],"mean":[0.485,0.456,0.406],"std":[0.229,0.224,0.225],"top":5}"#;
    let pipelines = [
        r#"{"kind":"text-embedding","max_tokens":9,"normalize":false,"pooling":"first"}"#,
        r#"{"kind":"image"}"#,
        r#"{"kind":"image","resize":{"within":[960,32]},"filter":"linear","channels":"bgr","layout":"nhwc"}"#,
        classes,
        r#"{"kind":"voice-activity"}"#,
        r#"{"kind":"voice-activity","rate":8000,"window":256,"context":32,"threshold":0.6}"#,
        r#"{"kind":"text-generation","context":512,"max_new_tokens":64,"stop":[2]}"#,
    ];
    for json in pipelines {
        let pipeline: Pipeline = serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"));
        let written = serde_json::to_string(&pipeline).unwrap();
        assert_eq!(serde_json::from_str::<Pipeline>(&written).unwrap(), pipeline, "{written}");
        let surprise = json.replacen('{', r#"{"surprise":1,"#, 1);
        assert!(serde_json::from_str::<Pipeline>(&surprise).is_err(), "{surprise}");
    }
    let mut manifest = manifest();
    manifest.pipeline = serde_json::from_str(classes).unwrap();
    let error = Manifest::from_json(&manifest.to_json()).unwrap_err().to_string();
    assert!(error.contains("labels"), "{error}");
}
