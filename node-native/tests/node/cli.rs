//! The command line: help, JSON, identity, configuration, stopping.

use std::{fs, os::unix::fs::PermissionsExt, time::Instant};

use crate::fixture::{Node, doubling_file, json_of, neuromesh};

const COMMANDS: [&[&str]; 12] = [
    &[],
    &["up"],
    &["run"],
    &["inspect"],
    &["models"],
    &["models", "add"],
    &["models", "list"],
    &["models", "rm"],
    &["peers"],
    &["plugins", "pack"],
    &["rooms", "grant"],
    &["rooms", "show"],
];

#[test]
fn every_command_has_help_and_json() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for command in COMMANDS.into_iter().chain([&["id"][..], &["plugins"], &["rooms"]]) {
        let output = neuromesh(folder.path()).args(command).arg("--help").output().expect("it runs");
        let help = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && help.contains("Usage: neuromesh"), "{command:?}: {help}");
        assert!(help.contains("--json"), "{command:?} has no --json");
    }
}

#[test]
fn mistakes_are_told_and_fail() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = |args: &[&str]| neuromesh(folder.path()).args(args).output().expect("it runs");
    for args in [
        &["down"][..],
        &["run", "m"],
        &["run", "m", "--input", "a", "--file", "b"],
        &["up", "--listen", "nowhere"],
        &["up", "--tier", "device"],
        &["up", "--threads", "0"],
        &["up", "--threads", "257"],
        &["run", "m", "--input", "a", "--numerics", "quick"],
        &["up", "--max-memory", "much"],
        &["up", "--room-issuer", "me"],
        &["rooms", "grant", "studio"],
        &["rooms", "grant", "studio", "--peer", "me"],
        &[
            "rooms",
            "grant",
            "studio",
            "--peer",
            "12D3KooWAHoEkEqnKzM5PXFygh2movVBCSX3k8tDsT2cneU68Gyt",
            "--for",
            "ever",
        ],
        &["run", "m", "--input", "a", "--deadline", "0"],
        &["inspect", "m", "--input", "x=1xtwo"],
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
    for (args, name) in [
        (&["peers"][..], "NoNode"),
        (&["models", "rm", "nothing"], "ModelNotFound"),
        (&["models", "add", "/no/such/folder"], "ModelInvalid"),
        (&["run", "nothing", "--input", "x"], "ModelNotFound"),
        (&["inspect", "nothing"], "ModelNotFound"),
        (&["inspect", "/no/such/model.onnx"], "ModelInvalid"),
        (&["inspect", "/proc/self/exe"], "ModelInvalid"),
        (&["run", "nothing", "--file", "/no/such/file"], "InvalidInput"),
        (&["rooms", "show", "nmroom_"], "InvalidInput"),
        (&["peers", "--node", "ftp://x"], "NetworkError"),
        (&["peers", "--node", "http://127.0.0.1:1"], "NetworkError"),
        (&["up", "--config", "/no/such/file"], "Error"),
        (&["up", "--web", "/no/such/folder"], "Error"),
        (&["up", "--log-level", "=,="], "Error"),
        (&["plugins", "pack", "/dev/null", "-o", "/dev/null"], "ModelInvalid"),
    ] {
        let (answer, ok) = json_of(neuromesh(folder.path()).args(args));
        assert_eq!((answer["error"]["name"].as_str(), ok), (Some(name), false), "{args:?}: {answer}");
        let text = run(args);
        assert!(String::from_utf8_lossy(&text.stderr).contains("error: "), "{args:?}");
    }
}

