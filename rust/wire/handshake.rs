//! WebSocket's opening handshake.

/// What makes a request WebSocket's opening handshake (RFC 6455 section 4.2.1). One that is not complete is an ordinary
/// request that asks for an upgrade, and that may be ignored (RFC 9110 section 7.8).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Handshake {
    upgrades: u8,
    websocket: bool,
    keys: u8,
    version: bool,
    malformed: bool,
}

impl Handshake {
    pub(super) fn note(&mut self, name: &[u8], value: &[u8]) {
        if name.eq_ignore_ascii_case(b"upgrade") {
            self.upgrades = self.upgrades.saturating_add(1);
            self.websocket = value.eq_ignore_ascii_case(b"websocket");
        } else if begins(name, b"sec-websocket-") {
            self.malformed |= !value.is_ascii();
            if name.eq_ignore_ascii_case(b"sec-websocket-key") {
                self.keys = self.keys.saturating_add(1);
                self.malformed |= value.is_empty();
            } else if name.eq_ignore_ascii_case(b"sec-websocket-version") {
                self.version = value == b"13";
            }
        }
    }

    pub(super) fn complete(self) -> bool {
        self.websocket && self.upgrades == 1 && self.keys == 1 && self.version && !self.malformed
    }
}

pub(super) fn begins(name: &[u8], prefix: &[u8]) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}
