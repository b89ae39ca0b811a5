//! Two nodes, one mesh.

use serde_json::{Value, json};

use crate::fixture::{Node, double, doubling_file, json_of, neuromesh, numbers};

/// What `answer` says of the peer `id`; peers that have left stay in the list for a while.
fn of<'a>(answer: &'a Value, id: &str) -> &'a Value {
    let peers = answer["peers"].as_array().map(Vec::as_slice).unwrap_or_default();
    static NONE: Value = Value::Null;
    peers.iter().find(|peer| peer["id"] == id).unwrap_or(&NONE)
}

/// A request at one node for a model that only the other holds, over each transport.
#[test]
fn two_nodes_given_an_address_form_one_mesh() {
    let holder = Node::start(&[]);
    holder.add(&doubling_file(&holder.data));
    for kind in ["/tcp", "/ws", "/quic-v1"] {
        let asker = Node::start(&["--peer", &holder.address(kind)]);
        asker.until("/v1/peers", |answer| of(answer, &holder.id)["models"] == json!(["doubling"]));
        holder.until("/v1/peers", |answer| of(answer, &asker.id)["connected"] == true);

        let mut body = double(&[21.0]);
        // The asker could fetch the model as well; this asks for it to be run where it is.
        body["options"] = json!({"tier": "edge", "deadlineMs": 20_000});
        let reply = asker.run(&body);
        let answer = reply.json();
        assert_eq!(reply.status, 200, "{kind}: {answer}");
        assert_eq!(numbers(&answer), [42.0], "{kind}");
        assert_eq!(
            (&answer["receipt"]["peer"], &answer["route"]["peer"]),
            (&json!(holder.id), &json!(holder.id)),
            "{kind}"
        );
        assert!(!answer["route"]["considered"].as_array().expect("a list").is_empty(), "{kind}");

        let (listed, ok) = json_of(asker.command().args(["peers"]));
        assert!(ok && of(&listed, &holder.id)["connected"] == true, "{kind}: {listed}");
        let (models, ok) = json_of(asker.command().args(["models", "list"]));
        assert!(ok && models["models"][0]["name"] == "doubling", "{kind}: {models}");
    }
}

#[test]
fn each_given_the_others_address_is_one_mesh_too() {
    let first = Node::start(&[]);
    let second = Node::start(&["--peer", &first.address("/tcp")]);
    first.until("/v1/peers", |answer| of(answer, &second.id)["connected"] == true);
    let data = first.data.clone();
    // The first comes back, now knowing the second's address as well; the second finds it again by itself.
    let mut first = first;
    let kept = first.keep_folder();
    first.signal("INT");
    assert_eq!(first.ended().0, Some(0));
    let again = Node::start_on(&data, &["--peer", &second.address("/tcp")]);
    again.until("/v1/peers", |answer| of(answer, &second.id)["connected"] == true);
    second.until("/v1/peers", |answer| of(answer, &again.id)["connected"] == true);
    drop(again);
    drop(kept);
}

#[test]
fn the_command_line_asks_a_node_elsewhere() {
    let node = Node::start(&[]);
    node.add(&doubling_file(&node.data));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let input = folder.path().join("input.json");
    std::fs::write(&input, double(&[5.0])["input"].to_string()).expect("written");
    for how in [["--node", &node.url], ["--peer", &node.address("/tcp")]] {
        let mut command = neuromesh(folder.path());
        let (answer, ok) = json_of(command.args(["run", "doubling", "--input-json"]).arg(&input).args(how));
        assert!(ok, "{how:?}: {answer}");
        assert_eq!(numbers(&answer), [10.0], "{how:?}");
    }
    let (answer, ok) = json_of(neuromesh(folder.path()).args(["models", "list", "--node", &node.url]));
    assert!(ok && answer["models"][0]["name"] == "doubling", "{answer}");
}