#[test]
fn a_model_is_shown_before_it_is_run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = doubling_file(folder.path());
    let path = file.to_str().expect("a plain path");
    let (shown, ok) = json_of(neuromesh(folder.path()).args(["inspect", path, "--run", "--input", "x=4"]));
    assert!(ok && shown["runs"] == true, "{shown}");
    let inputs = shown["inputs"].as_array().expect("a list");
    assert_eq!(inputs.len(), 1, "{shown}");
    let operators = shown["operators"].as_array().expect("a list");
    assert!(operators.iter().all(|operator| operator["supported"] == true), "{shown}");
    assert!(shown["peakMemory"].as_u64() >= shown["neededMemory"].as_u64(), "{shown}");
    // By its name, too, without and with a running node.
    let (added, ok) = json_of(neuromesh(folder.path()).args(["models", "add", path, "--name", "twice"]));
    assert!(ok, "{added}");
    let by_name = || json_of(neuromesh(folder.path()).args(["inspect", "twice", "--run", "--input", "x=4"])).0;
    let expected = |mut shown: serde_json::Value| {
        shown["model"] = "twice".into();
        shown
    };
    assert_eq!(by_name(), expected(shown.clone()));
    let _node = Node::start_on(folder.path(), &[]);
    assert_eq!(by_name(), expected(shown));
    // What cannot be run is shown all the same, and fails.
    let (refused, ok) =
        json_of(neuromesh(folder.path()).args(["inspect", path, "--input", "x=1000000", "--memory", "1MiB"]));
    assert!(!ok && refused["runs"] == false, "{refused}");
    assert!(refused["refusal"].as_str().is_some_and(|text| text.contains("bytes")), "{refused}");
}

#[test]
fn the_identity_stays() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let id = || json_of(neuromesh(folder.path()).arg("id")).0["peerId"].as_str().expect("an id").to_owned();
    let first = id();
    assert_eq!(id(), first);
    let mode = fs::metadata(folder.path().join("identity.json")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let node = Node::start_on(folder.path(), &[]);
    assert_eq!(node.id, first);
    assert_eq!(id(), first, "while it runs, too");
    let (answer, ok) = json_of(neuromesh(folder.path()).args(["id", "--node", &node.url]));
    assert_eq!((answer["peerId"].as_str(), ok), (Some(&*first), true));
    drop(node);

    fs::write(folder.path().join("identity.json"), "{\"version\":1").expect("written");
    let (answer, ok) = json_of(neuromesh(folder.path()).arg("id"));
    assert!(!ok && answer["error"]["message"].as_str().expect("words").contains("damaged"), "{answer}");
}

#[test]
fn flags_win_over_environment_and_environment_over_the_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("neuromesh.toml");
    let other = |name: &str| folder.path().join(name);
    fs::write(&file, format!("data = {:?}", other("from-file"))).expect("written");
    let id = |env: bool, flag: bool| {
        let mut command = neuromesh(folder.path());
        command.env_remove("NEUROMESH_DATA").arg("id").arg("--config").arg(&file);
        if env {
            command.env("NEUROMESH_DATA", other("from-env"));
        }
        if flag {
            command.arg("--data").arg(other("from-flag"));
        }
        assert!(json_of(&mut command).1);
    };
    for (env, flag, name) in [(false, false, "from-file"), (true, false, "from-env"), (true, true, "from-flag")] {
        id(env, flag);
        assert!(other(name).join("identity.json").exists(), "{name}");
    }
    fs::write(&file, "dta = 'x'").expect("written");
    let (answer, ok) = json_of(neuromesh(folder.path()).arg("id").arg("--config").arg(&file));
    assert!(!ok && answer["error"]["message"].as_str().expect("words").contains("dta"), "{answer}");

    let home = folder.path().join(".config/neuromesh");
    fs::create_dir_all(&home).expect("made");
    fs::write(home.join("neuromesh.toml"), "tier = 'cloud'").expect("written");
    let node = Node::start_on(folder.path(), &[]);
    assert_eq!(node.get("/.well-known/neuromesh").json()["tier"], "cloud");
}

#[test]
fn ctrl_c_and_a_service_manager_stop_it_in_time() {
    for signal in ["INT", "TERM"] {
        let mut node = Node::start(&[]);
        // Idle connections must not hold it up.
        let idle = std::net::TcpStream::connect(crate::fixture::authority(&node.url)).expect("it listens");
        let folder = node.data.clone();
        let began = Instant::now();
        node.signal(signal);
        let kept = node.keep_folder();
        let (code, rest) = node.ended();
        let took = began.elapsed();
        assert_eq!(code, Some(0), "{signal}: {rest}");
        assert!(rest.contains("stopped"), "{signal}: {rest:?}");
        assert!(took.as_secs_f64() < 5.0, "{signal}: stopped after {took:?}");
        assert!(!folder.join("node.json").exists(), "{signal}: a record is left");
        drop((idle, kept));
    }
}

