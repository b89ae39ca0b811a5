//! Our tokenizers against the reference: the same ids for every text, and the same text for ids.

use neuromesh_infer::text::{MAX_TEXT_BYTES, Tokenizer, TokenizerError};
use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use tokenizers::{
    AddedToken,
    models::{TrainerWrapper, bpe::BpeTrainer, unigram::UnigramTrainer},
};

use crate::models::model_file;

/// Text in many scripts for the trainers; the ids of other texts do not depend on it.
const CORPUS: &[&str] = &[
    include_str!("../../../../README.md"),
    include_str!("../../NUMERICS.md"),
    "Größe, naïve Façade, œuvre, Ångström, žluťoučký kůň. Быстрая бурая лиса. Η γρήγορη καφέ αλεπού. 素早い茶色の狐が跳ぶ。",
    "빠른 갈색 여우. सही हिंदी पाठ। الثعلب البني السريع. 😀👍🏽👨‍👩‍👧 it's we'll I'D they've don't 12345 6789 3.14 ½ Ⅷ ٣",
];

/// Pieces that are hard for one rule or another.
const HARD: &[&str] = &[
    " ",
    "  ",
    "   ",
    "\t",
    "\n",
    "\r\n",
    "\n\n",
    " \n ",
    "\u{a0}",
    "\u{3000}",
    "\u{2028}",
    "\u{85}",
    "\0",
    "\u{7f}",
    "\u{ad}",
    "\u{200b}",
    "\u{200d}",
    "\u{feff}",
    "\u{fffd}",
    "\u{e000}",
    "\u{301}",
    "e\u{301}",
    "é",
    "ḍ̇",
    "각",
    "각",
    "Å",
    "ﬁ",
    "ß",
    "İ",
    "ſ",
    "'ſ",
    "'S",
    "'ll",
    "'RE",
    "'",
    "''",
    "a'b",
    "中",
    "文字",
    "𠀀",
    "🈁",
    "👩‍🚀",
    "🇩🇪",
    "½",
    "²",
    "٣",
    "Ⅷ",
    "१२३",
    "12",
    "1234567",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "[cls]",
    " [SEP] ",
    "<s>",
    "</s>",
    "<mask>",
    " <mask>",
    "<unk>",
    "##",
    "##ing",
    "▁",
    "Ġ",
    "_",
    "don't",
    "Hello",
    "world",
    "HELLO",
    "straße",
    "naïve",
    "Ελλάδα",
    "ΣΊΣΥΦΟΣ",
    "привет",
    "ภาษาไทย",
    "עברית",
    "العربية",
    "कि",
    "...",
    "!?",
    "—",
    "“quoted”",
    "a.b,c;d",
    "https://example.org/a?b=c&d",
    "snake_case",
    "camelCase",
    "x=1+2",
    "$5",
    "€",
    "^",
    "`",
    "|",
    "~",
    "\u{1}",
    "\u{10ffff}",
    "\u{378}",
    "ǅ",
    "ͅ",
    "ﷺ",
    "　",
    "－",
    "①",
];

fn text(rng: &mut ChaCha8Rng) -> String {
    let mut text = String::new();
    for _ in 0..rng.random_range(0..24) {
        match rng.random_range(0..10) {
            0..5 => text.push_str(HARD.choose(rng).unwrap()),
            5 => text.push(rng.random_range('\0'..='\u{ff}')),
            6 => text.push(rng.random_range('\0'..='\u{10ffff}')),
            7 => text.push(rng.random_range('\0'..='\u{3ff0}')),
            8 => text.push(' '),
            _ => {
                let words: Vec<&str> = CORPUS[rng.random_range(0..CORPUS.len())].split(' ').collect();
                text.push_str(words.choose(rng).unwrap());
            }
        }
    }
    text
}

/// Both tokenizers of a file, the reference without truncation and padding.
fn pair(json: &Value) -> (Tokenizer, tokenizers::Tokenizer) {
    let bytes = serde_json::to_vec(json).unwrap();
    let mut reference = tokenizers::Tokenizer::from_bytes(&bytes).unwrap();
    reference.with_truncation(None).unwrap();
    reference.with_padding(None);
    (Tokenizer::from_json(&bytes).unwrap(), reference)
}

