//! Secrets: new ones, and what may be kept of one.

use rand::Rng;
use sha2::{Digest, Sha256};

/// SHA-256 in lower-case hexadecimal.
pub fn digest(secret: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(secret))
}

/// A new secret of so many random bytes, as hexadecimal digits, which are fit for addresses and headers.
pub fn generate<const BYTES: usize>() -> String {
    let mut bytes = [0; BYTES];
    rand::rng().fill_bytes(&mut bytes);
    hex(&bytes)
}

/// Bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
