//! HTTP: the page, health, and what hostile or careless clients send.

use std::{fs, io::Write, net::TcpStream};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::fixture::{Node, authority, brightened, brightening, double, doubling_file, numbers, picture, raw, request};

fn error_of(answer: &Value) -> (&str, &str) {
    (answer["error"]["name"].as_str().unwrap_or("-"), answer["error"]["message"].as_str().unwrap_or("-"))
}

#[test]
fn a_request_is_answered_with_receipt_and_route() {
    let node = Node::start(&[]);
    node.add(&doubling_file(&node.data));
    let reply = node.run(&double(&[1.5, -3.0, 0.0]));
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    let answer = reply.json();
    assert_eq!(numbers(&answer), [3.0, -6.0, 0.0]);
    assert_eq!(answer["route"]["peer"], *node.id);
    assert_eq!(answer["receipt"]["peer"], *node.id);
    assert_eq!(answer["receipt"]["signature"].as_str().map(str::len), Some(128));
    assert!(!answer["route"]["reason"].as_str().expect("words").is_empty());
    let models = node.get("/v1/models").json();
    assert_eq!((&models["models"][0]["name"], &models["models"][0]["local"]), (&json!("doubling"), &json!(true)));
    assert_eq!(node.get("/v1/peers").json(), json!({"peers": []}));
}

#[test]
fn the_file_of_a_picture_is_decoded() {
    let node = Node::start(&[]);
    node.add(&brightening(&node.data));
    let ask = |file: &[u8]| {
        let image = BASE64_STANDARD.encode(file);
        node.run(&json!({"model": "brightening", "input": {"imageBase64": image}}))
    };
    let reply = ask(&picture());
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    assert_eq!(numbers(&reply.json()), brightened());
    for broken in [&picture()[..60], b"<svg/>", b""] {
        let reply = ask(broken);
        assert_eq!((reply.status, error_of(&reply.json()).0), (400, "InvalidInput"));
    }
}

#[test]
fn garbage_is_refused_in_words_and_harms_nobody() {
    let node = Node::start(&[]);
    node.add(&doubling_file(&node.data));
    let tensor = |extra: Value| {
        let mut body = double(&[1.0]);
        body["input"]["tensors"][0]
            .as_object_mut()
            .expect("an object")
            .extend(extra.as_object().expect("an object").clone());
        body
    };
    for (body, status, name) in [
        (json!(null), 400, "InvalidInput"),
        (json!({}), 400, "InvalidInput"),
        (json!({"model": "doubling"}), 400, "InvalidInput"),
        (json!({"model": "doubling", "input": {"text": "x"}}), 400, "InvalidInput"),
        (json!({"model": "doubling", "input": {"text": "x", "bytesBase64": ""}}), 400, "InvalidInput"),
        (json!({"model": "doubling", "input": {"bytesBase64": "%%%"}}), 400, "InvalidInput"),
        (
            json!({"model": "doubling", "input": {"bytes": {"len": 1, "parts": [{"offset": 9, "dataBase64": "YQ=="}]}}}),
            400,
            "InvalidInput",
        ),
        (json!({"model": "doubling", "input": {"tensors": []}}), 400, "InvalidInput"),
        (json!({"model": "other", "input": {"text": "x"}}), 404, "ModelNotFound"),
        (json!({"model": "../../etc", "input": {"text": "x"}}), 404, "ModelNotFound"),
        (json!({"model": "doubling", "input": {"text": "x"}, "options": {"tier": "moon"}}), 400, "InvalidInput"),
        (json!({"model": "doubling", "input": {"text": "x"}, "extra": 1}), 400, "InvalidInput"),
        (tensor(json!({"shape": [4_000_000_000_u32, 4_000_000_000_u32]})), 400, "InvalidInput"),
        (tensor(json!({"shape": [2]})), 400, "InvalidInput"),
        (tensor(json!({"dtype": "i64"})), 400, "InvalidInput"),
        (tensor(json!({"dtype": "f64"})), 400, "InvalidInput"),
        (tensor(json!({"name": "z"})), 400, "InvalidInput"),
    ] {
        let reply = node.run(&body);
        let answer = reply.json();
        assert_eq!((reply.status, error_of(&answer).0), (status, name), "{body}: {answer}");
        assert!(error_of(&answer).1.len() > 5, "{body}: {answer}");
    }
    let post = |headers: &[(&str, &str)], body: &[u8]| request(&node.url, "POST", "/v1/run", headers, body);
    let json_type = [("content-type", "application/json")];
    assert_eq!(post(&json_type, b"\xff\xfe{").status, 400);
    assert_eq!(post(&json_type, &b"[".repeat(100_000)).status, 400);
    // What a form of another origin could send.
    for kind in ["text/plain", "application/x-www-form-urlencoded", ""] {
        assert_eq!(post(&[("content-type", kind)], b"{}").status, 415, "{kind}");
    }
    let large = raw(
        &node.url,
        b"POST /v1/run HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99999999999\r\n\r\n",
    );
    assert_eq!(large.expect("an answer").status, 413);
    for bytes in [&b"\0\x01\x02\x03\r\n\r\n"[..], b"GET\r\n\r\n", b"POST /v1/run HTTP/9.9\r\n\r\n", &[b'A'; 70_000]] {
        if let Some(reply) = raw(&node.url, bytes) {
            assert!((400..600).contains(&reply.status), "{}", reply.head);
        }
    }
    for (method, path, status) in [
        ("GET", "/v1/run", 405),
        ("DELETE", "/v1/models", 405),
        ("GET", "/v1/nothing", 404),
        ("GET", "/../../etc/passwd", 404),
        ("PUT", "/v1/blobs/00", 404),
        ("GET", "/v1/status", 404),
    ] {
        let reply = request(&node.url, method, path, &[], b"");
        assert_eq!(reply.status, status, "{method} {path}");
        assert!(reply.json()["error"]["name"].is_string(), "{method} {path}");
    }
    assert_eq!(numbers(&node.run(&double(&[4.0])).json()), [8.0], "and it still works");
}

