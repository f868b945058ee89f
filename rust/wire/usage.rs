//! Tokens as providers count them, in the shapes of OpenAI and those that follow it, and of Anthropic; the others' in
//! `dialects`.

mod dialects;

use super::answer::Format;
use super::json::{Fault, Reader};

/// Tokens of one answer. `input_tokens` includes those read from and written to the provider's cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cached_tokens: u64,
    pub cache_write_tokens: u64,
    pub reasoning_tokens: u64,
}

/// The members of one `usage` object. An explicit 0 is a count; null and an absent member are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    input: Option<u64>,
    output: Option<u64>,
    /// From `…_tokens_details`, as OpenAI documents it.
    details: Details,
    /// From beside the totals: Anthropic's names, DeepSeek's, Moonshot's, Mistral's.
    plain: Details,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Details {
    cached: Option<u64>,
    cache_write: Option<u64>,
    reasoning: Option<u64>,
}

impl Counts {
    /// Takes a value that should be a `usage` object.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let mut counts = Self::default();
        reader.object(|reader, name| counts.member(reader, name))?;
        Ok(counts)
    }

    /// Takes one member of a `usage` object.
    pub(super) fn member(&mut self, reader: &mut Reader<'_>, name: &[u8]) -> Result<(), Fault> {
        let place = match name {
            b"prompt_tokens" | b"input_tokens" => &mut self.input,
            b"completion_tokens" | b"output_tokens" => &mut self.output,
            b"prompt_tokens_details"
            | b"completion_tokens_details"
            | b"input_tokens_details"
            | b"output_tokens_details" => return self.details.read(reader),
            b"cache_read_input_tokens" | b"prompt_cache_hit_tokens" | b"cached_tokens" | b"num_cached_tokens" => {
                &mut self.plain.cached
            }
            b"cache_creation_input_tokens" => &mut self.plain.cache_write,
            b"reasoning_tokens" => &mut self.plain.reasoning,
            _ => return reader.skip(),
        };
        if let Some(count) = reader.count()? {
            *place = Some(count);
        }
        Ok(())
    }

    /// Takes the value of `usage` as the format counts.
    pub(super) fn of(format: Format, reader: &mut Reader<'_>) -> Result<Self, Fault> {
        match format {
            Format::BedrockConverse => Self::converse(reader),
            Format::Cohere => Self::cohere(reader),
            Format::Rerank => Self::rerank(reader),
            _ => Self::read(reader),
        }
    }

    /// These counts, and of those that they lack the older ones.
    pub(super) fn or(self, older: Self) -> Self {
        Self {
            input: self.input.or(older.input),
            output: self.output.or(older.output),
            details: self.details.or(older.details),
            plain: self.plain.or(older.plain),
        }
    }

    /// Where the total of the input includes what was cached (OpenAI). None if nothing was counted.
    pub(super) fn inclusive(self) -> Option<Usage> {
        (self != Self::default()).then(|| {
            let details = self.details.or(self.plain);
            Usage {
                input_tokens: self.input.unwrap_or(0),
                output_tokens: self.output.unwrap_or(0),
                cached_tokens: details.cached.unwrap_or(0),
                cache_write_tokens: details.cache_write.unwrap_or(0),
                reasoning_tokens: details.reasoning.unwrap_or(0),
            }
        })
    }

    /// Where the input, what was read from the cache and what was written to it are three counts (Anthropic).
    pub(super) fn exclusive(self) -> Option<Usage> {
        let usage = self.inclusive()?;
        let cached = usage.cached_tokens.saturating_add(usage.cache_write_tokens);
        Some(Usage { input_tokens: usage.input_tokens.saturating_add(cached), ..usage })
    }
}

impl Details {
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), Fault> {
        reader.object(|reader, name| {
            let place = match name {
                b"cached_tokens" => &mut self.cached,
                b"cache_write_tokens" => &mut self.cache_write,
                b"reasoning_tokens" | b"thinking_tokens" => &mut self.reasoning,
                _ => return reader.skip(),
            };
            if let Some(count) = reader.count()? {
                *place = Some(count);
            }
            Ok(())
        })?;
        Ok(())
    }

    fn or(self, other: Self) -> Self {
        Self {
            cached: self.cached.or(other.cached),
            cache_write: self.cache_write.or(other.cache_write),
            reasoning: self.reasoning.or(other.reasoning),
        }
    }
}
