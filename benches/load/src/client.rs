//! One client: its connection and the answer that it is reading.

use std::time::{Duration, Instant};

use mio::net::TcpStream;

use crate::check::{Check, Expected};
use crate::http::{Body, Framing};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Connected or connecting, and its turn has not come.
    Waiting,
    Sending(usize),
    Head,
    Body,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Connecting,
    Up,
    Down,
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) lane: usize,
    pub(crate) socket: TcpStream,
    pub(crate) link: Link,
    pub(crate) state: State,
    /// After the start of the run.
    pub(crate) begin_at: Duration,
    pub(crate) sent_at: Instant,
    pub(crate) tag: u64,
    pub(crate) leaves: bool,
    pub(crate) head: Vec<u8>,
    pub(crate) body: Body,
    pub(crate) keep_alive: bool,
    pub(crate) check: Check,
}

impl Client {
    /// Connected, and to begin so long after the start of the run.
    pub(crate) fn new(lane: usize, socket: TcpStream, begin_at: Duration, expected: Expected) -> Self {
        Self {
            lane,
            socket,
            link: Link::Up,
            state: State::Waiting,
            begin_at,
            sent_at: Instant::now(),
            tag: 0,
            leaves: false,
            head: Vec::new(),
            body: Body::new(Framing::Length(0)),
            keep_alive: true,
            check: Check::new(expected),
        }
    }
}
