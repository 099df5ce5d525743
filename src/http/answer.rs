//! Answers that several routes give.

use serde::Serialize;
use utoipa::ToSchema;

/// It was done; there is nothing to tell.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatusOk {
    /// Always `success`.
    status: Done,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Done {
    Success,
}

/// `{"status":"success"}`.
pub const STATUS_OK: StatusOk = StatusOk { status: Done::Success };
