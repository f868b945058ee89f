//! The members of a request's body that the gateway acts on: which they are, and what they may hold.

use std::borrow::Cow;

use super::WireError;
use super::json::{Fault, Reader, unescape};

/// Fallbacks of one request: more is a mistake, and each costs a provider's time limit.
const MAX_FALLBACKS: usize = 16;
/// Bytes of a value that the gateway acts on: sixteen fallbacks with long names fit many times.
pub(super) const MAX_VALUE: usize = 64 * 1024;
/// Bytes of the longest of these names, if every letter were written as an escape.
pub(super) const LONGEST_NAME: usize = 6 * "max_completion_tokens".len();

/// A member that the gateway acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Member {
    Model,
    Stream,
    Fallbacks,
    MaxTokens,
    MaxCompletionTokens,
    MaxOutputTokens,
}

impl Member {
    fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"model" => Some(Self::Model),
            b"stream" => Some(Self::Stream),
            b"fallbacks" => Some(Self::Fallbacks),
            b"max_tokens" => Some(Self::MaxTokens),
            b"max_completion_tokens" => Some(Self::MaxCompletionTokens),
            b"max_output_tokens" => Some(Self::MaxOutputTokens),
            _ => None,
        }
    }

    /// The members that only a plugin or a translation looks into: like those acted on, they must say the same to all.
    fn content(name: &[u8]) -> Option<(&'static str, u16)> {
        const NAMES: [&str; 6] = ["messages", "system", "input", "prompt", "tools", "instructions"];
        let index = NAMES.iter().position(|known| known.as_bytes() == name)?;
        Some((NAMES[index], 1 << (8 + index)))
    }

    /// The member that a careless reader would take the name for: escapes decoded, letter case folded.
    fn mistaken(name: &[u8]) -> Option<&'static str> {
        if name.len() > LONGEST_NAME || name.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'_')) {
            return None;
        }
        let plain = unescape(name).chars().map(fold).collect::<String>();
        let known = Self::named(plain.as_bytes()).map(Self::name);
        known.or_else(|| Self::content(plain.as_bytes()).map(|(known, _)| known))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Stream => "stream",
            Self::Fallbacks => "fallbacks",
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
            Self::MaxOutputTokens => "max_output_tokens",
        }
    }

    fn refused(self, what: &str) -> WireError {
        refused(self.name(), what)
    }
}

fn refused(member: &'static str, what: &str) -> WireError {
    WireError::json(format!("{member}: {what}"), Some(Cow::Borrowed(member)))
}

/// Unicode's simple case folding, as far as it leads to letters of ASCII: readers that ignore letter case use it.
fn fold(character: char) -> char {
    match character {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        _ => character.to_ascii_lowercase(),
    }
}

/// What has been read.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) model: Option<String>,
    pub(super) stream: bool,
    pub(super) fallbacks: Vec<String>,
    pub(super) max_tokens: Option<u64>,
    /// One bit per member.
    seen: u16,
}

impl Facts {
    /// What the member means to the gateway, from what stands between the quotes of its name.
    #[inline]
    pub(super) fn name(&mut self, name: &[u8]) -> Result<Option<Member>, WireError> {
        let member = Member::named(name);
        let known = member.map(|member| (member.name(), 1 << member as u16)).or_else(|| Member::content(name));
        let Some((known, bit)) = known else {
            return match Member::mistaken(name) {
                Some(known) => Err(refused(known, "the name is written in another way")),
                None => Ok(None),
            };
        };
        if self.seen & bit != 0 {
            return Err(refused(known, "stands there twice"));
        }
        self.seen |= bit;
        Ok(member)
    }

    /// Takes the value, which is valid JSON.
    pub(super) fn value(&mut self, member: Member, value: &[u8]) -> Result<(), WireError> {
        if value.len() > MAX_VALUE {
            return Err(member.refused("longer than 64 KiB"));
        }
        match member {
            Member::Model => self.model = Some(text(value).ok_or_else(|| member.refused("not a string"))?),
            Member::Stream => self.stream = flag(value).ok_or_else(|| member.refused("neither true nor false"))?,
            Member::Fallbacks => self.fallbacks = fallbacks(value).map_err(|what| member.refused(what))?,
            _ => self.limit(limit(value).map_err(|what| member.refused(what))?),
        }
        Ok(())
    }

    fn limit(&mut self, limit: Option<u64>) {
        self.max_tokens = [self.max_tokens, limit].into_iter().flatten().min();
    }
}

fn text(value: &[u8]) -> Option<String> {
    let raw = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    Some(unescape(raw).into_owned())
}

fn flag(value: &[u8]) -> Option<bool> {
    match value {
        b"true" => Some(true),
        b"false" | b"null" => Some(false),
        _ => None,
    }
}

fn limit(value: &[u8]) -> Result<Option<u64>, &'static str> {
    if value == b"null" {
        return Ok(None);
    }
    if !value.iter().all(u8::is_ascii_digit) {
        return Err("not a whole number of tokens");
    }
    let number = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
    number.map(Some).ok_or("too large a number")
}

fn fallbacks(value: &[u8]) -> Result<Vec<String>, &'static str> {
    const KINDS: &str = "not a list of strings or of objects with provider and model";
    let mut names = Vec::new();
    let list = Reader::new(value).and_then(|mut reader| {
        let list = value == b"null" || reader.peek() == Some(b'[');
        reader.array(|reader, _| {
            names.push(fallback(reader)?);
            Ok(())
        })?;
        Ok(list)
    });
    if list != Ok(true) {
        return Err(KINDS);
    }
    if names.len() > MAX_FALLBACKS {
        return Err("more than 16 of them");
    }
    names.into_iter().collect::<Option<_>>().ok_or(KINDS)
}

fn fallback(reader: &mut Reader<'_>) -> Result<Option<String>, Fault> {
    if reader.peek() != Some(b'{') {
        return Ok(reader.string()?.map(|raw| unescape(raw).into_owned()));
    }
    let (mut provider, mut model) = (None, None);
    reader.object(|reader, name| {
        match name {
            b"provider" => provider = reader.string()?,
            b"model" => model = reader.string()?,
            _ => reader.skip()?,
        }
        Ok(())
    })?;
    Ok(provider.zip(model).map(|(provider, model)| format!("{}/{}", unescape(provider), unescape(model))))
}