#[test]
fn half_a_request_holds_nobody_up() {
    let node = Node::start(&[]);
    node.add(&doubling_file(&node.data));
    let mut halves: Vec<_> = (0..300).map(|_| TcpStream::connect(authority(&node.url)).expect("it listens")).collect();
    for (number, half) in halves.iter_mut().enumerate() {
        let text = match number % 2 {
            0 => "POST /v1/run HTTP/1.1\r\nhost: x\r\ncontent-ty",
            _ => "POST /v1/run HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{",
        };
        half.write_all(text.as_bytes()).expect("sent");
    }
    assert_eq!(numbers(&node.run(&double(&[1.0])).json()), [2.0]);
    assert_eq!(node.get("/healthz").status, 200);
}

#[test]
fn the_control_port_is_shut_without_its_token() {
    let node = Node::start(&[]);
    let record: Value = serde_json::from_slice(&fs::read(node.data.join("node.json")).expect("there")).expect("JSON");
    let control = record["control"].as_str().expect("a URL");
    let token = record["token"].as_str().expect("a token");
    let wrong = format!("Bearer {}", "0".repeat(token.len()));
    let right = format!("Bearer {token}");
    for headers in
        [&[][..], &[("authorization", "Bearer ")], &[("authorization", &*wrong)], &[("authorization", token)]]
    {
        for (method, path) in [("GET", "/v1/status"), ("DELETE", "/v1/models/x"), ("POST", "/v1/models"), ("GET", "/x")]
        {
            assert_eq!(request(control, method, path, headers, b"").status, 401, "{method} {path}");
        }
    }
    let allowed = [("authorization", &*right)];
    let status = request(control, "GET", "/v1/status", &allowed, b"").json();
    assert_eq!((&status["peerId"], &status["threads"]), (&json!(node.id), &node.ready["threads"]));
    let put = |digest: &str, body: &[u8]| request(control, "PUT", &format!("/v1/blobs/{digest}"), &allowed, body);
    let digest = neuromesh::Digest::of(b"hello").to_string();
    assert_eq!(put("xyz", b"hello").status, 400);
    assert_eq!(put(&digest, b"HELLO").status, 422, "content that is not what its name says");
    assert_eq!(put(&digest, b"hello").status, 200);
    assert_eq!(request(control, "POST", "/v1/models", &allowed, b"{}").status, 422);
}

#[test]
fn the_page_is_served_as_browsers_want_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |path: &str, content: &[u8]| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, content).expect("written");
    };
    write("index.html", b"<!doctype html>the page");
    write("assets/app-1a2B3c4D.js", b"plain script");
    write("assets/app-1a2B3c4D.js.br", b"brotli script");
    write("assets/mesh-9z8Y7x6W.wasm", b"\0asm");
    let node = Node::start(&["--web", folder.path().to_str().expect("text")]);

    let page = node.get("/");
    assert_eq!((page.status, &*page.body), (200, &b"<!doctype html>the page"[..]));
    assert_eq!(page.header("cross-origin-opener-policy"), Some("same-origin"));
    assert_eq!(page.header("cross-origin-embedder-policy"), Some("require-corp"));
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    assert!(page.header("content-type").expect("a type").starts_with("text/html"));
    assert_eq!(node.get("/notes/7").body, page.body, "a path of the page's own router");

    let wasm = node.get("/assets/mesh-9z8Y7x6W.wasm");
    assert_eq!(wasm.header("content-type"), Some("application/wasm"));
    assert!(wasm.header("cache-control").expect("there").contains("immutable"));
    let script = |encoding| request(&node.url, "GET", "/assets/app-1a2B3c4D.js", &[("accept-encoding", encoding)], b"");
    assert_eq!((script("br").header("content-encoding"), &*script("br").body), (Some("br"), &b"brotli script"[..]));
    assert_eq!(
        (script("identity").header("content-encoding"), &*script("identity").body),
        (None, &b"plain script"[..])
    );
    assert!(script("br").header("content-type").expect("a type").contains("javascript"));

    for path in ["/assets/none-1a2B3c4D.js", "/favicon.ico", "/v1/none", "/%2e%2e/%2e%2e/etc/pass.wd"] {
        let reply = node.get(path);
        assert_eq!(reply.status, 404, "{path}: {}", reply.head);
        assert!(!reply.head.contains("immutable"), "{path}");
    }
    for path in ["/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd"] {
        assert!(!node.get(path).body.starts_with(b"root:"), "{path}");
    }
}

#[test]
fn without_a_page_the_node_tells_of_itself() {
    let node = Node::start(&[]);
    let page = node.get("/");
    let text = String::from_utf8(page.body.clone()).expect("text");
    assert!(page.status == 200 && text.contains(&node.id), "{text}");
    assert_eq!(page.header("cross-origin-embedder-policy"), Some("require-corp"));
    assert_eq!((node.get("/healthz").status, node.get("/readyz").status), (200, 200));

    let known = node.get("/.well-known/neuromesh");
    assert_eq!(known.header("access-control-allow-origin"), Some("*"));
    assert_eq!(node.get("/v1/peers").header("access-control-allow-origin"), None);
    let document = known.json();
    assert_eq!((&document["peerId"], &document["tier"]), (&json!(node.id), &json!("edge")));
    let first = document["addresses"][0].as_str().expect("an address");
    assert!(first.starts_with("/ip4/127.0.0.1/tcp/") && first.contains("/ws/p2p/"), "{first}");
    assert!(document["version"].is_string());
}
