//! What one frame of a stream says, per format.
//!
//! Real output is: text, a tool call, thinking, a refusal, audio. A role, an empty text, a ping, an item or block that
//! has only begun are none: a provider sends them before it knows whether it can answer.

mod cohere;
mod converse;
mod gemini;
mod ollama;

use super::answer::{Ending, Format};
use super::json::{Fault, Reader};
use super::usage::Counts;

/// Choices from here on share a bit: OpenAI's reference allows 128 (`n` of "Create chat completion").
const LAST_CHOICE: u64 = 127;

/// Strings are raw, as they stand between their quotes.
#[derive(Debug, Default)]
pub(super) struct Frame<'a> {
    pub(super) output: bool,
    pub(super) complete: bool,
    pub(super) error: bool,
    pub(super) finish_reason: Option<&'a [u8]>,
    /// Whether the reason is that of the first choice.
    pub(super) first_choice: bool,
    /// The choices that the frame speaks of, a bit each by index, and those of them that it ends.
    pub(super) begun: u128,
    pub(super) ended: u128,
    pub(super) counts: Option<Counts>,
    /// Whether the counts add to earlier ones rather than replace them.
    pub(super) adds: bool,
    /// The member `type`, and that of the item or content block within.
    kind: &'a [u8],
    inner_kind: &'a [u8],
    /// Whether a member that holds output holds any.
    content: bool,
    ending: Ending<'a>,
}

impl<'a> Frame<'a> {
    /// Reads one frame. `look`: output is still looked for.
    pub(super) fn read(&mut self, format: Format, look: bool, reader: &mut Reader<'a>) -> Result<(), Fault> {
        match format {
            Format::Cohere => return self.cohere(look, reader),
            Format::Gemini => return self.gemini(look, reader),
            Format::Ollama => return self.ollama(look, reader),
            _ => {}
        }
        reader.object(|reader, name| match (format, name) {
            (_, b"error") => self.take_error(reader),
            (_, b"type") => self.take_kind(reader),
            (_, b"usage") => self.take_usage(reader),
            (Format::OpenAiResponses, _) => self.responses_member(reader, name, look),
            (Format::Anthropic | Format::BedrockInvoke, _) => self.anthropic_member(reader, name, look),
            (_, b"choices") => self.choices(reader, look),
            (_, b"x_groq") => self.usage_within(reader),
            _ => reader.skip(),
        })?;
        Ok(())
    }

    /// Draws the conclusions for which the whole frame must have been read: its members come in any order.
    pub(super) fn settle(&mut self, format: Format) {
        self.error |= self.kind == b"error";
        match format {
            Format::OpenAiResponses => self.settle_responses(),
            Format::Anthropic | Format::BedrockInvoke => self.settle_anthropic(),
            _ => {}
        }
    }

    fn take_error(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        self.error |= reader.raw()? != b"null";
        Ok(())
    }

    fn take_kind(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        self.kind = reader.string()?.unwrap_or_default();
        Ok(())
    }

    fn take_usage(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        self.take_counts(Counts::read(reader)?);
        Ok(())
    }

    /// Null and an object without counts say nothing.
    fn take_counts(&mut self, counts: Counts) {
        if counts != Counts::default() {
            self.counts = Some(counts);
        }
    }

    /// The reason of an answer that is the only one.
    fn take_reason(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        self.finish_reason = reader.string()?.filter(|reason| !reason.is_empty());
        self.first_choice = true;
        Ok(())
    }

    /// Notes a choice that the frame speaks of, and the reason if it ends it.
    fn choose(&mut self, index: u64, reason: Option<&'a [u8]>) {
        let bit = 1 << index.min(LAST_CHOICE);
        self.begun |= bit;
        if reason.is_some() {
            self.ended |= bit;
        }
        if reason.is_some() && (index == 0 || self.finish_reason.is_none()) {
            self.finish_reason = reason;
            self.first_choice = index == 0;
        }
    }

    fn usage_within(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        reader.object(|reader, name| if name == b"usage" { self.take_usage(reader) } else { reader.skip() })?;
        Ok(())
    }

    fn look(&mut self, reader: &mut Reader<'a>, look: bool) -> Result<(), Fault> {
        if look {
            self.content |= reader.says_something()?;
            return Ok(());
        }
        reader.skip()
    }
}

// --- chat and completions ---------------------------------------------------------------------------------------------

