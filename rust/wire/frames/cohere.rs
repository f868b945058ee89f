//! Frames of Cohere's chat, version 2.

use super::Frame;
use crate::wire::json::{Fault, Reader};
use crate::wire::usage::Counts;

impl<'a> Frame<'a> {
    pub(super) fn cohere(&mut self, look: bool, reader: &mut Reader<'a>) -> Result<(), Fault> {
        reader.object(|reader, name| match name {
            b"error" => self.take_error(reader),
            b"type" => self.take_kind(reader),
            b"delta" => self.cohere_delta(reader, look),
            _ => reader.skip(),
        })?;
        self.output = self.content;
        self.complete = self.kind == b"message-end";
        Ok(())
    }

    fn cohere_delta(&mut self, reader: &mut Reader<'a>, look: bool) -> Result<(), Fault> {
        reader.object(|reader, name| match name {
            b"error" => self.take_error(reader),
            b"message" if look => self.cohere_message(reader),
            b"finish_reason" => self.take_reason(reader),
            b"usage" => {
                self.take_counts(Counts::cohere(reader)?);
                Ok(())
            }
            _ => reader.skip(),
        })?;
        Ok(())
    }

    /// Content begins empty, a call with its name.
    fn cohere_message(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        reader.object(|reader, name| match name {
            b"tool_plan" | b"tool_calls" => self.look(reader, true),
            b"content" => {
                reader.object(|reader, name| match name {
                    b"text" | b"thinking" => self.look(reader, true),
                    _ => reader.skip(),
                })?;
                Ok(())
            }
            _ => reader.skip(),
        })?;
        Ok(())
    }
}
