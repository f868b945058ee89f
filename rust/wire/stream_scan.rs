//! Reading along with a provider's stream: what matters to the gateway, found in frames that are passed on as they are.

mod messages;

use super::WireError;
use super::answer::Format;
use super::frames::Frame;
use super::framing::EventReader;
use super::json::{Fault, Reader, unescape};
use super::sse::Event;
use super::usage::{Counts, Usage};

/// Takes reads, gathers facts. A frame that changes nothing costs no allocation.
#[derive(Debug)]
pub struct StreamScan {
    events: EventReader,
    facts: Facts,
    /// Where frames are decoded that came in base64.
    plain: Vec<u8>,
}

/// What a stream has said so far.
#[derive(Clone, Debug)]
pub struct Facts {
    format: Format,
    /// Real output has been seen: text, a tool call, thinking, a refusal, audio.
    pub output: bool,
    /// Frames from the first real output on: about as many as there were tokens.
    pub outputs: u32,
    /// The stream has said that it is whole: by its last event, or by ending every choice that it began. Becomes false
    /// again where another choice begins.
    pub complete: bool,
    ended: bool,
    choices_begun: u128,
    choices_ended: u128,
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
        let framing = format.framing().ok_or_else(|| WireError::value("this format has no streams"))?;
        Ok(Self { events: EventReader::new(framing), facts: Facts::new(format), plain: Vec::new() })
    }

    /// Takes what is about to be passed on; whether a fact has changed.
    pub fn feed(&mut self, read: &[u8]) -> Result<bool, WireError> {
        let Self { events, facts, plain } = self;
        facts.changed = false;
        match events {
            EventReader::Sse(events) => events.feed(read, |event| facts.event(event))?,
            EventReader::Ndjson(lines) => lines.feed(read, |line| facts.frame(line.trim_ascii(), false))?,
            EventReader::Amazon(messages) => messages.feed(read, |message| facts.message(message, plain))?,
        }
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
            ended: false,
            choices_begun: 0,
            choices_ended: 0,
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
                self.end(true, 0, 0);
                return Ok(());
            }
            _ => {}
        }
        self.frame(data, event.name == b"error")
    }

    /// Takes the JSON of one frame; `error`: what carried it says that it is one.
    fn frame(&mut self, data: &[u8], error: bool) -> Result<(), WireError> {
        let (format, look) = (self.format, !self.output);
        self.read(data, error, |frame, reader| frame.read(format, look, reader))
    }

    #[inline]
    fn read<'a>(
        &mut self,
        data: &'a [u8],
        error: bool,
        read: impl FnOnce(&mut Frame<'a>, &mut Reader<'a>) -> Result<(), Fault>,
    ) -> Result<(), WireError> {
        let mut frame = Frame::default();
        Reader::new(data)
            .and_then(|mut reader| {
                read(&mut frame, &mut reader)?;
                reader.finish()
            })
            .map_err(|fault| WireError::answer(format!("event stream: {fault}")))?;
        frame.settle(self.format);
        self.take(&frame);
        if frame.error || error {
            self.fail(|| data.to_vec());
        }
        Ok(())
    }

    /// The first error is kept.
    fn fail(&mut self, error: impl FnOnce() -> Vec<u8>) {
        if self.error.is_none() {
            self.error = Some(error());
            self.changed = true;
        }
    }

    fn take(&mut self, frame: &Frame<'_>) {
        self.changed |= frame.output && !self.output;
        self.output |= frame.output;
        if self.output {
            self.outputs = self.outputs.saturating_add(1);
        }
        self.end(frame.complete, frame.begun, frame.ended);
        if let Some(reason) = frame.finish_reason {
            self.finish(reason, frame.first_choice);
        }
        if let Some(counts) = frame.counts {
            self.count(if frame.adds { counts.or(self.counts) } else { counts });
        }
    }

    fn end(&mut self, ended: bool, choices_begun: u128, choices_ended: u128) {
        self.ended |= ended;
        self.choices_begun |= choices_begun;
        self.choices_ended |= choices_ended;
        let all_ended = self.choices_ended != 0 && self.choices_begun == self.choices_ended;
        let complete = self.ended || all_ended;
        self.changed |= complete != self.complete;
        self.complete = complete;
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
