//! The clients: closed loops over kept connections, on one thread.

use std::io::{self, Read as _, Write as _};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Registry, Token};

use crate::arguments::Plan;
use crate::client::{Client, Link, State};
use crate::clock::wall_us;
use crate::http::{self, Body};
use crate::lane::Lane;

const READ: usize = 64 * 1024;
const CONNECT: Duration = Duration::from_secs(5);
/// How often those are looked for who wait too long.
const SWEEP: Duration = Duration::from_millis(100);

#[derive(Debug)]
struct Run<'a> {
    plan: &'a Plan,
    lanes: Vec<Lane>,
    started: Instant,
    ended: Instant,
    until: Instant,
    /// With several lanes: whose turn it is, and how many requests of it are left.
    turn: usize,
    left_in_block: u64,
    tags: u64,
    dice: u64,
}

/// Runs the plan and prints one JSON object.
pub(crate) fn run(plan: &Plan) -> Result<(), String> {
    let mut poll = Poll::new().map_err(|e| e.to_string())?;
    let mut run = Run::new(plan);
    let mut clients = run.open(poll.registry())?;
    run.work(&mut poll, &mut clients).map_err(|e| e.to_string())?;
    for client in clients.iter().filter(|c| c.state != State::Waiting) {
        run.lanes[client.lane].outcome.fault("no complete answer before the end");
    }
    let seconds = run.ended.duration_since(run.started).as_secs_f64();
    let told: Vec<String> = run.lanes.iter_mut().map(|l| l.outcome.json(l.address, seconds)).collect();
    println!("{{\"lanes\":[{}]}}", told.join(","));
    Ok(())
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan) -> Self {
        let now = Instant::now();
        Self {
            plan,
            lanes: plan.lanes(),
            started: now,
            ended: now,
            until: now + plan.duration,
            turn: 0,
            left_in_block: plan.block,
            tags: 100_000,
            dice: 0x9e37_79b9_7f4a_7c15,
        }
    }

    /// Connects everybody, one after another so that no queue of connections overflows, and starts the clock.
    fn open(&mut self, registry: &Registry) -> Result<Vec<Client>, String> {
        let count = self.plan.clients * self.lanes.len();
        let share = self.plan.spread / u32::try_from(count).unwrap_or(1);
        let mut clients = Vec::with_capacity(count);
        for (place, offset) in (0..count).zip(0_u32..) {
            let lane = place % self.lanes.len();
            let address = self.lanes[lane].address;
            let mut socket = std::net::TcpStream::connect_timeout(&address, CONNECT)
                .and_then(|socket| socket.set_nonblocking(true).map(|()| TcpStream::from_std(socket)))
                .map_err(|e| format!("connect to {address}: {e}"))?;
            self.register(registry, &mut socket, place, lane).map_err(|e| e.to_string())?;
            clients.push(Client::new(lane, socket, share * offset, self.lanes[lane].expected));
        }
        self.started = Instant::now();
        self.ended = self.started;
        self.until = self.started + self.plan.duration;
        Ok(clients)
    }

    fn connect(&mut self, registry: &Registry, place: usize, lane: usize) -> io::Result<TcpStream> {
        let mut socket = TcpStream::connect(self.lanes[lane].address)?;
        self.register(registry, &mut socket, place, lane)?;
        Ok(socket)
    }

    fn register(&mut self, registry: &Registry, socket: &mut TcpStream, place: usize, lane: usize) -> io::Result<()> {
        socket.set_nodelay(true)?;
        self.lanes[lane].outcome.connections += 1;
        registry.register(socket, Token(place), Interest::READABLE | Interest::WRITABLE)
    }

    fn work(&mut self, poll: &mut Poll, clients: &mut [Client]) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut buffer = vec![0; READ];
        let mut sweep_at = self.started + SWEEP;
        let spread_until = self.started + self.plan.spread;
        let mut spreading = true;
        loop {
            match poll.poll(&mut events, Some(if spreading { Duration::from_millis(1) } else { SWEEP })) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            for event in &events {
                let gone = event.is_read_closed() || event.is_error();
                let place = event.token().0;
                self.ready(&mut clients[place], event.is_readable() || gone, gone, &mut buffer);
                self.after(poll.registry(), clients, place)?;
            }
            let now = Instant::now();
            if spreading {
                // Once more after the last one's time, or those between two looks would never begin.
                spreading = now < spread_until;
                self.begin_waiting(clients);
            }
            if now >= sweep_at {
                sweep_at = now + SWEEP;
                self.sweep(poll.registry(), clients, now)?;
                if now >= self.until && clients.iter().all(|c| c.state == State::Waiting) {
                    return Ok(());
                }
            }
        }
    }

    /// Begins every request whose time or turn has come.
    fn begin_waiting(&mut self, clients: &mut [Client]) {
        for client in clients {
            self.begin(client);
        }
    }

    fn begin(&mut self, client: &mut Client) {
        let now = Instant::now();
        let turn = self.lanes.len() == 1 || client.lane == self.turn;
        if client.state != State::Waiting
            || client.link != Link::Up
            || !turn
            || now < self.started + client.begin_at
            || now >= self.until
        {
            return;
        }
        client.tag = self.next_tag();
        client.leaves = self.plan.leave_percent > 0 && self.roll() < self.plan.leave_percent;
        client.check.begin(client.tag);
        client.sent_at = now;
        client.state = State::Sending(0);
        self.send(client);
    }

    /// Six digits, the last of them not 0: it is the end of a fraction in embeddings.
    fn next_tag(&mut self) -> u64 {
        self.tags = if self.tags >= 999_999 { 100_001 } else { self.tags + 1 };
        self.tags += u64::from(self.tags.is_multiple_of(10));
        self.tags
    }

    /// 0 to 99; the same in every run (xorshift).
    fn roll(&mut self) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % 100
    }

    fn send(&mut self, client: &mut Client) {
        let State::Sending(mut at) = client.state else { return };
        let request = self.lanes[client.lane].request(client.tag);
        while at < request.len() {
            match client.socket.write(&request[at..]) {
                Ok(n) => at += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    client.state = State::Sending(at);
                    return;
                }
                Err(e) => return self.fault(client, &format!("write: {e}")),
            }
        }
        client.state = State::Head;
        if client.leaves && !self.plan.ask.stream {
            self.leave(client);
        }
    }

    fn ready(&mut self, client: &mut Client, readable: bool, gone: bool, buffer: &mut [u8]) {
        if client.link == Link::Connecting {
            match client.socket.peer_addr() {
                Ok(_) => client.link = Link::Up,
                Err(_) if !gone => return,
                Err(_) => return self.refused(client),
            }
        }
        self.begin(client);
        self.send(client);
        while readable && client.link == Link::Up {
            match client.socket.read(buffer) {
                Ok(0) => return self.closed(client),
                Ok(n) => {
                    self.take(client, &buffer[..n]);
                    if n < buffer.len() && !gone {
                        return;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) if client.state == State::Waiting => return client.link = Link::Down,
                Err(e) => return self.fault(client, &format!("read: {e}")),
            }
        }
    }

    fn take(&mut self, client: &mut Client, data: &[u8]) {
        let mut rest = data;
        if client.state == State::Head {
            let before = client.head.len();
            client.head.extend_from_slice(data);
            match http::response(&client.head) {
                Ok(None) => return,
                Err(e) => return self.fault(client, &e),
                // Interim answers (RFC 9110 section 15.2) are not looked for: nobody here asks for them.
                Ok(Some(head)) => {
                    rest = &data[head.length - before..];
                    client.head.clear();
                    client.body = Body::new(head.framing);
                    client.keep_alive = head.keep_alive;
                    client.check.head(head.status);
                    client.state = State::Body;
                }
            }
        }
        if client.state != State::Body {
            return self.fault(client, "bytes that nobody asked for");
        }
        self.take_body(client, rest);
    }

    fn take_body(&mut self, client: &mut Client, data: &[u8]) {
        let outcome = &mut self.lanes[client.lane].outcome;
        let (now, none_before) = (wall_us(), client.check.chunks() == 0);
        let (check, delays) = (&mut client.check, &mut outcome.chunk_delay);
        let used = match client.body.feed(data, |piece| check.feed(piece, now, delays)) {
            Ok(used) => used,
            Err(e) => return self.fault(client, &e),
        };
        let chunks = client.check.chunks();
        if none_before && chunks > 0 {
            outcome.first_chunk.add(nanoseconds(client.sent_at.elapsed()));
        }
        if client.leaves && self.plan.ask.stream && chunks * 2 >= self.plan.ask.chunks {
            return self.leave(client);
        }
        if used < data.len() {
            return self.fault(client, "bytes after the end of the answer");
        }
        if client.body.done() {
            self.finish(client);
        }
    }

    fn finish(&mut self, client: &mut Client) {
        let outcome = &mut self.lanes[client.lane].outcome;
        match client.check.finish() {
            Ok(()) => {
                outcome.valid += 1;
                let latency = nanoseconds(client.sent_at.elapsed());
                outcome.latency.add(latency);
                if let Some(took) = client.check.took() {
                    outcome.beyond.add(latency.saturating_sub(took * 1000));
                }
            }
            Err(reason) => outcome.fault(&reason),
        }
        self.over(client);
    }

    /// The request is over, whatever came of it.
    fn over(&mut self, client: &mut Client) {
        self.ended = Instant::now();
        client.state = State::Waiting;
        if !client.keep_alive {
            client.link = Link::Down;
        }
        if self.lanes.len() > 1 {
            self.left_in_block -= 1;
            if self.left_in_block == 0 {
                self.turn = (self.turn + 1) % self.lanes.len();
                self.left_in_block = self.plan.block;
            }
        }
    }

    fn leave(&mut self, client: &mut Client) {
        self.lanes[client.lane].outcome.left += 1;
        client.link = Link::Down;
        self.over(client);
    }

    fn fault(&mut self, client: &mut Client, reason: &str) {
        self.lanes[client.lane].outcome.fault(reason);
        client.link = Link::Down;
        self.over(client);
    }

    /// The peer closed: the end of an answer that says so, the end of an idle connection, or a cut answer.
    fn closed(&mut self, client: &mut Client) {
        client.keep_alive = false;
        match client.state {
            State::Waiting => client.link = Link::Down,
            State::Body if client.body.ends_with_connection() => self.finish(client),
            _ => self.fault(client, "closed in the middle of an answer"),
        }
    }

    /// A server that refuses is not there: nothing more is begun.
    fn refused(&mut self, client: &mut Client) {
        let reason = client.socket.take_error().ok().flatten().map_or_else(String::new, |e| e.to_string());
        self.lanes[client.lane].outcome.fault(&format!("connect: {reason}"));
        client.link = Link::Down;
        self.until = self.started;
    }

    /// After an event: a client without a connection gets a new one, and whoever's turn it is goes on.
    fn after(&mut self, registry: &Registry, clients: &mut [Client], place: usize) -> io::Result<()> {
        self.reconnect(registry, &mut clients[place], place)?;
        if self.lanes.len() == 1 {
            self.begin(&mut clients[place]);
        } else {
            self.begin_waiting(clients);
        }
        Ok(())
    }

    fn reconnect(&mut self, registry: &Registry, client: &mut Client, place: usize) -> io::Result<()> {
        if client.link == Link::Down && Instant::now() < self.until {
            client.socket = self.connect(registry, place, client.lane)?;
            client.link = Link::Connecting;
            client.keep_alive = true;
            client.head.clear();
        }
        Ok(())
    }

    fn sweep(&mut self, registry: &Registry, clients: &mut [Client], now: Instant) -> io::Result<()> {
        for (place, client) in clients.iter_mut().enumerate() {
            if client.state != State::Waiting && now.duration_since(client.sent_at) > self.plan.stall {
                self.fault(client, "no complete answer in time");
                self.reconnect(registry, client, place)?;
            }
        }
        Ok(())
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
