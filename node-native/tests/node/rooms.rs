//! Tokens for rooms: made, explained, and asked for by a node.

use neuromesh::{
    PeerId,
    core::rooms::{Grant, GrantError, RoomId},
    platform,
};

use crate::fixture::{Node, json_of, neuromesh};

#[test]
fn a_token_is_of_this_data_folders_key_and_explained() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (own, _) = json_of(neuromesh(folder.path()).arg("id"));
    let issuer: PeerId = own["peerId"].as_str().and_then(|id| id.parse().ok()).expect("a peer id");
    let holder = issuer.to_string();
    let before = platform::now().as_millis() / 1000;
    let (made, ok) = json_of(neuromesh(folder.path()).args(["rooms", "grant", "studio", "--peer", &holder]));
    assert!(ok, "{made}");
    let token = made["token"].as_str().expect("a token");
    let grant: Grant = token.parse().expect("a token");
    let granted = grant.check(&RoomId::of("studio"), &issuer, &[issuer].into(), platform::now());
    assert!(granted.is_ok_and(|granted| granted.issuer == issuer));
    assert!(grant.not_after >= before + 24 * 3600 && made["notAfter"] == grant.not_after);

    // Alone on a line, for shells.
    let mut command = neuromesh(folder.path());
    let text = command.args(["rooms", "grant", "studio", "--peer", &holder, "--for", "7d"]).output().expect("it runs");
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.strip_suffix('\n').is_some_and(|token| token.parse::<Grant>().is_ok()), "{text:?}");

    let show =
        |token: &str, room: &str| json_of(neuromesh(folder.path()).args(["rooms", "show", token, "--room", room]));
    let (told, ok) = show(token, "studio");
    assert!(ok && told["holds"] == true && told["peer"] == holder && told["issuer"] == holder, "{told}");
    let (told, ok) = show(token, "attic");
    assert!(!ok && told["holds"] == false && told["error"]["name"] == "RoomDenied", "{told}");
    let expired = Grant::sign(&[1; 32], RoomId::of("studio"), issuer, before - 1);
    let mut forged = grant.clone();
    forged.not_after += 1;
    for (wrong, error) in [(expired, GrantError::Expired), (forged, GrantError::Signature)] {
        let (told, ok) = show(&wrong.to_string(), "studio");
        assert!(!ok && told["error"]["message"] == error.to_string(), "{told}");
        let mut command = neuromesh(folder.path());
        let text = command.args(["rooms", "show", &wrong.to_string()]).output().expect("it runs");
        assert!(
            !text.status.success() && String::from_utf8_lossy(&text.stderr).contains(&error.to_string()),
            "{text:?}"
        );
    }
}

#[test]
fn a_node_says_whose_tokens_it_asks_for() {
    let other = PeerId::from_public_key([7; 32]).to_string();
    let node = Node::start(&["--room-issuer", "self", "--room-issuer", &other]);
    assert_eq!(node.ready["roomIssuers"], serde_json::json!([node.id, other]));
    // It signs them itself, while it runs.
    let (made, ok) = json_of(node.command().args(["rooms", "grant", "studio", "--peer", &other]));
    assert!(ok && made["issuer"] == node.id.as_str(), "{made}");
    assert_eq!(Node::start(&[]).ready["roomIssuers"], serde_json::json!([]));
}
