//! Text made token by token, against ONNX Runtime, which sees the whole text anew for each token.

use std::sync::Arc;

use neuromesh_infer::{
    Limits, Model,
    generation::{Finish, GenerateOptions, Generated, GenerationError, Generator, Progress, Prompt, Sampling},
};
use serde_json::json;

use crate::models::{cache, model_file};

/// What ONNX Runtime's most probable tokens are after [`prompt`].
const EXPECTED: [u32; 24] = [
    484, 328, 231, 1001, 761, 910, 771, 647, 270, 287, 277, 254, 433, 941, 916, 838, 161, 727, 211, 280, 466, 51, 437,
    88,
];

fn prompt() -> Prompt {
    Prompt::Tokens((0..16).map(|i| (i * 37 + 11) % 1024).collect())
}

fn decoder() -> Arc<Model> {
    let path = cache().join("reference/decoder/model.onnx");
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{} ({error}): run `make test`", path.display()));
    Arc::new(Model::load(bytes.into(), &Limits::default()).unwrap())
}

fn generator(tokenizer: Option<&[u8]>, stop: &[u32]) -> Arc<Generator> {
    Arc::new(Generator::new(decoder(), tokenizer, stop.to_vec(), 512).unwrap())
}

fn options(max_new_tokens: usize, sampling: Sampling) -> GenerateOptions {
    GenerateOptions { max_new_tokens, sampling }
}

/// The answer, and what came before it.
fn generate(generator: &Arc<Generator>, prompt: &Prompt, options: &GenerateOptions) -> (Generated, Vec<u32>, String) {
    let mut run = generator.start(prompt, options).unwrap();
    let (mut tokens, mut text) = (Vec::new(), String::new());
    loop {
        match run.step().unwrap() {
            Progress::Working => {}
            Progress::Token(token, part) => {
                tokens.push(token);
                text += &part;
            }
            Progress::Text(part) => text += &part,
            Progress::Done(whole) => return (whole, tokens, text),
        }
    }
}

#[test]
fn the_most_probable_tokens_are_those_of_onnx_runtime() {
    let greedy = options(24, Sampling::default());
    let (whole, parts, _) = generate(&generator(None, &[]), &prompt(), &greedy);
    assert_eq!(whole, Generated { tokens: EXPECTED.to_vec(), text: String::new(), finish: Finish::Length });
    assert_eq!(parts, EXPECTED);
    let (whole, ..) = generate(&generator(None, &[910]), &prompt(), &greedy);
    assert_eq!(whole, Generated { tokens: EXPECTED[..5].to_vec(), text: String::new(), finish: Finish::Stop });
}

#[test]
fn a_seed_gives_the_same_tokens_again() {
    let generator = generator(None, &[]);
    let sampling = |seed| options(24, Sampling { temperature: 1.0, top_k: 50, top_p: 0.9, seed });
    let first = generate(&generator, &prompt(), &sampling(1)).1;
    assert_eq!(generate(&generator, &prompt(), &sampling(1)).1, first);
    assert_ne!(generate(&generator, &prompt(), &sampling(2)).1, first);
    // Whatever the temperature, one token to choose from is the most probable one.
    for only in [
        Sampling { temperature: 5.0, top_k: 1, ..Sampling::default() },
        Sampling { temperature: 1.0, top_p: 1e-6, ..Sampling::default() },
    ] {
        assert_eq!(generate(&generator, &prompt(), &options(24, only)).1, EXPECTED);
    }
}

#[test]
fn parts_make_up_the_text() {
    // Tokens of bytes: most characters are cut in several.
    let bytes = (0..256).map(|byte| (format!("<0x{byte:02X}>"), json!(byte)));
    let words = (256..1024).map(|id| (format!("é{}", char::from_u32(0x4e00 + id).unwrap()), json!(id)));
    let vocab: serde_json::Map<_, _> = bytes.chain(words).collect();
    let file = json!({"model": {"type": "BPE", "vocab": vocab, "merges": [], "byte_fallback": true},
        "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]}});
    let generator = generator(Some(file.to_string().as_bytes()), &[]);
    for seed in 0..5 {
        let sampling = Sampling { temperature: 2.0, seed, ..Sampling::default() };
        let (whole, tokens, text) = generate(&generator, &Prompt::Text("aé文".into()), &options(40, sampling));
        assert_eq!(whole.tokens, tokens);
        assert_eq!(whole.text, text);
        assert!(!text.is_empty());
    }
}

#[test]
fn what_cannot_be_generated_is_refused() {
    let tokenizer = model_file("all-minilm-l6-v2", "tokenizer.json");
    let magika = Arc::new(Model::load(model_file("magika", "model.onnx"), &Limits::default()).unwrap());
    assert!(matches!(Generator::new(magika, None, vec![], 9), Err(GenerationError::Model(_))));
    assert!(matches!(Generator::new(decoder(), Some(&tokenizer[..99]), vec![], 9), Err(GenerationError::Tokenizer(_))));
    assert!(matches!(Generator::new(decoder(), None, vec![], usize::MAX), Err(GenerationError::Options(_))));
    let generator = generator(None, &[]);
    let greedy = options(4, Sampling::default());
    let refused = |prompt: &Prompt, options: &GenerateOptions| {
        assert!(matches!(generator.start(prompt, options), Err(GenerationError::Options(_))), "{options:?}");
    };
    refused(&Prompt::Text("no tokenizer".into()), &greedy);
    refused(&Prompt::Tokens(vec![]), &greedy);
    refused(&Prompt::Tokens(vec![1; 512]), &greedy);
    refused(&prompt(), &options(0, Sampling::default()));
    refused(&prompt(), &options(4, Sampling { temperature: f32::NAN, ..Sampling::default() }));
    refused(&prompt(), &options(4, Sampling { top_p: 0.0, ..Sampling::default() }));
    // A token that the model does not have is found out by its own operators.
    let mut run = generator.start(&Prompt::Tokens(vec![5000]), &greedy).unwrap();
    let error = (0..10_000).find_map(|_| run.step().err());
    assert!(matches!(error, Some(GenerationError::Run(_))));
    // The answer ends where the context does.
    let (whole, ..) = generate(&generator, &Prompt::Tokens(vec![1; 510]), &greedy);
    assert_eq!((whole.tokens.len(), whole.finish), (2, Finish::Length));
}
