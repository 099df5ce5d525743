//! JWTs of the host application.
//!
//! `jsonwebtoken` reads them and checks their times and audience; signatures are checked by ring, which TLS brings
//! already, so that no second library of cryptography has to be built. One key is configured, and its kind is the only
//! algorithm: a token cannot choose how it is checked.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{self, Verifier as VerifySignature};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Validation, decode};
use ring::hmac;
use ring::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::Value;
use tracing::debug;

use crate::config::JwtKey;
use crate::http::error::ApiError;
use crate::viewer::{Scope, Viewer};

/// How far the clock of the host application may be off, in seconds.
const LEEWAY: u64 = 60;
/// A `sub` is a name of a person, which dismissals hang on.
const LONGEST_SUB: usize = 256;
/// An agent has one extension and some queues.
const MOST_EXTENSIONS: usize = 200;
/// As seconds this is in the year 5138; the milliseconds of today are more.
const LARGEST_EXP: f64 = 100_000_000_000.0;
/// The last moment there is a four-digit year for.
const END_OF_TIME: i64 = 253_402_300_799;

/// Reads JWTs with the configured key.
pub struct Verifier {
    key: DecodingKey,
    rules: Validation,
}

/// As the token says them, so that what has the wrong form can be named.
#[derive(Deserialize)]
struct Claims {
    sub: Option<Value>,
    /// Seconds, possibly with a fraction.
    exp: Option<Value>,
    role: Option<Value>,
    extension_ids: Option<Value>,
}

impl Verifier {
    /// A verifier of tokens made for `audience`, or for anyone.
    pub fn new(key: &JwtKey, audience: Option<&str>) -> Self {
        // The first call installs it; all install the same.
        let _ = RING.install_default();
        let read = |key: Result<DecodingKey, Error>| key.expect("the settings hold keys that can be read");
        let (algorithm, key) = match key {
            JwtKey::Hs256(secret) => (Algorithm::HS256, DecodingKey::from_secret(secret.as_bytes())),
            JwtKey::Rs256(pem) => (Algorithm::RS256, read(DecodingKey::from_rsa_pem(pem.as_bytes()))),
            JwtKey::Es256(pem) => (Algorithm::ES256, read(DecodingKey::from_ec_pem(pem.as_bytes()))),
        };
        let mut rules = Validation::new(algorithm);
        rules.leeway = LEEWAY;
        rules.validate_nbf = true;
        rules.set_required_spec_claims(&["exp"]);
        match audience {
            Some(audience) => {
                rules.set_audience(&[audience]);
                rules.set_required_spec_claims(&["exp", "aud"]);
            }
            None => rules.validate_aud = false,
        }
        Self { key, rules }
    }