#[track_caller]
fn same(ours: &Tokenizer, reference: &tokenizers::Tokenizer, text: &str) {
    let expected = reference.encode_fast(text, true).unwrap();
    let ids = ours.encode(text, usize::MAX).unwrap();
    assert_eq!(ids, expected.get_ids(), "{text:?}, reference {:?}", expected.get_tokens());
    for skip in [false, true] {
        // The reference's `BPEDecoder` panics without any token.
        let special =
            |id: &u32| reference.get_added_vocabulary().is_special_token(&reference.id_to_token(*id).unwrap());
        if ids.iter().all(|id| skip && special(id)) {
            continue;
        }
        assert_eq!(ours.decode(&ids, skip).unwrap(), reference.decode(&ids, skip).unwrap(), "{text:?} back");
    }
}

/// Seeded texts, each character on its own and between letters, and a huge one.
#[track_caller]
fn agrees(json: &Value, texts: u64) {
    let (ours, reference) = pair(json);
    for piece in HARD {
        same(&ours, &reference, piece);
        same(&ours, &reference, &format!("a{piece}b {piece} c{piece}"));
    }
    for seed in 0..texts {
        same(&ours, &reference, &text(&mut ChaCha8Rng::seed_from_u64(seed)));
    }
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let huge: String = std::iter::repeat_with(|| text(&mut rng)).take(2000).collect();
    same(&ours, &reference, &huge);
    same(&ours, &reference, &"long".repeat(5000));
}

fn minilm() -> Value {
    serde_json::from_slice(&model_file("all-minilm-l6-v2", "tokenizer.json")).unwrap()
}

/// A file around a vocabulary that the reference trains on [`CORPUS`], with whatever `parts` say.
fn trained(parts: &Value, mut trainer: TrainerWrapper) -> Value {
    let mut file = json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": null, "post_processor": null, "decoder": null});
    file.as_object_mut().unwrap().extend(parts.as_object().unwrap().clone());
    let mut tokenizer = tokenizers::Tokenizer::from_bytes(serde_json::to_vec(&file).unwrap()).unwrap();
    tokenizer.train(&mut trainer, CORPUS.iter().flat_map(|text| text.lines()).map(str::to_owned)).unwrap();
    serde_json::from_str(&tokenizer.to_string(false).unwrap()).unwrap()
}

fn bpe(special: &[&str]) -> TrainerWrapper {
    let special = special.iter().map(|token| AddedToken::from(*token, true)).collect();
    let alphabet = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet().into_iter().collect();
    BpeTrainer::builder()
        .vocab_size(900)
        .show_progress(false)
        .special_tokens(special)
        .initial_alphabet(alphabet)
        .build()
        .into()
}

fn unigram() -> TrainerWrapper {
    let special = ["<s>", "</s>", "<unk>"].map(|token| AddedToken::from(token, true)).to_vec();
    let mut trainer = UnigramTrainer::builder();
    let trainer = trainer.vocab_size(700).show_progress(false).unk_token(Some("<unk>".into()));
    trainer.special_tokens(special).build().unwrap().into()
}

fn no_merges() -> Value {
    json!({"type": "BPE", "vocab": {}, "merges": []})
}

