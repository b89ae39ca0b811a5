use std::path::Path;

use super::{ByteSize, Config, ConfigError, GlobalArgs, LogFormat, NodeArgs, NodeTier, RoomIssuer};
use neuromesh::Tier;

fn resolve(toml: &str, node: NodeArgs) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("neuromesh.toml");
    std::fs::write(&path, toml).expect("written");
    Config::resolve(&GlobalArgs { config: Some(path), data: Some("/data".into()), ..GlobalArgs::default() }, &node)
}

#[test]
fn the_file_fills_what_flags_leave_open() {
    let toml = "tier = 'cloud'\nhttp = '0.0.0.0:9'\nthreads = 3\nmax-memory = '512MiB'\nlog-format = 'json'\n\
                listen = ['/ip4/127.0.0.1/tcp/0']\npeer = ['/dns4/a.example/tcp/1']\nno-relay = true\nrelay-slots = 2\nweb = '/srv/page'";
    let config = resolve(toml, NodeArgs::default()).expect("valid");
    assert_eq!((config.node.tier, config.node.threads, config.node.max_memory), (Tier::Cloud, 3, 512 << 20));
    assert_eq!((config.node.listen.len(), config.node.peers.len(), config.node.relay), (1, 1, false));
    assert_eq!((config.node.http.port(), config.log_format), (9, LogFormat::Json));
    assert_eq!(config.node.relay_slots, Some(2));
    assert_eq!(config.node.web.as_deref(), Some(Path::new("/srv/page")));

    let flags = NodeArgs {
        tier: Some(NodeTier::Edge),
        http: Some("127.0.0.1:7".parse().expect("an address")),
        no_relay: Some(false),
        max_memory: Some(ByteSize(5)),
        listen: vec!["/ip4/127.0.0.1/tcp/1".parse().expect("an address"); 2],
        ..NodeArgs::default()
    };
    let config = resolve(toml, flags).expect("valid");
    assert_eq!((config.node.tier, config.node.http.port(), config.node.threads), (Tier::Edge, 7, 3));
    assert_eq!((config.node.listen.len(), config.node.relay, config.node.max_memory), (2, true, 5));
}

#[test]
fn defaults_are_valid_and_keep_http_on_this_machine() {
    let config = resolve("", NodeArgs::default()).expect("valid");
    assert_eq!(config.node.listen.len(), 4);
    assert!(config.node.http.ip().is_loopback());
    assert!(config.node.relay && (1..=256).contains(&config.node.threads));
    assert_eq!(config.log_level, None);
}

#[test]
fn mistakes_in_the_file_are_named() {
    for (toml, words) in [
        ("tiers = 'edge'", "tiers"),
        ("tier = 'device'", "device"),
        ("listen = ['nowhere']", "listen"),
        ("max-memory = '2 apples'", "MiB"),
        ("max-memory = 0", "MiB"),
        ("threads = 0", "1 to 256"),
        ("threads = 257", "1 to 256"),
        ("room-issuer = ['me']", "12D3KooW"),
        ("relay-slots = 256", "relay-slots"),
        ("http = 8080", "http"),
        ("[[", "neuromesh.toml"),
    ] {
        let error = resolve(toml, NodeArgs::default()).expect_err(toml).to_string();
        assert!(error.contains(words) && error.contains("neuromesh.toml"), "{toml}: {error}");
    }
    let missing = GlobalArgs { config: Some("/no/such/file.toml".into()), ..GlobalArgs::default() };
    let error = Config::resolve(&missing, &NodeArgs::default()).expect_err("no file").to_string();
    assert!(error.contains("/no/such/file.toml"));
}

#[test]
fn issuers_of_tokens_are_named_by_their_peer_ids() {
    let peer = neuromesh::PeerId::from_public_key([7; 32]);
    let toml = format!("room-issuer = ['self', '{peer}']");
    let config = resolve(&toml, NodeArgs::default()).expect("valid");
    let own = neuromesh::PeerId::from_public_key([1; 32]);
    assert_eq!(config.node.room_issuers.iter().map(|issuer| issuer.peer(own)).collect::<Vec<_>>(), [own, peer]);
    let flags = NodeArgs { room_issuer: vec![RoomIssuer::Peer(peer)], ..NodeArgs::default() };
    assert_eq!(resolve(&toml, flags).expect("valid").node.room_issuers, [RoomIssuer::Peer(peer)]);
    assert!(resolve("", NodeArgs::default()).expect("valid").node.room_issuers.is_empty());
    let many = NodeArgs { room_issuer: vec![RoomIssuer::Own; 9], ..NodeArgs::default() };
    assert!(resolve("", many).expect_err("too many").to_string().contains("limit of 8"));
}

#[test]
fn sizes_read_as_people_write_them() {
    for (text, bytes) in [("1", 1), ("4096b", 4096), ("3K", 3 << 10), ("512MiB", 512 << 20), (" 2 gib ", 2 << 30)] {
        assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
    }
    for text in ["", "0", "-1", "x", "1.5GiB", "99999999999999999999", "99999999999T", "1MB2"] {
        assert!(text.parse::<ByteSize>().is_err(), "{text}");
    }
    assert_eq!(ByteSize(3 << 20).to_string(), "3.0 MiB");
    assert_eq!(ByteSize(7).to_string(), "7 B");
}
