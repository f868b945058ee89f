//! What the gateway reads from a provider's whole answer while it checks it.

use super::WireError;
use super::json::{Fault, Reader, unescape};
use super::usage::{Counts, Usage};

/// The shape of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    OpenAiChat,
    OpenAiCompletions,
    OpenAiEmbeddings,
    OpenAiResponses,
    Anthropic,
    AnthropicCountTokens,
}

impl Format {
    /// The format of that name.
    pub fn named(name: &str) -> Result<Self, WireError> {
        match name {
            "openai_chat" => Ok(Self::OpenAiChat),
            "openai_completions" => Ok(Self::OpenAiCompletions),
            "openai_embeddings" => Ok(Self::OpenAiEmbeddings),
            "openai_responses" => Ok(Self::OpenAiResponses),
            "anthropic" => Ok(Self::Anthropic),
            "anthropic_count_tokens" => Ok(Self::AnthropicCountTokens),
            _ => Err(WireError::value(format!("no such format: {name:?}"))),
        }
    }

    pub(super) fn usage(self, counts: Counts) -> Option<Usage> {
        match self {
            Self::Anthropic | Self::AnthropicCountTokens => counts.exclusive(),
            _ => counts.inclusive(),
        }
    }
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub usage: Option<Usage>,
    pub finish_reason: Option<String>,
    pub model: Option<String>,
    /// Whether the object says that it is an error.
    pub error: bool,
}

/// Checks that the body is one JSON object and reads it.
pub fn scan_answer(format: Format, body: &[u8]) -> Result<Answer, WireError> {
    read(format, body).map_err(|fault| WireError::answer(fault.to_string()))
}

fn read(format: Format, body: &[u8]) -> Result<Answer, Fault> {
    let mut reader = Reader::new(body)?;
    let mut parts = Parts::default();
    if !reader.object(|reader, name| parts.member(format, reader, name))? {
        return Err(Fault { at: 0, what: "expected an object" });
    }
    reader.finish()?;
    Ok(Answer {
        usage: format.usage(parts.counts),
        finish_reason: parts.ending.finish_reason().map(owned),
        model: parts.model.map(owned),
        error: parts.error,
    })
}

fn owned(raw: &[u8]) -> String {
    unescape(raw).into_owned()
}

/// Strings are raw, as they stand between their quotes.
#[derive(Debug, Default)]
struct Parts<'a> {
    counts: Counts,
    model: Option<&'a [u8]>,
    error: bool,
    ending: Ending<'a>,
}

impl<'a> Parts<'a> {
    fn member(&mut self, format: Format, reader: &mut Reader<'a>, name: &[u8]) -> Result<(), Fault> {
        match (format, name) {
            (_, b"model") => self.model = reader.string()?,
            (_, b"error") => self.error |= reader.raw()? != b"null",
            (_, b"type") => self.error |= reader.string()? == Some(b"error"),
            (_, b"usage") => self.counts = Counts::read(reader)?,
            (Format::AnthropicCountTokens, b"input_tokens") => self.counts.member(reader, name)?,
            (Format::OpenAiChat | Format::OpenAiCompletions, b"choices") => self.choices(reader)?,
            (Format::OpenAiResponses, _) => self.ending.responses(reader, name)?,
            (Format::Anthropic, b"stop_reason") => self.ending.reason = reader.string()?,
            _ => reader.skip()?,
        }
        Ok(())
    }

    fn choices(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        reader.array(|reader, index| {
            if index > 0 {
                return reader.skip();
            }
            reader.object(|reader, name| match name {
                b"finish_reason" => {
                    self.ending.reason = reader.string()?;
                    Ok(())
                }
                _ => reader.skip(),
            })?;
            Ok(())
        })?;
        Ok(())
    }
}

/// Why an answer ended, in the words of its format.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ending<'a> {
    pub(super) reason: Option<&'a [u8]>,
    status: Option<&'a [u8]>,
}

impl<'a> Ending<'a> {
    /// Takes one member of a Responses object: the reason of an incomplete one says more than its status.
    pub(super) fn responses(&mut self, reader: &mut Reader<'a>, name: &[u8]) -> Result<(), Fault> {
        match name {
            b"status" => self.status = reader.string()?,
            b"incomplete_details" => {
                reader.object(|reader, name| {
                    if name == b"reason" {
                        self.reason = reader.string()?;
                        return Ok(());
                    }
                    reader.skip()
                })?;
            }
            _ => reader.skip()?,
        }
        Ok(())
    }

    /// Neither an empty reason nor the status of what goes on is one.
    pub(super) fn finish_reason(self) -> Option<&'a [u8]> {
        let status = self.status.filter(|status| !matches!(*status, b"queued" | b"in_progress"));
        self.reason.or(status).filter(|reason| !reason.is_empty())
    }
}
