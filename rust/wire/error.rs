//! What can be wrong with bytes, by whose bytes they are.

use std::borrow::Cow;
use std::fmt;

/// Broken bytes. "More, please" is never an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireError {
    /// A client's HTTP: `status` is the one to answer with.
    Request { status: u16, message: Cow<'static, str> },
    /// A provider's HTTP, JSON or event stream.
    Answer { message: Cow<'static, str> },
    /// The provider's connection ended before its answer did.
    Broken { message: Cow<'static, str> },
    /// A client's JSON body; `param` names the member at fault, where there is one.
    Json { message: Cow<'static, str>, param: Option<Cow<'static, str>> },
    /// What the caller wants to send would break the framing.
    Value { message: Cow<'static, str> },
}

impl WireError {
    pub fn request(status: u16, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Request { status, message: message.into() }
    }

    pub fn answer(message: impl Into<Cow<'static, str>>) -> Self {
        Self::Answer { message: message.into() }
    }

    pub fn broken(message: impl Into<Cow<'static, str>>) -> Self {
        Self::Broken { message: message.into() }
    }

    pub fn json(message: impl Into<Cow<'static, str>>, param: Option<Cow<'static, str>>) -> Self {
        Self::Json { message: message.into(), param }
    }

    pub fn value(message: impl Into<Cow<'static, str>>) -> Self {
        Self::Value { message: message.into() }
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request { message, .. }
            | Self::Answer { message }
            | Self::Broken { message }
            | Self::Json { message, .. }
            | Self::Value { message } => f.write_str(message),
        }
    }
}

impl std::error::Error for WireError {}
