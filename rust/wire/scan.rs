//! What the gateway reads from a JSON body.
