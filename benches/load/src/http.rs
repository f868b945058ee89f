//! HTTP/1.1 framing, as much as both ends need.

use memchr::memchr;

/// Enough for any gateway's answer.
const MAX_HEADERS: usize = 100;

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

/// What a head says; `length` is that of the head itself.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) length: usize,
    pub(crate) status: u16,
    pub(crate) path: String,
    pub(crate) keep_alive: bool,
    pub(crate) framing: Framing,
}

/// A request's head, or None for more.
pub(crate) fn request(data: &[u8]) -> Result<Option<Head>, String> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    match head.parse(data).map_err(|e| format!("request head: {e}"))? {
        httparse::Status::Partial => Ok(None),
        httparse::Status::Complete(length) => {
            let path = head.path.unwrap_or_default().to_owned();
            Ok(Some(facts(length, 0, path, head.version, head.headers, Framing::Length(0))))
        }
    }
}

/// An answer's head, or None for more.
pub(crate) fn response(data: &[u8]) -> Result<Option<Head>, String> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    match head.parse(data).map_err(|e| format!("answer head: {e}"))? {
        httparse::Status::Partial => Ok(None),
        httparse::Status::Complete(length) => {
            let status = head.code.unwrap_or_default();
            Ok(Some(facts(length, status, String::new(), head.version, head.headers, Framing::UntilClose)))
        }
    }
}

fn facts(
    length: usize,
    status: u16,
    path: String,
    version: Option<u8>,
    headers: &[httparse::Header],
    otherwise: Framing,
) -> Head {
    let mut framing = otherwise;
    let mut keep_alive = version == Some(1);
    for header in headers {
        let value = header.value.trim_ascii();
        if header.name.eq_ignore_ascii_case("content-length") && framing != Framing::Chunked {
            framing =
                crate::orders::number(value).and_then(|n| usize::try_from(n).ok()).map_or(framing, Framing::Length);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            framing = Framing::Chunked;
        } else if header.name.eq_ignore_ascii_case("connection") {
            keep_alive = keep_alive && !value.eq_ignore_ascii_case(b"close");
        }
    }
    Head { length, status, path, keep_alive, framing }
}

#[derive(Debug)]
enum Step {
    Fixed(usize),
    Size(Vec<u8>),
    Data(usize),
    AfterData,
    Trailer(Vec<u8>),
    UntilClose,
    Done,
}

/// The bytes of one body, taken out of their framing.
#[derive(Debug)]
pub(crate) struct Body(Step);

impl Body {
    pub(crate) fn new(framing: Framing) -> Self {
        Self(match framing {
            Framing::Length(0) => Step::Done,
            Framing::Length(n) => Step::Fixed(n),
            Framing::Chunked => Step::Size(Vec::new()),
            Framing::UntilClose => Step::UntilClose,
        })
    }

    pub(crate) fn done(&self) -> bool {
        matches!(self.0, Step::Done)
    }

    /// Whether the end of the connection is the end of this body.
    pub(crate) fn ends_with_connection(&self) -> bool {
        matches!(self.0, Step::UntilClose)
    }

    /// Gives the body's bytes to `sink`; returns how many bytes of `data` belonged to the message.
    pub(crate) fn feed(&mut self, data: &[u8], mut sink: impl FnMut(&[u8])) -> Result<usize, String> {
        let mut at = 0;
        while at < data.len() && !self.done() {
            at += self.step(&data[at..], &mut sink)?;
        }
        Ok(at)
    }

    fn step(&mut self, data: &[u8], sink: &mut impl FnMut(&[u8])) -> Result<usize, String> {
        match &mut self.0 {
            Step::Done => Ok(0),
            Step::UntilClose => {
                sink(data);
                Ok(data.len())
            }
            Step::Fixed(left) => {
                let n = take(left, data, sink);
                if *left == 0 {
                    self.0 = Step::Done;
                }
                Ok(n)
            }
            Step::Data(left) => {
                let n = take(left, data, sink);
                if *left == 0 {
                    self.0 = Step::AfterData;
                }
                Ok(n)
            }
            Step::AfterData => {
                if data[0] == b'\n' {
                    self.0 = Step::Size(Vec::new());
                } else if data[0] != b'\r' {
                    return Err("chunk without its end of line".to_owned());
                }
                Ok(1)
            }
            Step::Size(line) => {
                let n = gather(line, data);
                if line.ends_with(b"\n") {
                    let size = chunk_size(line)?;
                    self.0 = if size == 0 { Step::Trailer(Vec::new()) } else { Step::Data(size) };
                }
                Ok(n)
            }
            Step::Trailer(line) => {
                let n = gather(line, data);
                if line.ends_with(b"\n") {
                    let blank = line.trim_ascii().is_empty();
                    self.0 = if blank { Step::Done } else { Step::Trailer(Vec::new()) };
                }
                Ok(n)
            }
        }
    }
}

fn take(left: &mut usize, data: &[u8], sink: &mut impl FnMut(&[u8])) -> usize {
    let n = data.len().min(*left);
    sink(&data[..n]);
    *left -= n;
    n
}

fn gather(line: &mut Vec<u8>, data: &[u8]) -> usize {
    let n = memchr(b'\n', data).map_or(data.len(), |at| at + 1);
    line.extend_from_slice(&data[..n]);
    n
}

fn chunk_size(line: &[u8]) -> Result<usize, String> {
    let digits = line.split(|&b| b == b';').next().unwrap_or_default().trim_ascii();
    let text = std::str::from_utf8(digits).unwrap_or_default();
    usize::from_str_radix(text, 16).map_err(|_| format!("chunk size {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(framing: Framing, data: &[u8], step: usize) -> (Vec<u8>, usize, bool) {
        let (mut body, mut out, mut used) = (Body::new(framing), Vec::new(), 0);
        for piece in data.chunks(step) {
            used += body.feed(piece, |b| out.extend_from_slice(b)).unwrap();
        }
        (out, used, body.done())
    }

    #[test]
    fn chunked_bodies_are_read_whole_and_byte_by_byte() {
        let data = b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nT: 1\r\n\r\n";
        for step in 1..=data.len() {
            assert_eq!(read(Framing::Chunked, data, step), (b"hello world".to_vec(), data.len(), true));
        }
    }

    #[test]
    fn what_follows_a_body_is_left() {
        assert_eq!(read(Framing::Length(3), b"abcd", 4), (b"abc".to_vec(), 3, true));
        assert_eq!(read(Framing::Chunked, b"0\r\n\r\nHTTP", 9).1, 5);
    }

    #[test]
    fn a_broken_chunk_is_an_error() {
        assert!(Body::new(Framing::Chunked).feed(b"zz\r\n", |_| ()).is_err());
        assert!(Body::new(Framing::Chunked).feed(b"1\r\nab", |_| ()).is_err());
    }

    #[test]
    fn heads_say_how_the_body_ends() {
        let head =
            response(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n").unwrap().unwrap();
        assert_eq!((head.status, head.framing, head.keep_alive), (200, Framing::Chunked, true));
        let head = request(b"POST /a HTTP/1.1\r\nContent-Length: 12\r\nConnection: close\r\n\r\n").unwrap().unwrap();
        assert_eq!((head.path.as_str(), head.framing, head.keep_alive), ("/a", Framing::Length(12), false));
        assert!(request(b"POST /a HTTP/1.1\r\n").unwrap().is_none());
    }
}
