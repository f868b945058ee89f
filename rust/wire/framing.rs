//! How the events of a stream are told apart.

use super::WireError;
use super::amazon::MessageReader;
use super::ndjson::LineReader;
use super::sse::{self, Event};

/// The framings that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `text/event-stream`
    Sse,
    /// `application/x-ndjson`
    Ndjson,
    /// `application/vnd.amazon.eventstream`
    Amazon,
}

impl Framing {
    /// The framing of that name.
    pub fn named(name: &str) -> Result<Self, WireError> {
        match name {
            "sse" => Ok(Self::Sse),
            "ndjson" => Ok(Self::Ndjson),
            "amazon" => Ok(Self::Amazon),
            _ => Err(WireError::value(format!("no such framing: {name:?}"))),
        }
    }
}

/// A reader of one of them.
#[derive(Debug)]
pub enum EventReader {
    Sse(sse::EventReader),
    Ndjson(LineReader),
    Amazon(MessageReader),
}

impl EventReader {
    pub fn new(framing: Framing) -> Self {
        match framing {
            Framing::Sse => Self::Sse(sse::EventReader::default()),
            Framing::Ndjson => Self::Ndjson(LineReader::default()),
            Framing::Amazon => Self::Amazon(MessageReader::default()),
        }
    }

    /// Calls `take` with each event that is complete now. After an error the stream cannot be read on.
    ///
    /// A line has neither name nor id. The id of a message is its kind; without a payload its data is its complaint.
    pub fn feed(
        &mut self,
        read: &[u8],
        mut take: impl FnMut(Event<'_>) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        match self {
            Self::Sse(events) => events.feed(read, take),
            Self::Ndjson(lines) => lines.feed(read, |data| take(Event { name: b"", data, id: b"" })),
            Self::Amazon(messages) => messages.feed(read, |message| {
                let data = if message.payload.is_empty() { message.complaint } else { message.payload };
                take(Event { name: message.name, data, id: message.kind })
            }),
        }
    }

    /// Whether what has come ends an event, so that a foreign one may follow.
    pub fn boundary(&self) -> bool {
        match self {
            Self::Sse(events) => events.boundary(),
            Self::Ndjson(lines) => lines.boundary(),
            Self::Amazon(messages) => messages.boundary(),
        }
    }
}
