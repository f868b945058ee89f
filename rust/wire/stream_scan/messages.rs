//! Bedrock's streams: messages whose headers say what they are.

use super::Facts;
use crate::wire::WireError;
use crate::wire::amazon::Message;
use crate::wire::answer::Format;
use crate::wire::base64;
use crate::wire::json::{Fault, Reader, escape, unescape};

impl Facts {
    /// Takes one message; `plain` is room to decode in.
    pub(super) fn message(&mut self, message: Message<'_>, plain: &mut Vec<u8>) -> Result<(), WireError> {
        if matches!(message.kind, b"exception" | b"error") {
            self.fail(|| error(message));
            return Ok(());
        }
        let payload = message.payload.trim_ascii();
        if payload.is_empty() {
            return Ok(());
        }
        if self.format == Format::BedrockInvoke {
            return self.chunk(payload, plain);
        }
        let look = !self.output;
        self.read(payload, false, |frame, reader| frame.converse(message.name, look, reader))
    }

    /// A frame of the model's own language, in base64.
    fn chunk(&mut self, payload: &[u8], plain: &mut Vec<u8>) -> Result<(), WireError> {
        let coded = bytes(payload).map_err(|fault| WireError::answer(format!("event stream: {fault}")))?;
        let Some(coded) = coded else { return Ok(()) };
        plain.clear();
        if !base64::decode(unescape(coded).as_bytes(), plain) {
            return Err(WireError::answer("event stream: a chunk that is not base64"));
        }
        self.frame(plain, false)
    }
}

/// The member that holds what the model sent.
fn bytes(payload: &[u8]) -> Result<Option<&[u8]>, Fault> {
    let mut reader = Reader::new(payload)?;
    let mut bytes = None;
    reader.object(|reader, name| {
        if name == b"bytes" {
            bytes = reader.string()?;
            return Ok(());
        }
        reader.skip()
    })?;
    reader.finish()?;
    Ok(bytes)
}

/// What went wrong as one object that names it: of the payload, if that is one, else of the headers.
fn error(message: Message<'_>) -> Vec<u8> {
    let payload = message.payload.trim_ascii();
    match named(payload) {
        Ok(Some(true)) => payload.to_vec(),
        Ok(Some(false)) => {
            let rest = payload[1..].trim_ascii_start();
            let comma: &[u8] = if rest == b"}" { b"" } else { b"," };
            [b"{\"__type\":\"", quoted(message.name).as_bytes(), b"\"", comma, rest].concat()
        }
        _ => {
            let said = if payload.is_empty() { message.complaint } else { payload };
            let (name, said) = (quoted(message.name), quoted(said));
            [b"{\"__type\":\"", name.as_bytes(), b"\",\"message\":\"", said.as_bytes(), b"\"}"].concat()
        }
    }
}

/// Whether the object has a name for its error; None if it is no object.
fn named(payload: &[u8]) -> Result<Option<bool>, Fault> {
    let mut reader = Reader::new(payload)?;
    let mut named = false;
    let object = reader.object(|reader, name| {
        named |= name == b"__type";
        reader.skip()
    })?;
    reader.finish()?;
    Ok(object.then_some(named))
}

/// As it stands between the quotes of a string.
fn quoted(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    escape(std::str::from_utf8(bytes).unwrap_or_default())
}