/// Every character is of the same classes: letters, numbers, words, spaces, punctuation, accents.
#[test]
fn every_character_is_cut_as_by_the_reference() {
    let mut file = minilm();
    file["normalizer"] = Value::Null;
    file["added_tokens"] = json!([]);
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true});
    let normalizer = minilm()["normalizer"].clone();
    let whitespace = json!({"type": "Whitespace"});
    let bert = json!({"type": "BertPreTokenizer"});
    // Of ideographs, syllables, private and unassigned planes every 64th: they are of one class each.
    let uniform = |n: u32| matches!(n, 0x3400..0xA000 | 0xAC00..0xD7A4 | 0xE000..0xF900 | 0x17000..0x18D00 | 0x20000..);
    let all: Vec<char> = ('\0'..=char::MAX).filter(|c| (*c as u32).is_multiple_of(64) || !uniform(*c as u32)).collect();
    for (normalizer, splitter) in
        [(Value::Null, whitespace), (Value::Null, bert.clone()), (Value::Null, byte_level), (normalizer, bert)]
    {
        (file["normalizer"], file["pre_tokenizer"]) = (normalizer, splitter);
        let (ours, reference) = pair(&file);
        for chars in all.chunks(512) {
            // After a letter, a digit and a sign: a character of each class joins one of them.
            let text: String = chars.iter().map(|c| format!("a{c}1{c}.{c}")).collect();
            let expected = reference.encode_fast(text.as_str(), true).unwrap();
            assert!(ours.encode(&text, usize::MAX).unwrap() == expected.get_ids(), "of 512 from {:?}", chars[0]);
        }
    }
}

#[test]
fn minilm_is_cut_as_by_the_reference() {
    agrees(&minilm(), 3000);
}

#[test]
fn bert_with_other_switches() {
    for (clean, ideographs, accents, lowercase) in [
        (true, true, Some(false), false),
        (false, false, Some(true), false),
        (true, false, None, true),
        (false, true, Some(false), true),
    ] {
        let mut file = minilm();
        file["normalizer"] = json!({"type": "BertNormalizer", "clean_text": clean, "handle_chinese_chars": ideographs,
            "strip_accents": accents, "lowercase": lowercase});
        file["post_processor"] = json!({"type": "BertProcessing", "sep": ["[SEP]", 102], "cls": ["[CLS]", 101]});
        file["decoder"] = json!({"type": "WordPiece", "prefix": "##", "cleanup": true});
        agrees(&file, 300);
    }
}

