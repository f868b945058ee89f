//! Reading along with a provider's stream: what matters to the gateway, found in frames that are passed on as they are.

use super::WireError;
use super::answer::Format;
use super::frames::Frame;
use super::json::{Reader, unescape};
use super::sse::{Event, EventReader};
use super::usage::{Counts, Usage};

/// Takes reads, gathers facts. A frame that changes nothing costs no allocation.
#[derive(Debug)]
pub struct StreamScan {
    events: EventReader,
    facts: Facts,
}

/// What a stream has said so far.
#[derive(Clone, Debug)]
pub struct Facts {
    format: Format,
    /// Real output has been seen: text, a tool call, thinking, a refusal, audio.
    pub output: bool,
    /// Frames from the first real output on: about as many as there were tokens.
    pub outputs: u32,
    /// The stream has said that it is whole.
    pub complete: bool,
    /// The data of the first error frame.
    pub error: Option<Vec<u8>>,
    pub finish_reason: Option<String>,
    counts: Counts,
    pub usage: Option<Usage>,
    changed: bool,
}

impl StreamScan {
    /// For the formats that have streams.
    pub fn new(format: Format) -> Result<Self, WireError> {
        if matches!(format, Format::OpenAiEmbeddings | Format::AnthropicCountTokens) {
            return Err(WireError::value("this format has no streams"));
        }
        Ok(Self { events: EventReader::default(), facts: Facts::new(format) })
    }

    /// Takes what is about to be passed on; whether a fact has changed.
    pub fn feed(&mut self, read: &[u8]) -> Result<bool, WireError> {
        let Self { events, facts } = self;
        facts.changed = false;
        events.feed(read, |event| facts.event(event))?;
        Ok(facts.changed)
    }

    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Whether the last byte ended an event, so that a frame of another author may follow.
    pub fn boundary(&self) -> bool {
        self.events.boundary()
    }
}

impl Facts {
    fn new(format: Format) -> Self {
        Self {
            format,
            output: false,
            outputs: 0,
            complete: false,
            error: None,
            finish_reason: None,
            counts: Counts::default(),
            usage: None,
            changed: false,
        }
    }

    fn event(&mut self, event: Event<'_>) -> Result<(), WireError> {
        let data = event.data.trim_ascii();
        match data {
            // Not an event for most clients: some providers keep a connection alive with it.
            b"" => return Ok(()),
            b"[DONE]" => {
                self.note(|facts| &mut facts.complete);
                return Ok(());
            }
            _ => {}
        }
        let mut frame = Frame::default();
        Reader::new(data)
            .and_then(|mut reader| {
                frame.read(self.format, !self.output, &mut reader)?;
                reader.finish()
            })
            .map_err(|fault| WireError::answer(format!("event stream: {fault}")))?;
        frame.settle(self.format);
        self.take(&frame);
        if (frame.error || event.name == b"error") && self.error.is_none() {
            self.error = Some(data.to_vec());
            self.changed = true;
        }
        Ok(())
    }

    fn take(&mut self, frame: &Frame<'_>) {
        if frame.output {
            self.note(|facts| &mut facts.output);
        }
        if self.output {
            self.outputs = self.outputs.saturating_add(1);
        }
        if frame.complete {
            self.note(|facts| &mut facts.complete);
        }
        if let Some(reason) = frame.finish_reason {
            self.finish(reason, frame.first_choice);
        }
        if let Some(counts) = frame.counts {
            self.count(if frame.adds { counts.or(self.counts) } else { counts });
        }
    }

    fn note(&mut self, fact: impl Fn(&mut Self) -> &mut bool) {
        let fact = fact(self);
        let changed = !*fact;
        *fact = true;
        self.changed |= changed;
    }

    /// Of several choices the first one's reason is kept, whichever ends first.
    fn finish(&mut self, reason: &[u8], first_choice: bool) {
        let reason = unescape(reason);
        if self.finish_reason.is_none() || first_choice && self.finish_reason.as_deref() != Some(&reason) {
            self.finish_reason = Some(reason.into_owned());
            self.changed = true;
        }
    }

    fn count(&mut self, counts: Counts) {
        self.counts = counts;
        let usage = self.format.usage(counts);
        self.changed |= usage != self.usage;
        self.usage = usage;
    }
}
