//! Frames of Gemini's `streamGenerateContent`: each is an answer by itself, of what has come since the one before.

use super::Frame;
use crate::wire::answer::Ending;
use crate::wire::json::{Fault, Reader};
use crate::wire::usage::Counts;

impl<'a> Frame<'a> {
    pub(super) fn gemini(&mut self, look: bool, reader: &mut Reader<'a>) -> Result<(), Fault> {
        let mut feedback = Ending::default();
        reader.object(|reader, name| match name {
            b"error" => self.take_error(reader),
            b"candidates" => {
                reader.array(|reader, _| self.candidate(reader, look))?;
                Ok(())
            }
            b"promptFeedback" => feedback.blocked(reader),
            b"usageMetadata" => {
                self.take_counts(Counts::gemini(reader)?);
                Ok(())
            }
            _ => reader.skip(),
        })?;
        self.output = self.content;
        if let (0, Some(reason)) = (self.begun, feedback.finish_reason()) {
            self.finish_reason = Some(reason);
            self.complete = true;
        }
        Ok(())
    }

    fn candidate(&mut self, reader: &mut Reader<'a>, look: bool) -> Result<(), Fault> {
        let (mut index, mut reason) = (0, None);
        reader.object(|reader, name| {
            match name {
                b"index" => index = reader.count()?.unwrap_or(0),
                b"finishReason" => reason = reader.string()?.filter(|reason| !reason.is_empty()),
                b"content" if look => self.gemini_content(reader)?,
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        self.choose(index, reason);
        Ok(())
    }

    fn gemini_content(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        reader.object(|reader, name| {
            if name != b"parts" {
                return reader.skip();
            }
            reader.array(|reader, _| self.gemini_part(reader))?;
            Ok(())
        })?;
        Ok(())
    }

    /// A part is text, a call, data, code or whatever comes next; some of its members only say more about it.
    fn gemini_part(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        reader.object(|reader, name| match name {
            b"thought" | b"thoughtSignature" | b"partMetadata" | b"videoMetadata" | b"mediaResolution" => reader.skip(),
            _ => self.look(reader, true),
        })?;
        Ok(())
    }
}