#[test]
fn every_normalizer_and_splitter_that_is_known() {
    let normalizers = [
        json!({"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"}]}),
        json!({"type": "NFC"}),
        json!({"type": "NFKC"}),
        json!({"type": "NFKD"}),
        json!({"type": "Strip", "strip_left": true, "strip_right": false}),
        json!({"type": "Replace", "pattern": {"String": "a"}, "content": "bc "}),
        json!({"type": "Sequence", "normalizers":
            [{"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}, {"type": "Prepend", "prepend": "x"}]}),
    ];
    let splitters = [
        json!({"type": "Whitespace"}),
        json!({"type": "WhitespaceSplit"}),
        json!({"type": "Sequence", "pretokenizers":
            [{"type": "WhitespaceSplit"}, {"type": "Digits", "individual_digits": true}]}),
        json!({"type": "Digits", "individual_digits": false}),
        json!({"type": "Punctuation", "behavior": "Contiguous"}),
        json!({"type": "Punctuation", "behavior": "MergedWithPrevious"}),
        json!({"type": "Punctuation", "behavior": "MergedWithNext"}),
        json!({"type": "Punctuation", "behavior": "Removed"}),
        json!({"type": "Split", "pattern": {"String": "ab"}, "behavior": "Isolated", "invert": false}),
        json!({"type": "Split", "pattern": {"Regex": "\\s+"}, "behavior": "Removed", "invert": false}),
        json!({"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": true}),
    ];
    for (at, splitter) in splitters.iter().enumerate() {
        for normalizer in normalizers.iter().skip(at % 2).step_by(2) {
            let mut file = minilm();
            (file["normalizer"], file["pre_tokenizer"]) = (normalizer.clone(), splitter.clone());
            let (ours, reference) = pair(&file);
            HARD.iter().for_each(|piece| same(&ours, &reference, &format!("{piece}ab, {piece}12 {piece}")));
            (0..100).for_each(|seed| same(&ours, &reference, &text(&mut ChaCha8Rng::seed_from_u64(seed))));
        }
    }
}

#[test]
fn byte_level_pairs_as_in_gpt_2_and_roberta() {
    let parts = json!({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true}, "model": no_merges()});
    let mut file = trained(&parts, bpe(&["<s>", "</s>", "<mask>"]));
    agrees(&file, 1000);
    file["pre_tokenizer"]["add_prefix_space"] = json!(true);
    file["post_processor"] = json!({"type": "RobertaProcessing", "sep": ["</s>", 1], "cls": ["<s>", 0],
        "trim_offsets": true, "add_prefix_space": true});
    file["added_tokens"][2]["lstrip"] = json!(true);
    file["added_tokens"][1]["rstrip"] = json!(true);
    file["added_tokens"].as_array_mut().unwrap().extend([
        json!({"id": 900, "content": "Hello", "single_word": true, "lstrip": false, "rstrip": false, "normalized": true, "special": false}),
        json!({"id": 901, "content": "wor", "single_word": false, "lstrip": false, "rstrip": false, "normalized": true, "special": false}),
        json!({"id": 902, "content": "world", "single_word": false, "lstrip": true, "rstrip": true, "normalized": true, "special": false}),
    ]);
    agrees(&file, 1000);
}

#[test]
fn byte_level_pairs_as_in_llama_3_and_qwen_2() {
    for (digits, normalizer) in [(r"\p{N}{1,3}", Value::Null), (r"\p{N}", json!({"type": "NFC"}))] {
        let pattern = format!(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        );
        let parts = json!({"normalizer": normalizer, "model": no_merges(), "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false},
                {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]}});
        let mut file = trained(&parts, bpe(&["<s>"]));
        file["model"]["ignore_merges"] = json!(true);
        file["post_processor"] = json!({"type": "Sequence", "processors": [{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true},
            {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
             "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
             "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}}]});
        agrees(&file, 1000);
    }
}

#[test]
fn pairs_with_bytes_for_what_is_unknown_as_in_llama_2() {
    let normalizer = json!({"type": "Sequence", "normalizers":
        [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]});
    let parts = json!({"normalizer": normalizer, "model": no_merges(),
        "pre_tokenizer": {"type": "Split", "pattern": {"String": "▁"}, "behavior": "MergedWithNext", "invert": false}});
    let special = ["<unk>", "<s>", "</s>"].map(|token| AddedToken::from(token, true)).to_vec();
    let trainer = BpeTrainer::builder().vocab_size(700).limit_alphabet(60).show_progress(false).special_tokens(special);
    let mut file = trained(&parts, trainer.build().into());
    file["pre_tokenizer"] = Value::Null;
    file["decoder"] = json!({"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]});
    file["model"]["unk_token"] = json!("<unk>");
    for fuse in [true, false] {
        file["model"]["fuse_unk"] = json!(fuse);
        agrees(&file, 300);
    }
    let vocab = file["model"]["vocab"].as_object_mut().unwrap();
    let next = vocab.len();
    // Without one of the bytes, what needs it stays unknown.
    (0..=255)
        .filter(|byte| *byte != 0xa0)
        .for_each(|byte| drop(vocab.insert(format!("<0x{byte:02X}>"), json!(next + byte))));
    file["model"]["byte_fallback"] = json!(true);
    agrees(&file, 1000);
}

#[test]
fn pairs_with_the_end_of_a_word_as_in_clip() {
    let parts = json!({"normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "Whitespace"}, "model": no_merges(),
        "decoder": {"type": "BPEDecoder", "suffix": "</w>"}});
    for (prefix, suffix) in [(None, Some("</w>")), (Some("@@"), None)] {
        let special = vec![AddedToken::from("<unk>", true)];
        let mut trainer =
            BpeTrainer::builder().vocab_size(700).limit_alphabet(80).show_progress(false).special_tokens(special);
        trainer = match suffix {
            Some(suffix) => trainer.end_of_word_suffix(suffix.into()),
            None => trainer.continuing_subword_prefix(prefix.unwrap_or_default().to_owned()),
        };
        let mut file = trained(&parts, trainer.build().into());
        agrees(&file, 300);
        file["model"]["unk_token"] = json!("<unk>");
        agrees(&file, 300);
    }
}

#[test]
fn the_most_probable_tokens_as_in_sentencepiece() {
    let parts = json!({"normalizer": {"type": "NFKC"}, "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
        "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0]]}});
    let mut file = trained(&parts, unigram());
    for (scheme, split) in [("always", true), ("first", true), ("never", false), ("first", false)] {
        file["pre_tokenizer"]["prepend_scheme"] = json!(scheme);
        file["pre_tokenizer"]["split"] = json!(split);
        file["decoder"]["prepend_scheme"] = json!(scheme);
        agrees(&file, 500);
    }
}

#[test]
fn texts_are_cut_after_as_many_tokens_as_wanted() {
    let (ours, reference) = pair(&minilm());
    let all = reference.encode_fast(CORPUS[0], true).unwrap().get_ids().to_vec();
    for most in [2, 3, 17, 128, all.len()] {
        let ids = ours.encode(CORPUS[0], most).unwrap();
        let (last, kept) = (all[all.len() - 1], &all[..most - 1]);
        assert_eq!(ids, [kept, &[last]].concat());
    }
    assert_eq!(ours.encode(CORPUS[0], 0).unwrap(), [all[0], all[all.len() - 1]]);
    let long = "x".repeat(MAX_TEXT_BYTES + 1);
    assert_eq!(ours.encode(&long, 9), Err(TokenizerError::TooLong { length: long.len(), limit: MAX_TEXT_BYTES }));
    assert_eq!(ours.decode(&[u32::MAX], false), Err(TokenizerError::NoToken(u32::MAX)));
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    let changes = [
        ("normalizer", json!({"type": "Precompiled", "precompiled_charsmap": "AA=="}), "Precompiled"),
        ("normalizer", json!({"type": "Replace", "pattern": {"Regex": "a+"}, "content": ""}), "a+"),
        (
            "pre_tokenizer",
            json!({"type": "Split", "pattern": {"Regex": "x*"}, "behavior": "Isolated", "invert": false}),
            "x*",
        ),
        ("pre_tokenizer", json!({"type": "UnicodeScripts"}), "UnicodeScripts"),
        ("post_processor", json!({"type": "Surprise"}), "Surprise"),
        ("decoder", json!({"type": "CTC", "pad_token": "x", "word_delimiter_token": "y", "cleanup": true}), "CTC"),
        ("model", json!({"type": "Tiktoken", "vocab": {}}), "Tiktoken"),
        ("model", json!({"type": "BPE", "vocab": {}, "merges": [], "dropout": 0.1}), "dropout"),
        ("model", json!({"type": "WordPiece", "vocab": {"[UNK]": 0}, "max_input_chars_per_word": 100_000}), "100000"),
    ];
    for (part, value, name) in changes {
        let mut file = minilm();
        file[part] = value;
        let error = Tokenizer::from_json(&serde_json::to_vec(&file).unwrap()).unwrap_err();
        assert!(matches!(&error, TokenizerError::Unsupported(text) if text.contains(name)), "{error}");
    }
}

#[test]
fn damaged_files_are_errors() {
    let whole = model_file("all-minilm-l6-v2", "tokenizer.json");
    for cut in [0, 1, 100, 1000, 50_000, whole.len() - 1] {
        assert!(matches!(Tokenizer::from_json(&whole[..cut]), Err(TokenizerError::Syntax(_))), "{cut}");
    }
    let small = trained(
        &json!({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true}, "model": no_merges(), "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true}}),
        bpe(&["<s>"]),
    );
    let bytes = serde_json::to_vec(&small).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    for _ in 0..500 {
        let mut bytes = bytes.clone();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..bytes.len());
            bytes[at] = *br#"{}[]",:0a9 "#.choose(&mut rng).unwrap();
        }
        if let Ok(tokenizer) = Tokenizer::from_json(&bytes) {
            let _ = tokenizer.encode(CORPUS[2], 100).map(|ids| tokenizer.decode(&ids, true));
        }
    }
    let far = json!({"model": {"type": "WordLevel", "unk_token": "a", "vocab": {"a": u32::MAX}}});
    assert!(matches!(Tokenizer::from_json(far.to_string().as_bytes()), Err(TokenizerError::Syntax(_))));
}
