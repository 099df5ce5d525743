//! Answers that several routes give.

use serde::Serialize;
use utoipa::ToSchema;

/// It was done; there is nothing to tell.
#[derive(Debug, Serialize, ToSchema)]
pub struct Success {
    /// Always `success`.
    status: Done,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Done {
    Success,
}

/// `{"status":"success"}`.
pub const SUCCESS: Success = Success { status: Done::Success };
