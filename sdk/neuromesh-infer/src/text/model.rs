//! Words to ids.

use super::{
    TokenizerError, bpe::Bpe, file::ModelFile, unigram::Unigram, vocabulary::Vocabulary, wordpiece::WordPiece,
};

/// A vocabulary and the way that words are written in it.
#[derive(Debug)]
pub struct Model {
    pub vocabulary: Vocabulary,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    WordPiece(WordPiece),
    Bpe(Bpe),
    Unigram(Unigram),
    WordLevel(u32),
}

impl Model {
    pub fn new(mut file: ModelFile) -> Result<Self, TokenizerError> {
        file.vocab.index()?;
        let vocabulary = std::mem::take(&mut file.vocab);
        let kind = match file.kind.as_deref() {
            Some("WordPiece") => Kind::WordPiece(WordPiece::new(
                &vocabulary,
                file.unk_token.as_deref(),
                file.continuing_subword_prefix,
                file.max_input_chars_per_word,
            )?),
            Some("BPE") => Kind::Bpe(Bpe::new(&vocabulary, &file)?),
            Some("Unigram") => Kind::Unigram(Unigram::new(&vocabulary, file.unk_id, file.byte_fallback)?),
            Some("WordLevel") => {
                let unknown = file.unk_token.as_deref().unwrap_or("<unk>");
                let missing =
                    || TokenizerError::Invalid(format!("the unknown token {unknown:?} is not in the vocabulary"));
                Kind::WordLevel(vocabulary.get(unknown).ok_or_else(missing)?)
            }
            kind => return Err(TokenizerError::Unsupported(format!("the model {}", kind.unwrap_or("without a type")))),
        };
        Ok(Self { vocabulary, kind })
    }

    pub fn encode(&self, word: &str, ids: &mut Vec<u32>) -> Result<(), TokenizerError> {
        match &self.kind {
            Kind::WordPiece(model) => model.encode(&self.vocabulary, word, ids),
            Kind::Bpe(model) => model.encode(&self.vocabulary, word, ids),
            Kind::Unigram(model) => return model.encode(&self.vocabulary, word, ids),
            Kind::WordLevel(unknown) => ids.push(self.vocabulary.get(word).unwrap_or(*unknown)),
        }
        Ok(())
    }
}
