//! The provider: one thread, one edge-triggered epoll set, rendered answers.

use std::collections::BinaryHeap;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::answers::{self, Answers, Kind};
use crate::clock::wall_us;
use crate::http::{self, Body, Framing, Head};
use crate::orders::{self, Orders};

const LISTENER: Token = Token(usize::MAX);
/// Larger than the largest request measured, so that one read takes what is there.
const READ: usize = 256 * 1024;

/// A stream on its way.
#[derive(Debug)]
struct Streaming {
    kind: Kind,
    orders: Orders,
    next: u64,
    usage: bool,
    /// The next chunk has a timer.
    waiting: bool,
}

impl Streaming {
    fn new(kind: Kind, orders: Orders, usage: bool) -> Self {
        Self { kind, orders, next: 0, usage, waiting: false }
    }
}

#[derive(Debug)]
enum Work {
    Idle,
    /// A whole answer, or the beginning of a stream, waits for its time.
    Delayed(Kind, Orders, Option<Streaming>),
    Stream(Streaming),
}

#[derive(Debug)]
struct Connection {
    socket: TcpStream,
    /// Of a head or body that is not complete.
    received: Vec<u8>,
    head: Option<Head>,
    body: Body,
    unsent: Vec<u8>,
    work: Work,
    keep_alive: bool,
    /// Tells a timer of this connection from one of an earlier in the same place.
    serial: u64,
    /// When the request was complete that is being served.
    began: Instant,
}

#[derive(Debug, Default)]
struct Counts {
    requests: u64,
    streams: u64,
    abandoned: u64,
    ordered_errors: u64,
}

/// Due time (reversed by `Reverse`), connection, its serial.
type Timer = std::cmp::Reverse<(Instant, usize, u64)>;

struct Mock {
    answers: Answers,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    timers: BinaryHeap<Timer>,
    counts: Counts,
    serial: u64,
    scratch: Vec<u8>,
}

/// Serves on 127.0.0.1 until it is killed; prints its address first.
pub(crate) fn serve(port: u16) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port)))?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("{}", listener.local_addr()?);
    let mut mock = Mock::new();
    let mut buffer = vec![0; READ];
    loop {
        match poll.poll(&mut events, mock.until_timer()) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            if event.token() == LISTENER {
                mock.accept(&listener, &poll)?;
            } else {
                let gone = event.is_read_closed() || event.is_error();
                mock.ready(event.token().0, event.is_readable(), gone, &mut buffer);
            }
        }
        mock.fire();
    }
}

impl Mock {
    fn new() -> Self {
        Self {
            answers: Answers::new(),
            connections: Vec::new(),
            free: Vec::new(),
            timers: BinaryHeap::new(),
            counts: Counts::default(),
            serial: 0,
            scratch: Vec::new(),
        }
    }

    fn until_timer(&self) -> Option<Duration> {
        self.timers.peek().map(|t| t.0.0.saturating_duration_since(Instant::now()))
    }

    fn accept(&mut self, listener: &TcpListener, poll: &Poll) -> io::Result<()> {
        loop {
            let (mut socket, _) = match listener.accept() {
                Ok(pair) => pair,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(e) => return Err(e),
            };
            socket.set_nodelay(true)?;
            let place = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            poll.registry().register(&mut socket, Token(place), Interest::READABLE | Interest::WRITABLE)?;
            self.serial += 1;
            self.connections[place] = Some(Connection::new(socket, self.serial));
        }
    }

