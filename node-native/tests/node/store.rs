//! The model store: what may go in, and what a crash leaves.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use neuromesh::Pipeline;
use serde_json::Value;

use crate::fixture::{Node, double, doubling, doubling_file, json_of, model_folder, neuromesh, numbers};

fn names(data: &Path) -> Vec<String> {
    let (answer, ok) = json_of(neuromesh(data).args(["models", "list"]));
    assert!(ok, "{answer}");
    let models = answer["models"].as_array().expect("a list");
    models.iter().map(|model| model["name"].as_str().expect("text").to_owned()).collect()
}

fn add(data: &Path, args: &[&str]) -> (Value, bool) {
    json_of(neuromesh(data).args(["models", "add"]).args(args))
}

#[test]
fn models_come_go_and_survive_a_restart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path();
    let model = doubling_file(data);
    let model = model.to_str().expect("text");
    let (first, ok) = add(data, &[model]);
    assert!(ok && first["name"] == "doubling", "{first}");
    let (again, _) = add(data, &[model]);
    assert_eq!(again, first, "adding twice is adding once");
    assert!(add(data, &[model, "--name", "twice"]).1);
    assert_eq!(names(data), ["doubling", "twice"]);

    let node = Node::start_on(data, &[]);
    assert_eq!(numbers(&node.run(&double(&[2.0])).json()), [4.0]);
    assert!(json_of(neuromesh(data).args(["models", "rm", "doubling"])).1, "while the node runs");
    assert_eq!(names(data), ["twice"]);
    let reply = node.run(&double(&[2.0]));
    assert_eq!(reply.status, 404, "{:?}", reply.json());
    let mut twice = double(&[3.0]);
    twice["model"] = "twice".into();
    assert_eq!(numbers(&node.run(&twice).json()), [6.0], "the file that both used is still there");
    drop(node);

    assert_eq!(names(data), ["twice"]);
    assert!(json_of(neuromesh(data).args(["models", "rm", "twice"])).1);
    assert_eq!(names(data), [""; 0]);
    assert!(!json_of(neuromesh(data).args(["models", "rm", "twice"])).1);
}

#[test]
fn what_is_no_model_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path();
    let graph = doubling(1);
    let good = || model_folder(data, "good", Pipeline::Tensors, &[("graph", &graph)]);
    let refused = |path: &Path, words: &str| {
        let (answer, ok) = add(data, &[path.to_str().expect("text")]);
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(!ok && answer["error"]["name"] == "ModelInvalid", "{words}: {answer}");
        assert!(message.contains(words), "{words}: {message}");
    };
    let garbage = data.join("garbage.onnx");
    fs::write(&garbage, b"\0garbage").expect("written");
    refused(&garbage, "garbage.onnx");
    fs::write(&garbage, &graph[..graph.len() - 9]).expect("written");
    refused(&garbage, "garbage.onnx");

    let path = good();
    fs::write(path.join("graph.bin"), vec![0; graph.len()]).expect("written");
    refused(&path, "does not match");
    fs::write(path.join("graph.bin"), b"short").expect("written");
    refused(&path, "bytes instead of");
    fs::remove_file(path.join("graph.bin")).expect("removed");
    refused(&path, "graph.bin");
    let path = good();
    for names in ["[]", "{}", r#"{"graph": "../good/graph.bin"}"#, r#"{"graph": "/etc/passwd"}"#, r#"{"graph": ".."}"#]
    {
        fs::write(path.join("files.json"), names).expect("written");
        refused(&path, "files.json");
    }
    let path = good();
    for manifest in ["", "{}", "{\"format\":1}", &" ".repeat(100_000)] {
        fs::write(path.join("manifest.json"), manifest).expect("written");
        refused(&path, "manifest.json");
    }
    assert_eq!(names(data), [""; 0]);
    good();
    assert!(add(data, &[data.join("good").to_str().expect("text")]).1);
    let (answer, ok) = add(data, &[data.join("good").to_str().expect("text"), "--name", "No Name"]);
    assert!(!ok && answer["error"]["message"].as_str().expect("words").contains("No Name"), "{answer}");
    assert_eq!(names(data), ["good"]);
}

/// A file may not grow past 20 MiB here, as on a disk that is nearly full: told as such, nothing else is harmed, and with
/// room the same `add` succeeds.
#[test]
fn a_full_disk_is_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    assert!(add(&data, &[doubling_file(folder.path()).to_str().expect("text")]).1);
    let ballast = vec![7; 30 << 20];
    let large =
        model_folder(folder.path(), "large", Pipeline::Tensors, &[("ballast", &ballast), ("graph", &doubling(1))]);
    let limited = "trap '' XFSZ; ulimit -f 20480; exec \"$@\"";
    let program = env!("CARGO_BIN_EXE_neuromesh");
    let mut command = Command::new("bash");
    command.args(["-c", limited, "_", program, "models", "add"]).arg(&large).arg("--data").arg(&data);
    let (answer, ok) = json_of(command.env("HOME", &data));
    assert!(!ok && answer["error"]["name"] == "QuotaExceeded", "{answer}");
    assert_eq!(names(&data), ["doubling"]);
    assert_eq!(written(&data.join("blobs")), 0, "nothing half-written is left");
    assert!(add(&data, &[large.to_str().expect("text")]).1);
    assert_eq!(names(&data), ["doubling", "large"]);
}

/// `kill -9` at some point of an `add`, on and on, until one gets through: the store opens each time, lists only what is
/// whole, and the same `add` then succeeds.
#[test]
fn a_killed_add_leaves_a_valid_store() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let graph = doubling(1);
    let ballast: Vec<u8> = (0..40_u32 << 20).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let model = model_folder(folder.path(), "doubling", Pipeline::Tensors, &[("ballast", &ballast), ("graph", &graph)]);
    let blobs = data.join("blobs");
    let mut killed = 0;
    for point in 0.. {
        let mut adding = neuromesh(&data)
            .args(["models", "add"])
            .arg(&model)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        // The points are states of the disk: nothing yet, a file begun, some of it, a file published, all of them.
        let reached = || match point {
            0 => data.exists(),
            1 => blobs.join("tmp").exists(),
            2 => written(&blobs) > 0,
            3 => written(&blobs) > 20 << 20,
            4 => fs::read_dir(&blobs).is_ok_and(|entries| entries.count() > 1),
            _ => false,
        };
        let mut ended = None;
        while !reached() && ended.is_none() {
            ended = adding.try_wait().expect("it can be asked");
            std::thread::yield_now();
        }
        if let Some(status) = ended {
            assert!(status.success(), "point {point}");
            break;
        }
        adding.kill().expect("killed");
        adding.wait().expect("gone");
        killed += 1;
        let names = names(&data);
        assert!(names.is_empty() || names == ["doubling"], "point {point}: {names:?}");
    }
    assert!(killed >= 3, "only {killed} were killed in time");
    assert_eq!(names(&data), ["doubling"]);
    let input = folder.path().join("input.json");
    fs::write(&input, double(&[8.0])["input"].to_string()).expect("written");
    let (answer, ok) = json_of(neuromesh(&data).args(["run", "doubling", "--input-json"]).arg(&input));
    assert!(ok, "{answer}");
    assert_eq!(numbers(&answer), [16.0]);
}

fn written(blobs: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(blobs.join("tmp")) else { return 0 };
    entries.filter_map(|entry| entry.ok()?.metadata().ok()).map(|facts| facts.len()).sum()
}
