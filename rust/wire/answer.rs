//! What the gateway reads from a provider's whole answer while it checks it.

use super::WireError;
use super::framing::Framing;
use super::json::{Fault, Reader, unescape};
use super::usage::{Counts, Usage};

/// The shape of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    OpenAiChat,
    OpenAiCompletions,
    OpenAiEmbeddings,
    OpenAiImages,
    OpenAiModerations,
    OpenAiResponses,
    Anthropic,
    AnthropicCountTokens,
    BedrockConverse,
    BedrockInvoke,
    Cohere,
    CohereEmbeddings,
    Gemini,
    GeminiCountTokens,
    GeminiEmbeddings,
    Ollama,
    OllamaEmbeddings,
    Rerank,
    /// Any object.
    Json,
}

impl Format {
    /// The format of that name.
    pub fn named(name: &str) -> Result<Self, WireError> {
        Ok(match name {
            "openai_chat" => Self::OpenAiChat,
            "openai_completions" => Self::OpenAiCompletions,
            "openai_embeddings" => Self::OpenAiEmbeddings,
            "openai_images" => Self::OpenAiImages,
            "openai_moderations" => Self::OpenAiModerations,
            "openai_responses" => Self::OpenAiResponses,
            "anthropic" => Self::Anthropic,
            "anthropic_count_tokens" => Self::AnthropicCountTokens,
            "bedrock_converse" => Self::BedrockConverse,
            "bedrock_invoke" => Self::BedrockInvoke,
            "cohere" => Self::Cohere,
            "cohere_embeddings" => Self::CohereEmbeddings,
            "gemini" => Self::Gemini,
            "gemini_count_tokens" => Self::GeminiCountTokens,
            "gemini_embeddings" => Self::GeminiEmbeddings,
            "ollama" => Self::Ollama,
            "ollama_embeddings" => Self::OllamaEmbeddings,
            "rerank" => Self::Rerank,
            "json" => Self::Json,
            _ => return Err(WireError::value(format!("no such format: {name:?}"))),
        })
    }

    /// How the events of its streams are told apart. None if it has none.
    pub fn framing(self) -> Option<Framing> {
        match self {
            Self::OpenAiChat
            | Self::OpenAiCompletions
            | Self::OpenAiResponses
            | Self::Anthropic
            | Self::Cohere
            | Self::Gemini => Some(Framing::Sse),
            Self::Ollama => Some(Framing::Ndjson),
            Self::BedrockConverse | Self::BedrockInvoke => Some(Framing::Amazon),
            _ => None,
        }
    }

    pub(super) fn usage(self, counts: Counts) -> Option<Usage> {
        match self {
            Self::Anthropic | Self::AnthropicCountTokens | Self::BedrockConverse | Self::BedrockInvoke => {
                counts.exclusive()
            }
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
            (_, b"model") | (Format::Gemini, b"modelVersion") => self.model = reader.string()?,
            (_, b"error") => self.error |= reader.raw()? != b"null",
            (_, b"type") => self.error |= reader.string()? == Some(b"error"),
            (_, b"usage") => self.counts = Counts::of(format, reader)?.or(self.counts),
            (Format::OpenAiChat | Format::OpenAiCompletions, b"choices") => self.first(reader, b"finish_reason")?,
            (Format::OpenAiResponses, _) => self.ending.responses(reader, name)?,
            (Format::Anthropic | Format::BedrockInvoke, b"stop_reason")
            | (Format::BedrockConverse, b"stopReason")
            | (Format::Cohere, b"finish_reason")
            | (Format::Ollama, b"done_reason") => self.ending.reason = reader.string()?,
            (Format::Gemini, b"candidates") => self.first(reader, b"finishReason")?,
            (Format::Gemini, b"promptFeedback") => self.ending.blocked(reader)?,
            (Format::AnthropicCountTokens, b"input_tokens") => self.counts.member(reader, name)?,
            (Format::Gemini | Format::GeminiEmbeddings, b"usageMetadata") => self.counts = Counts::gemini(reader)?,
            (Format::GeminiCountTokens, _) => self.counts.gemini_total(reader, name)?,
            (Format::CohereEmbeddings | Format::Rerank, b"meta") => {
                self.counts = self.counts.or(Counts::cohere(reader)?);
            }
            (Format::Ollama | Format::OllamaEmbeddings, _) => self.counts.ollama(reader, name)?,
            _ => reader.skip()?,
        }
        Ok(())
    }

    /// Of several choices the first one's reason counts.
    fn first(&mut self, reader: &mut Reader<'a>, reason: &[u8]) -> Result<(), Fault> {
        reader.array(|reader, index| {
            if index > 0 {
                return reader.skip();
            }
            reader.object(|reader, name| {
                if name != reason {
                    return reader.skip();
                }
                self.ending.reason = reader.string()?;
                Ok(())
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
    /// What says less than the reason: the status, or why there is no answer at all.
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

    /// Takes Gemini's feedback on the prompt: the reason of a candidate says more.
    pub(super) fn blocked(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        reader.object(|reader, name| {
            if name == b"blockReason" {
                self.status = reader.string()?;
                return Ok(());
            }
            reader.skip()
        })?;
        Ok(())
    }

    /// Neither an empty reason nor the status of what goes on is one.
    pub(super) fn finish_reason(self) -> Option<&'a [u8]> {
        let status = self.status.filter(|status| !matches!(*status, b"queued" | b"in_progress"));
        self.reason.or(status).filter(|reason| !reason.is_empty())
    }
}
