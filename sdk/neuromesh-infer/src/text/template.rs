//! The special tokens around a text.

use serde_json::Value;

use super::{
    TokenizerError,
    file::{kind, parts, unsupported},
};

/// The most special tokens on one side.
const MAX_SPECIAL: usize = 64;

/// What is put before and after the tokens of a text.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Template {
    pub before: Vec<u32>,
    pub after: Vec<u32>,
}

impl Template {
    /// Reads the part `post_processor` of a file; only its form for a single text is used.
    pub fn read(part: &Value) -> Result<Self, TokenizerError> {
        match kind(part) {
            None if part.is_null() => Ok(Self::default()),
            // It moves offsets, which nobody asks for.
            Some("ByteLevel") => Ok(Self::default()),
            Some("Sequence") => {
                let mut whole = Self::default();
                for inner in parts(part, "processors")? {
                    let inner = Self::read(inner)?;
                    whole.before.splice(0..0, inner.before);
                    whole.after.extend(inner.after);
                    whole.check()?;
                }
                Ok(whole)
            }
            Some("BertProcessing" | "RobertaProcessing") => {
                let id = |name: &str| {
                    let id = part.get(name).and_then(|pair| pair.get(1)).and_then(Value::as_u64);
                    let missing = || TokenizerError::Invalid(format!("{} needs {name:?}", kind(part).unwrap_or("")));
                    id.and_then(|id| u32::try_from(id).ok()).ok_or_else(missing)
                };
                Ok(Self { before: vec![id("cls")?], after: vec![id("sep")?] })
            }
            Some("TemplateProcessing") => Self::single(part),
            _ => unsupported("the post-processor", part),
        }
    }

    fn single(part: &Value) -> Result<Self, TokenizerError> {
        let invalid = |text: &str| TokenizerError::Invalid(format!("TemplateProcessing: {text}"));
        let mut template = Self::default();
        let mut seen = false;
        for item in parts(part, "single")? {
            let of = |name: &str| item.get(name).and_then(|inner| inner.get("id")).and_then(Value::as_str);
            let inner = item.get("SpecialToken").or_else(|| item.get("Sequence"));
            if inner.and_then(|inner| inner.get("type_id")).and_then(Value::as_u64).unwrap_or(0) != 0 {
                return unsupported("type_id other than 0 in", part);
            }
            match (of("SpecialToken"), of("Sequence")) {
                (Some(name), _) => {
                    let ids =
                        part.get("special_tokens").and_then(|all| all.get(name)).and_then(|token| token.get("ids"));
                    let ids = ids.and_then(Value::as_array).ok_or_else(|| invalid("a special token without ids"))?;
                    for id in ids {
                        let id = id.as_u64().and_then(|id| u32::try_from(id).ok()).ok_or_else(|| invalid("an id"))?;
                        let side = if seen { &mut template.after } else { &mut template.before };
                        side.push(id);
                    }
                }
                (None, Some("A")) if !seen => seen = true,
                _ => return Err(invalid("a single text takes the sequence A once")),
            }
            template.check()?;
        }
        if seen { Ok(template) } else { Err(invalid("the sequence A is missing")) }
    }

    /// How many special tokens there are.
    pub fn len(&self) -> usize {
        self.before.len() + self.after.len()
    }

    fn check(&self) -> Result<(), TokenizerError> {
        if self.len() > MAX_SPECIAL {
            return Err(TokenizerError::Invalid(format!("over {MAX_SPECIAL} special tokens around a text")));
        }
        Ok(())
    }
}