    /// Whatever an event said, write what is unsent and read what is there; close what fails or is over.
    fn ready(&mut self, place: usize, readable: bool, gone: bool, buffer: &mut [u8]) {
        // Taken out of its place meanwhile, so that the mock's other parts can be borrowed.
        let Some(mut connection) = self.connections.get_mut(place).and_then(Option::take) else { return };
        let mut alive = self.advance(&mut connection, place);
        while alive && (readable || gone) {
            match connection.socket.read(buffer) {
                Ok(0) => alive = false,
                Ok(n) => {
                    alive = self.take(&mut connection, place, &buffer[..n]);
                    if n < buffer.len() && !gone {
                        break;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => alive = false,
            }
        }
        self.settle(connection, place, alive);
    }

    fn settle(&mut self, connection: Connection, place: usize, alive: bool) {
        if alive {
            self.connections[place] = Some(connection);
        } else {
            self.counts.abandoned += u64::from(!matches!(connection.work, Work::Idle));
            self.free.push(place);
        }
    }

    /// Bytes of a request; false if the connection is to be closed.
    fn take(&mut self, connection: &mut Connection, place: usize, data: &[u8]) -> bool {
        if connection.received.is_empty() && connection.head.is_none() {
            match http::request(data) {
                Ok(Some(head)) => {
                    // The usual case: all of a request in one read, served from where it lies.
                    if let Framing::Length(length) = head.framing
                        && data.len() == head.length + length
                    {
                        connection.keep_alive = head.keep_alive;
                        let kept = self.serve(connection, place, &head.path, &data[head.length..]);
                        return kept && self.advance(connection, place);
                    }
                }
                Ok(None) => {}
                Err(_) => return false,
            }
        }
        self.take_pieces(connection, place, data)
    }

    fn take_pieces(&mut self, connection: &mut Connection, place: usize, data: &[u8]) -> bool {
        let mut rest: Vec<u8>;
        let mut data = data;
        if connection.head.is_none() {
            connection.received.extend_from_slice(data);
            let head = match http::request(&connection.received) {
                Ok(Some(head)) => head,
                Ok(None) => return true,
                Err(_) => return false,
            };
            rest = connection.received.split_off(head.length);
            connection.received.clear();
            connection.body = Body::new(head.framing);
            connection.keep_alive = head.keep_alive;
            connection.head = Some(head);
            data = &rest;
        }
        let received = &mut connection.received;
        match connection.body.feed(data, |piece| received.extend_from_slice(piece)) {
            // Nobody who waits for an answer sends the next request: what follows is not looked at.
            Ok(used) if used == data.len() => {}
            _ => return false,
        }
        if !connection.body.done() {
            return true;
        }
        let path = connection.head.take().map(|h| h.path).unwrap_or_default();
        rest = std::mem::take(&mut connection.received);
        let kept = self.serve(connection, place, &path, &rest);
        rest.clear();
        connection.received = rest;
        kept && self.advance(connection, place)
    }

    /// A complete request.
    fn serve(&mut self, connection: &mut Connection, place: usize, path: &str, body: &[u8]) -> bool {
        self.counts.requests += 1;
        connection.began = Instant::now();
        let Some(kind) = kind_of(path) else {
            let answer = self.other(path);
            return connection.send(answer.as_bytes());
        };
        let orders = orders::read(body);
        if orders.status != 200 && !path.starts_with("/backup/") {
            self.counts.ordered_errors += 1;
            if self.counts.ordered_errors.is_multiple_of(orders.every) {
                return connection.send(answers::error(kind, orders.status).as_bytes());
            }
        }
        let stream = (kind != Kind::Embeddings && orders::member_is_true(body, "stream"))
            .then(|| Streaming::new(kind, orders, orders::member_is_true(body, "include_usage")));
        if orders.delay_us > 0 {
            connection.work = Work::Delayed(kind, orders, stream);
            self.later(place, connection.serial, orders.delay_us);
            return true;
        }
        self.begin(connection, kind, orders, stream)
    }

    fn begin(&mut self, connection: &mut Connection, kind: Kind, orders: Orders, stream: Option<Streaming>) -> bool {
        self.scratch.clear();
        if let Some(streaming) = stream {
            self.counts.streams += 1;
            self.answers.stream(kind).opening.render(&mut self.scratch, 0, 0, 0);
            connection.work = Work::Stream(streaming);
        } else {
            let took = u64::try_from(connection.began.elapsed().as_micros()).unwrap_or(0);
            self.answers.whole(kind).render(&mut self.scratch, orders.tag, 0, took);
        }
        connection.send(&self.scratch)
    }

    /// Writes what can be written now: the rest of what is unsent, then chunks until the stream waits or ends.
    fn advance(&mut self, connection: &mut Connection, place: usize) -> bool {
        if !connection.flush() {
            return false;
        }
        while connection.unsent.is_empty() {
            let Work::Stream(streaming) = &mut connection.work else { break };
            if streaming.waiting {
                break;
            }
            let orders = streaming.orders;
            let answer = self.answers.stream(streaming.kind);
            self.scratch.clear();
            if orders.cut > 0 && streaming.next == orders.cut {
                return false;
            }
            if streaming.next == orders.chunks {
                let ending = if streaming.usage { &answer.ending_with_usage } else { &answer.ending };
                ending.render(&mut self.scratch, 0, 0, 0);
                connection.work = Work::Idle;
                if !connection.send(&self.scratch) {
                    return false;
                }
                break;
            }
            answer.chunk.render(&mut self.scratch, orders.tag, streaming.next, wall_us());
            streaming.next += 1;
            streaming.waiting = orders.interval_us > 0;
            if !connection.send(&self.scratch) {
                return false;
            }
            if orders.interval_us > 0 {
                self.later(place, connection.serial, orders.interval_us);
                break;
            }
        }
        connection.keep_alive || !connection.unsent.is_empty() || !matches!(connection.work, Work::Idle)
    }

    fn later(&mut self, place: usize, serial: u64, delay_us: u64) {
        let due = Instant::now() + Duration::from_micros(delay_us);
        self.timers.push(std::cmp::Reverse((due, place, serial)));
    }

    fn fire(&mut self) {
        let now = Instant::now();
        while let Some(&std::cmp::Reverse((due, place, serial))) = self.timers.peek() {
            if due > now {
                return;
            }
            self.timers.pop();
            let known = self.connections[place].as_ref().is_some_and(|c| c.serial == serial);
            let Some(mut connection) = self.connections[place].take_if(|_| known) else { continue };
            let begun = match std::mem::replace(&mut connection.work, Work::Idle) {
                Work::Delayed(kind, orders, stream) => self.begin(&mut connection, kind, orders, stream),
                Work::Stream(streaming) => {
                    connection.work = Work::Stream(Streaming { waiting: false, ..streaming });
                    true
                }
                Work::Idle => true,
            };
            let alive = begun && self.advance(&mut connection, place);
            self.settle(connection, place, alive);
        }
    }

    fn other(&self, path: &str) -> String {
        let counts = &self.counts;
        if path == "/bench/statistics" {
            return answers::whole(
                200,
                &format!(
                    r#"{{"requests":{},"streams":{},"abandoned":{}}}"#,
                    counts.requests, counts.streams, counts.abandoned
                ),
            );
        }
        if path.ends_with("/models") {
            return answers::whole(
                200,
                r#"{"object":"list","data":[{"id":"gpt-4o-mini","object":"model","created":1700000000,"owned_by":"bench"}]}"#,
            );
        }
        answers::error(Kind::Chat, 404)
    }
}

impl Connection {
    fn new(socket: TcpStream, serial: u64) -> Self {
        Self {
            socket,
            received: Vec::new(),
            head: None,
            body: Body::new(Framing::Length(0)),
            unsent: Vec::new(),
            work: Work::Idle,
            keep_alive: true,
            serial,
            began: Instant::now(),
        }
    }

    /// Writes at once and keeps what the socket did not take; false if the connection broke.
    fn send(&mut self, mut data: &[u8]) -> bool {
        while self.unsent.is_empty() && !data.is_empty() {
            match self.socket.write(data) {
                Ok(n) => data = &data[n..],
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        self.unsent.extend_from_slice(data);
        true
    }

    fn flush(&mut self) -> bool {
        if self.unsent.is_empty() {
            return true;
        }
        let data = std::mem::take(&mut self.unsent);
        self.send(&data)
    }
}

/// By the end of the path, so that any base URL will do.
fn kind_of(path: &str) -> Option<Kind> {
    let path = path.split('?').next().unwrap_or_default();
    [("/chat/completions", Kind::Chat), ("/embeddings", Kind::Embeddings), ("/messages", Kind::Messages)]
        .into_iter()
        .find_map(|(end, kind)| path.ends_with(end).then_some(kind))
}
