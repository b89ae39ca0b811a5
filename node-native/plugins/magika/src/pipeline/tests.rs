//! The plugin against the PyPI package's own features and answers (`reference/`).

use std::{cell::RefCell, collections::BTreeMap, fs, path::PathBuf};

use serde_json::Value;

use super::{Host, detect};
use crate::{Answer, Config, ContentTypes, Features};

const PADDING: i32 = 256;

fn reference(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("reference").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn rows() -> Vec<Value> {
    serde_json::from_slice(&reference("reference.json")).expect("reference.json is a list")
}

fn config() -> Config {
    Config::from_json(&reference("config.min.json")).expect("the package's configuration")
}

/// A host whose model says what the package's model said, and that keeps what it was asked.
struct Recorded {
    content: Vec<u8>,
    files: BTreeMap<&'static str, Vec<u8>>,
    scores: Vec<f32>,
    asked: RefCell<Option<Vec<i32>>>,
    read: RefCell<Vec<(u64, u32)>>,
}

impl Recorded {
    fn new(content: Vec<u8>, scores: Vec<f32>) -> Self {
        let files = [("config", "config.min.json"), ("labels", "content_types_kb.min.json")];
        let files = files.map(|(role, name)| (role, reference(name))).into();
        Self { content, files, scores, asked: RefCell::default(), read: RefCell::default() }
    }
}

impl Host for Recorded {
    fn size(&self) -> u64 {
        self.content.len() as u64
    }

    fn read(&self, offset: u64, len: u32) -> Result<Vec<u8>, String> {
        self.read.borrow_mut().push((offset, len));
        let start = offset as usize;
        self.content.get(start..start + len as usize).map(<[u8]>::to_vec).ok_or_else(|| "outside".into())
    }

    fn file(&self, role: &str) -> Result<Vec<u8>, String> {
        self.files.get(role).cloned().ok_or_else(|| format!("no file {role}"))
    }

    fn scores(&self, tokens: Vec<i32>) -> Result<Vec<f32>, String> {
        *self.asked.borrow_mut() = Some(tokens);
        Ok(self.scores.clone())
    }
}

fn fnv1a(tokens: &[i32]) -> String {
    let bytes = tokens.iter().flat_map(|token| u16::try_from(*token).expect("a token is 0 to 256").to_le_bytes());
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

fn block(content: &[u8], size: usize) -> (&[u8], &[u8]) {
    let size = size.min(content.len());
    (&content[..size], &content[content.len() - size..])
}

#[test]
fn features_are_the_packages() {
    let config = config();
    let mut seen = 0;
    for row in rows() {
        let Some(expected) = row["features_fnv1a"].as_str() else { continue };
        let sample = row["sample"].as_str().expect("a name");
        let content = reference(&format!("samples/{sample}"));
        // The package takes no features of inputs this short, its function does.
        let (first, last) = block(&content, config.block_size);
        let tokens = Features::new(first, last, &config).into_tokens();
        assert_eq!(tokens.len(), config.beg_size + config.end_size, "{sample}");
        assert_eq!(fnv1a(&tokens), expected, "{sample}");
        seen += 1;
    }
    assert!(seen > 40, "only {seen} samples");
}

#[test]
fn answers_are_the_packages() {
    let labels = config().target_labels_space;
    for row in rows() {
        let sample = row["sample"].as_str().expect("a name");
        let said = row["model_label"].as_str().expect("a label");
        let score = row["score"].as_f64().expect("a score");
        let mut scores = vec![0.0; labels.len()];
        if let Some(index) = labels.iter().position(|label| label == said) {
            scores[index] = score as f32;
        }
        let host = Recorded::new(reference(&format!("samples/{sample}")), scores);
        let answer: Value = serde_json::from_str(&detect(&host).expect(sample)).expect("JSON");
        assert_eq!(host.asked.borrow().is_some(), said != "undefined", "{sample}: model asked");
        for (key, value) in answer.as_object().expect("an object") {
            assert_eq!(value, &row[key], "{sample}: {key}");
        }
        for key in ["label", "group", "mime_type", "description", "score", "is_text", "extensions"] {
            assert!(answer.get(key).is_some(), "{sample}: {key} is missing");
        }
    }
}

#[test]
fn only_the_ends_of_a_long_input_are_read() {
    let labels = config().target_labels_space.len();
    let host = Recorded::new(vec![b'x'; 100_000], vec![1.0 / labels as f32; labels]);
    detect(&host).expect("an answer");
    assert_eq!(*host.read.borrow(), [(0, 4096), (100_000 - 4096, 4096)]);
}

#[test]
fn white_space_is_pythons() {
    let config = config();
    let white = b" \t\n\r\x0b\x0c";
    let content: Vec<u8> = white.iter().chain(b"\x1cab\x85").chain(white).copied().collect();
    let tokens = Features::new(&content, &content, &config).into_tokens();
    assert_eq!(tokens[..3], [0x1c, i32::from(b'a'), i32::from(b'b')]);
    assert_eq!(tokens[tokens.len() - 1], 0x85);
    assert_eq!(tokens[config.beg_size], PADDING);
}

#[test]
fn equal_scores_give_the_first_label() {
    let (config, types) = (config(), ContentTypes::from_json(&reference("content_types_kb.min.json")).expect("types"));
    let scores = vec![0.9; config.target_labels_space.len()];
    let answer = Answer::from_scores(&scores, &config, &types).expect("an answer");
    assert_eq!(answer.model_label, config.target_labels_space[0]);
}

#[test]
fn bad_files_and_models_are_named() {
    let with = |role, bytes: &[u8], scores: Vec<f32>| {
        let mut host = Recorded::new(b"some text that is long enough".to_vec(), scores);
        host.files.insert(role, bytes.to_vec());
        detect(&host).expect_err("refused")
    };
    assert!(with("config", b"{}", vec![]).contains("config"));
    assert!(with("labels", b"[1]", vec![]).contains("labels"));
    assert!(with("labels", b"{}", vec![0.5; 214]).contains("lacks"));
    assert!(with("other", b"", vec![0.5; 3]).contains("3 scores"));
    let text = String::from_utf8(reference("config.min.json")).expect("text");
    let hostile = text.replace("\"beg_size\":1024", "\"beg_size\":99999999999");
    assert_ne!(text, hostile, "the configuration changed its spelling");
    assert!(with("config", hostile.as_bytes(), vec![]).contains("does not know"));
}
