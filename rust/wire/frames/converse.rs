//! Messages of Bedrock's `ConverseStream`: what one is, its headers say.

use super::Frame;
use crate::wire::json::{Fault, Reader};
use crate::wire::usage::Counts;

impl<'a> Frame<'a> {
    /// Reads the payload of an event of that name.
    pub(in crate::wire) fn converse(&mut self, event: &[u8], look: bool, reader: &mut Reader<'a>) -> Result<(), Fault> {
        reader.object(|reader, name| match (event, name) {
            (b"contentBlockStart", b"start") => self.look(reader, look),
            (b"contentBlockDelta", b"delta") if look => self.converse_delta(reader),
            (b"messageStop", b"stopReason") => self.take_reason(reader),
            (b"metadata", b"usage") => {
                self.take_counts(Counts::converse(reader)?);
                Ok(())
            }
            _ => reader.skip(),
        })?;
        self.output = self.content;
        self.complete = event == b"messageStop";
        Ok(())
    }

    /// A signature and a citation only say more about what has come or comes with them.
    fn converse_delta(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        reader.object(|reader, name| match name {
            b"text" | b"toolResult" | b"image" => self.look(reader, true),
            b"toolUse" | b"reasoningContent" => {
                reader.object(|reader, name| match name {
                    b"input" | b"text" | b"redactedContent" => self.look(reader, true),
                    _ => reader.skip(),
                })?;
                Ok(())
            }
            _ => reader.skip(),
        })?;
        Ok(())
    }
}
