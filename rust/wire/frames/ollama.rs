//! Lines of Ollama's chat: each is an answer by itself, of what has come since the one before.

use super::Frame;
use crate::wire::json::{Fault, Reader};
use crate::wire::usage::Counts;

impl<'a> Frame<'a> {
    pub(super) fn ollama(&mut self, look: bool, reader: &mut Reader<'a>) -> Result<(), Fault> {
        let mut counts = Counts::default();
        reader.object(|reader, name| {
            match name {
                b"error" => self.take_error(reader)?,
                b"message" if look => self.ollama_message(reader)?,
                b"done" => self.complete |= reader.raw()? == b"true",
                b"done_reason" => self.take_reason(reader)?,
                _ => counts.ollama(reader, name)?,
            }
            Ok(())
        })?;
        self.take_counts(counts);
        self.output = self.content;
        Ok(())
    }

    fn ollama_message(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        reader.object(|reader, name| match name {
            b"content" | b"thinking" | b"tool_calls" | b"images" => self.look(reader, true),
            _ => reader.skip(),
        })?;
        Ok(())
    }
}