impl<'a> Frame<'a> {
    fn choices(&mut self, reader: &mut Reader<'a>, look: bool) -> Result<(), Fault> {
        reader.array(|reader, _| self.choice(reader, look))?;
        self.output |= self.content;
        Ok(())
    }

    fn choice(&mut self, reader: &mut Reader<'a>, look: bool) -> Result<(), Fault> {
        let (mut index, mut reason) = (0, None);
        reader.object(|reader, name| {
            match name {
                b"index" => index = reader.count()?.unwrap_or(0),
                b"finish_reason" => reason = reader.string()?.filter(|reason| !reason.is_empty()),
                b"delta" | b"message" if look => self.delta(reader)?,
                b"text" => self.look(reader, look)?,
                b"usage" => self.take_usage(reader)?,
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        self.choose(index, reason);
        Ok(())
    }

    fn delta(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        reader.object(|reader, name| match name {
            b"content" | b"reasoning_content" | b"reasoning" | b"reasoning_details" | b"refusal" | b"tool_calls" => {
                self.look(reader, true)
            }
            b"audio" | b"function_call" => self.parts(reader),
            _ => reader.skip(),
        })?;
        Ok(())
    }

    /// Some providers write out every member, with empty texts.
    fn parts(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        reader.object(|reader, name| match name {
            b"data" | b"transcript" | b"name" | b"arguments" => self.look(reader, true),
            _ => reader.skip(),
        })?;
        Ok(())
    }
}

// --- responses --------------------------------------------------------------------------------------------------------

impl<'a> Frame<'a> {
    fn responses_member(&mut self, reader: &mut Reader<'a>, name: &[u8], look: bool) -> Result<(), Fault> {
        match name {
            b"delta" | b"partial_image_b64" => self.look(reader, look),
            b"item" if look => self.inner_kind(reader),
            b"response" => self.response(reader),
            _ => reader.skip(),
        }
    }

    fn inner_kind(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        reader.object(|reader, name| {
            if name != b"type" {
                return reader.skip();
            }
            self.inner_kind = reader.string()?.unwrap_or_default();
            Ok(())
        })?;
        Ok(())
    }

    fn response(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        reader.object(|reader, name| match name {
            b"usage" => self.take_usage(reader),
            _ => self.ending.responses(reader, name),
        })?;
        Ok(())
    }

    fn settle_responses(&mut self) {
        match self.kind {
            b"response.completed" | b"response.incomplete" | b"response.failed" => {
                self.complete = true;
                self.finish_reason = self.ending.finish_reason();
                self.first_choice = true;
                self.error |= self.kind == b"response.failed";
            }
            // A call begins with its name; a message and reasoning begin empty.
            b"response.output_item.added" => {
                self.output = !matches!(self.inner_kind, b"" | b"message" | b"reasoning");
            }
            b"response.output_item.done" => self.output = !matches!(self.inner_kind, b"" | b"reasoning"),
            _ => self.output = self.content,
        }
    }
}

// --- Anthropic --------------------------------------------------------------------------------------------------------

impl<'a> Frame<'a> {
    fn anthropic_member(&mut self, reader: &mut Reader<'a>, name: &[u8], look: bool) -> Result<(), Fault> {
        match name {
            b"delta" => self.anthropic_delta(reader, look),
            b"content_block" if look => self.content_block(reader),
            b"message" => self.usage_within(reader),
            _ => reader.skip(),
        }
    }

    fn anthropic_delta(&mut self, reader: &mut Reader<'a>, look: bool) -> Result<(), Fault> {
        reader.object(|reader, name| match name {
            b"text" | b"thinking" | b"partial_json" => self.look(reader, look),
            b"stop_reason" => self.take_reason(reader),
            _ => reader.skip(),
        })?;
        Ok(())
    }

    fn content_block(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        reader.object(|reader, name| match name {
            b"type" => {
                self.inner_kind = reader.string()?.unwrap_or_default();
                Ok(())
            }
            b"text" | b"thinking" => self.look(reader, true),
            _ => reader.skip(),
        })?;
        Ok(())
    }

    fn settle_anthropic(&mut self) {
        self.first_choice = true;
        self.complete = self.kind == b"message_stop" || self.finish_reason.is_some();
        // Within a message each count replaces the one before; those that are not repeated stay.
        self.adds = self.kind == b"message_delta";
        // Text and thinking begin empty; a tool call begins with its name, what was redacted comes whole.
        self.output = self.content || !matches!(self.inner_kind, b"" | b"text" | b"thinking");
    }
}
