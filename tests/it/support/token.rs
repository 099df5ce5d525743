//! JWTs as a host application makes them, and as an attacker would.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::Utc;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use ring::{hmac, signature};
use serde_json::{Value, json};

use super::privacy;

/// What the host application shares with us.
pub const SECRET: &str = "a-secret-of-the-host-application";

/// A valid token of an agent, signed with [`SECRET`].
pub fn agent(sub: &str, extension_ids: &[&str]) -> String {
    signed(json!({ "sub": sub, "extension_ids": extension_ids, "exp": seconds_from_now(3600) }))
}

/// Any claims, signed with [`SECRET`].
pub fn signed(claims: Value) -> String {
    hs256(SECRET.as_bytes(), &claims)
}

pub fn hs256(secret: &[u8], claims: &Value) -> String {
    hs256_with(secret, &json!({ "alg": "HS256", "typ": "JWT" }), claims)
}

/// The same with this header.
pub fn hs256_with(secret: &[u8], header: &Value, claims: &Value) -> String {
    let message = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    let seal = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(seal));
    privacy::hide([token.clone()]);
    token
}

/// Header and claims, with this `alg`.
pub fn unsigned(algorithm: &str, claims: &Value) -> String {
    let header = json!({ "alg": algorithm, "typ": "JWT" });
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    format!("{}.{}", part(&header), part(claims))
}

pub fn seconds_from_now(seconds: i64) -> i64 {
    Utc::now().timestamp() + seconds
}

/// A host application that signs with a key of its own.
pub struct KeyOfP256(EcdsaKeyPair);

impl KeyOfP256 {
    pub fn new() -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key can be made");
        Self(EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).expect("it can be read"))
    }

    pub fn sign(&self, claims: &Value) -> String {
        let message = unsigned("ES256", claims);
        let seal: signature::Signature = self.0.sign(&SystemRandom::new(), message.as_bytes()).expect("it signs");
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(seal))
    }

    /// The public half as `openssl ec -pubout` writes it.
    pub fn pem(&self) -> String {
        // What stands before the point of every P-256 key: its algorithm, its curve, its length.
        const BEFORE: [u8; 26] = [
            0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
            0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
        ];
        let key = STANDARD.encode([&BEFORE[..], self.0.public_key().as_ref()].concat());
        format!("-----BEGIN PUBLIC KEY-----\n{}\n{}\n-----END PUBLIC KEY-----\n", &key[..64], &key[64..])
    }
}
