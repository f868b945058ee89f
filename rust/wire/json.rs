//! JSON (RFC 8259): validation in one pass.
