//! The target of a request (RFC 9112 section 3.2).

use std::ops::Range;

use super::chars::is_authority;
use super::head::{Fault, Fields};

/// Where the parts of a target stand in the head.
pub(crate) struct Target {
    /// Of an absolute-form target.
    pub(crate) authority: Option<Range<usize>>,
    /// Empty where an absolute-form target has none.
    pub(crate) path: Range<usize>,
    pub(crate) query: Range<usize>,
}

impl Target {
    /// The four forms of RFC 9112 section 3.2, without that of CONNECT. ``method`` is the length of the method.
    pub(crate) fn read(head: &Fields, method: usize, target: Range<usize>) -> Result<Self, Fault> {
        let Range { start, end } = target;
        let text = head.slice(start..end);
        match text {
            [b'/', ..] => return Ok(Self::split(head, None, start, end)),
            b"*" if head.slice(0..method) == b"OPTIONS" => {
                return Ok(Self { authority: None, path: start..end, query: end..end });
            }
            _ => {}
        }
        let scheme = scheme_length(text).ok_or(Fault::bad("a request target of no known form"))?;
        let rest = &text[scheme..];
        let length = rest.iter().position(|&byte| byte == b'/' || byte == b'?').unwrap_or(rest.len());
        // RFC 9110 section 4.2.1 refuses an empty host, 4.2.4 user information.
        if length == 0 || rest[0] == b':' || !is_authority(&rest[..length]) {
            return Err(Fault::bad("a malformed authority in the request target"));
        }
        let path = start + scheme + length;
        Ok(Self::split(head, Some(start + scheme..path), path, end))
    }

    fn split(head: &Fields, authority: Option<Range<usize>>, start: usize, end: usize) -> Self {
        match memchr::memchr(b'?', head.slice(start..end)) {
            None => Self { authority, path: start..end, query: end..end },
            Some(mark) => Self { authority, path: start..start + mark, query: start + mark + 1..end },
        }
    }
}

/// Bytes of ``http://`` or ``https://``, if the text begins so.
fn scheme_length(text: &[u8]) -> Option<usize> {
    [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|scheme| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
        .map(<[u8]>::len)
}
