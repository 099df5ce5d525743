//! What is asked of RingCentral, against the fake: tokens, limits, errors, sign-in, the one subscription.

mod client;
mod guide_script;
mod service;
mod sign_in;
mod subscription;