#[test]
fn one_data_folder_has_one_node_and_a_killed_one_is_no_obstacle() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let node = Node::start_on(folder.path(), &[]);
    let (answer, ok) = json_of(neuromesh(folder.path()).args(["up", "--http", "127.0.0.1:0"]));
    assert!(!ok && answer["error"]["message"].as_str().expect("words").contains("--data"), "{answer}");
    node.signal("KILL");
    node.ended();
    assert!(folder.path().join("node.json").exists(), "the killed node could not take its record back");
    let (answer, ok) = json_of(neuromesh(folder.path()).args(["models", "list"]));
    assert!(ok, "{answer}");
    assert_eq!(Node::start_on(folder.path(), &[]).get("/readyz").status, 200);
}

#[test]
fn the_threads_in_use_are_shown() {
    let node = Node::start(&["--threads", "3"]);
    assert_eq!(node.ready["threads"], 3);
    let text = node.command().arg("peers").output().expect("it runs");
    assert!(String::from_utf8_lossy(&text.stdout).contains("3 threads"), "{text:?}");
    drop(node);
    let node = Node::start(&[]);
    assert_eq!(node.ready["threads"], std::thread::available_parallelism().map_or(1, usize::from).min(256));
}

#[test]
fn numerics_are_the_callers_choice() {
    let node = Node::start(&[]);
    node.add(&doubling_file(&node.data));
    let input = node.data.join("input.json");
    fs::write(&input, crate::fixture::double(&[1.5])["input"].to_string()).expect("written");
    for (how, allowed) in [
        (&[][..], &["exact"][..]),
        (&["--numerics", "exact"], &["exact"]),
        (&["--numerics", "fast"], &["exact", "approximate"]),
    ] {
        let mut command = node.command();
        let (answer, ok) = json_of(command.args(["run", "doubling", "--input-json"]).arg(&input).args(how));
        let exactness = answer["receipt"]["exactness"].as_str().unwrap_or("-");
        assert!(ok && allowed.contains(&exactness), "{how:?}: {answer}");
        assert_eq!(crate::fixture::numbers(&answer), [3.0]);
    }
    for (numerics, taken) in [("exact", true), ("fast", true), ("quick", false)] {
        let mut body = crate::fixture::double(&[2.0]);
        body["options"] = serde_json::json!({"numerics": numerics});
        let reply = node.run(&body);
        assert_eq!((reply.status == 200, (400..500).contains(&reply.status)), (taken, !taken), "{}", reply.head);
    }
}

#[test]
fn a_model_runs_without_a_node() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = doubling_file(folder.path());
    let (added, ok) = json_of(neuromesh(folder.path()).args(["models", "add"]).arg(&model));
    assert!(ok, "{added}");
    let input = folder.path().join("input.json");
    let body = crate::fixture::double(&[1.0, -2.5]);
    fs::write(&input, body["input"].to_string()).expect("written");
    let (answer, ok) = json_of(neuromesh(folder.path()).args(["run", "doubling", "--input-json"]).arg(&input));
    assert!(ok, "{answer}");
    assert_eq!(crate::fixture::numbers(&answer), [2.0, -5.0]);
    assert_eq!(answer["receipt"]["model"], added["digest"]);
    let text =
        neuromesh(folder.path()).args(["run", "doubling", "--input-json"]).arg(&input).output().expect("it runs");
    assert!(String::from_utf8_lossy(&text.stdout).contains("2.00000 -5.00000"), "{text:?}");
}

#[test]
fn a_picture_is_decoded_before_it_is_sent() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = crate::fixture::brightening(folder.path());
    let (added, ok) = json_of(neuromesh(folder.path()).args(["models", "add"]).arg(&model));
    assert!(ok, "{added}");
    let file = folder.path().join("picture.png");
    fs::write(&file, crate::fixture::picture()).expect("written");
    let (answer, ok) = json_of(neuromesh(folder.path()).args(["run", "brightening", "--image"]).arg(&file));
    assert!(ok, "{answer}");
    assert_eq!(crate::fixture::numbers(&answer), crate::fixture::brightened());
    fs::write(&file, "no picture").expect("written");
    let (answer, ok) = json_of(neuromesh(folder.path()).args(["run", "brightening", "--image"]).arg(&file));
    assert_eq!((ok, &answer["error"]["name"]), (false, &serde_json::json!("InvalidInput")), "{answer}");
}
