//! Tokens in the words of Gemini, Bedrock, Cohere and Ollama.

use super::{Counts, Details};
use crate::wire::json::{Fault, Reader};

impl Counts {
    /// Takes a `usageMetadata` of Gemini's: thinking is counted beside the candidates, what tools brought beside the
    /// prompt; what was cached is part of it.
    pub(in crate::wire) fn gemini(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let mut counts = Self::default();
        let (mut tools, mut thoughts) = (None, None);
        reader.object(|reader, name| {
            let place = match name {
                b"promptTokenCount" => &mut counts.input,
                b"candidatesTokenCount" => &mut counts.output,
                b"cachedContentTokenCount" => &mut counts.plain.cached,
                b"thoughtsTokenCount" => &mut thoughts,
                b"toolUsePromptTokenCount" => &mut tools,
                _ => return reader.skip(),
            };
            put(place, reader)
        })?;
        counts.plain.reasoning = thoughts;
        counts.input = sum(counts.input, tools);
        counts.output = sum(counts.output, thoughts);
        Ok(counts)
    }

    /// Takes one member of what Gemini answers when it counts tokens.
    pub(in crate::wire) fn gemini_total(&mut self, reader: &mut Reader<'_>, name: &[u8]) -> Result<(), Fault> {
        match name {
            b"totalTokens" => put(&mut self.input, reader),
            b"cachedContentTokenCount" => put(&mut self.plain.cached, reader),
            _ => reader.skip(),
        }
    }

    /// Takes a `usage` of Bedrock's Converse, which counts beside the input what was read from the cache or written.
    pub(in crate::wire) fn converse(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let mut counts = Self::default();
        reader.object(|reader, name| {
            let place = match name {
                b"inputTokens" => &mut counts.input,
                b"outputTokens" => &mut counts.output,
                b"cacheReadInputTokens" => &mut counts.plain.cached,
                b"cacheWriteInputTokens" => &mut counts.plain.cache_write,
                _ => return reader.skip(),
            };
            put(place, reader)
        })?;
        Ok(counts)
    }

    /// Takes a `usage` or `meta` of Cohere's. What is billed leaves out what the service added to the prompt.
    pub(in crate::wire) fn cohere(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let (mut tokens, mut billed, mut cached) = (Self::default(), Self::default(), None);
        reader.object(|reader, name| match name {
            b"tokens" => tokens.cohere_tokens(reader, false),
            b"billed_units" => billed.cohere_tokens(reader, true),
            b"cached_tokens" => put(&mut cached, reader),
            _ => reader.skip(),
        })?;
        let cached = Self { plain: Details { cached, ..Details::default() }, ..Self::default() };
        Ok(tokens.or(billed).or(cached))
    }

    /// Tokens of images are billed beside those of the text.
    fn cohere_tokens(&mut self, reader: &mut Reader<'_>, billed: bool) -> Result<(), Fault> {
        let mut images = None;
        reader.object(|reader, name| match name {
            b"image_tokens" if billed => put(&mut images, reader),
            _ => self.member(reader, name),
        })?;
        self.input = sum(self.input, images);
        Ok(())
    }

    /// Takes a `usage` of a ranking: some count one total, which is all input.
    pub(in crate::wire) fn rerank(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let (mut counts, mut total) = (Self::default(), None);
        reader.object(|reader, name| match name {
            b"total_tokens" => put(&mut total, reader),
            _ => counts.member(reader, name),
        })?;
        counts.input = counts.input.or(total);
        Ok(counts)
    }

    /// Takes one member of Ollama's answer, where the counts stand at the top.
    pub(in crate::wire) fn ollama(&mut self, reader: &mut Reader<'_>, name: &[u8]) -> Result<(), Fault> {
        match name {
            b"prompt_eval_count" => put(&mut self.input, reader),
            b"eval_count" => put(&mut self.output, reader),
            _ => reader.skip(),
        }
    }
}

fn put(place: &mut Option<u64>, reader: &mut Reader<'_>) -> Result<(), Fault> {
    if let Some(count) = reader.count()? {
        *place = Some(count);
    }
    Ok(())
}

fn sum(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.saturating_add(other)),
        _ => one.or(other),
    }
}
