//! RingCentral: what it sends and what it is asked. Only this room knows its field names.

pub mod client;
pub mod directory;
mod error;
mod limits;
pub mod notification;
mod oauth;
pub mod subscription;

pub use client::Client;
pub use error::{Error, Refusal};
pub use oauth::{Person, Pkce};

/// Where every HTTP client of the program begins: with the provider of cryptography that the MongoDB driver brings, and
/// with an end to waiting.
pub fn http_client() -> reqwest::ClientBuilder {
    // The first call installs it; all install the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("caller-popup/", env!("CARGO_PKG_VERSION")))
        .timeout(std::time::Duration::from_secs(10))
}