    /// The viewer that the token names.
    pub fn viewer(&self, token: &str) -> Result<Viewer, ApiError> {
        let read = decode::<Claims>(token, &self.key, &self.rules).map_err(refusal)?;
        // It says that a reader must refuse it who does not know these extensions (RFC 7515, 4.1.11), and none is known.
        if has_critical_extensions(token) {
            debug!("a JWT with critical extensions was refused");
            return Err(ApiError::unauthorized());
        }
        let claims = read.claims;
        let exp = claims.exp.as_ref().and_then(Value::as_f64).ok_or_else(no_exp)?;
        if exp > LARGEST_EXP {
            return Err(malformed(r#""exp" is in milliseconds; it has to be in seconds since 1970"#));
        }
        // With the leeway, so that a clock that is off does not end streams early.
        let end = (exp as i64).saturating_add(LEEWAY as i64).clamp(0, END_OF_TIME);
        let until = DateTime::<Utc>::from_timestamp(end, 0).filter(|until| *until > Utc::now());
        let until = until.ok_or_else(ApiError::expired)?;
        let sub = claims.sub()?;
        // So that no `sub` is an extension's or a token's viewer by chance.
        Ok(Viewer { id: format!("user-{sub}"), scope: claims.scope()?, until: Some(until) })
    }
}

impl Claims {
    /// The name of the person.
    fn sub(&self) -> Result<&str, ApiError> {
        match &self.sub {
            Some(Value::String(sub)) if !sub.is_empty() && sub.len() <= LONGEST_SUB => Ok(sub),
            None | Some(Value::Null | Value::String(_)) => {
                Err(no_rights(r#"does not say in "sub" whose it is, in 1 to 256 bytes"#))
            }
            Some(_) => Err(malformed(r#""sub" is no text; it has to be one, such as "17""#)),
        }
    }

    /// The calls that they may see.
    fn scope(&self) -> Result<Scope, ApiError> {
        if self.role.as_ref().and_then(Value::as_str) == Some("admin") {
            return Ok(Scope::All);
        }
        let list = r#""extension_ids" has to be a list of texts or numbers, such as ["101"]"#;
        match &self.extension_ids {
            Some(Value::Array(ids)) if ids.len() > MOST_EXTENSIONS => {
                Err(no_rights("names more than 200 \"extension_ids\""))
            }
            Some(Value::Array(ids)) if !ids.is_empty() => {
                let ids = ids.iter().map(extension_id).collect::<Option<_>>();
                ids.map(Scope::Extensions).ok_or_else(|| malformed(list))
            }
            None | Some(Value::Null | Value::Array(_)) => {
                Err(no_rights(r#"says neither "role":"admin" nor whose "extension_ids""#))
            }
            Some(_) => Err(malformed(list)),
        }
    }
}

/// RingCentral itself writes ids both ways.
fn extension_id(id: &Value) -> Option<String> {
    match id {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => id.as_u64().map(|id| id.to_string()),
        _ => None,
    }
}

/// Whether the header has a `crit`, of whatever form.
fn has_critical_extensions(token: &str) -> bool {
    let header = token.split('.').next().and_then(|header| URL_SAFE_NO_PAD.decode(header).ok());
    let header = header.and_then(|header| serde_json::from_slice::<serde_json::Value>(&header).ok());
    header.is_none_or(|header| header.get("crit").is_some())
}

/// Says what is wrong of a token whose signature is right, and of no other.
fn refusal(cause: Error) -> ApiError {
    debug!(error = %cause, "a JWT was refused");
    match cause.kind() {
        ErrorKind::ExpiredSignature => ApiError::expired(),
        ErrorKind::ImmatureSignature => malformed(r#""nbf" is in the future"#),
        ErrorKind::MissingRequiredClaim(claim) | ErrorKind::InvalidClaimFormat(claim) if claim == "exp" => no_exp(),
        ErrorKind::InvalidClaimFormat(claim) if claim == "nbf" => {
            malformed(r#""nbf" has to be a number of seconds since 1970"#)
        }
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidAudience => {
            malformed(r#""aud" does not name this service"#)
        }
        _ => ApiError::unauthorized(),
    }
}

fn no_exp() -> ApiError {
    malformed(r#"it has no "exp", a number of seconds since 1970"#)
}

fn malformed(what: &str) -> ApiError {
    ApiError::malformed_token(format!("This token is signed with the right key, but is not valid: {what}."))
}

fn no_rights(what: &str) -> ApiError {
    ApiError::forbidden("no_rights", format!("This token is valid, but {what}."))
}

/// The part of ring that `jsonwebtoken` needs to read tokens; nothing here makes any.
static RING: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: |algorithm, key| Ok(Box::new(Signature { algorithm: *algorithm, key: key.clone() })),
    key_utils: KeyUtils::new_unimplemented(),
};

struct Signature {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl VerifySignature<Vec<u8>> for Signature {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let key = self.key.try_get_as_bytes().map_err(signature::Error::from_source)?;
        let verified = match (self.algorithm, self.key.family()) {
            (Algorithm::HS256, AlgorithmFamily::Hmac) => {
                hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, key), message, signature)
            }
            (Algorithm::RS256, AlgorithmFamily::Rsa) => {
                UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key).verify(message, signature)
            }
            (Algorithm::ES256, AlgorithmFamily::Ec) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(message, signature)
            }
            _ => return Err(signature::Error::new()),
        };
        verified.map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Signature {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
