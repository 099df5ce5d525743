//! An audit of customers' numbers: which texts can never match a caller.

use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use super::App;
use crate::phone::{Region, unmatchable};
use crate::store::{CustomerTexts, Store, StoreError, TextsPosition};

/// A page ends here, whatever it has found.
const LONGEST_PAGE: Duration = Duration::from_secs(1);

/// A text in a field for telephone numbers that can never match a caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct UnmatchableNumber {
    /// The host application's own id, as text.
    pub customer_id: String,
    /// Where it stands: one of `CUSTOMER_PHONE_FIELDS`; `phone` in the embedded store.
    pub field: String,
    /// The text, or the part of one that is no number.
    pub written: String,
    /// Why, for people.
    pub reason: String,
    /// The number that is probably meant, in E.164; two with a semicolon between them where two run together; `None` where the text
    /// does not say.
    pub suggestion: Option<String>,
}

/// Some of them.
#[derive(Clone, Debug, Default)]
pub struct AuditPage {
    /// In the order of the customers.
    pub numbers: Vec<UnmatchableNumber>,
    /// How many customers were read.
    pub customers: u64,
    /// Where the next page begins; `None` after the last customer.
    pub next: Option<TextsPosition>,
}

impl App {
    /// Texts that can never match, about `limit` at a time; `None` when the position is none.
    pub async fn unmatchable(
        &self,
        from: Option<TextsPosition>,
        limit: usize,
    ) -> Result<Option<AuditPage>, StoreError> {
        audit(self.store(), self.config().region, from, limit).await
    }
}

/// The same on a store, for a command. A page is never cut within a customer, and may be empty where most numbers are well: reading on
/// ends after a time.
pub async fn audit(
    store: &Store,
    region: Region,
    mut from: Option<TextsPosition>,
    limit: usize,
) -> Result<Option<AuditPage>, StoreError> {
    let begun = Instant::now();
    let mut page = AuditPage::default();
    loop {
        let Some((customers, next)) = store.phone_texts(from).await? else { return Ok(None) };
        let room = limit.saturating_sub(page.numbers.len());
        // Numbers of 500 customers take 10 ms to parse.
        let read = spawn_blocking(move || read(&customers, region, room)).await.map_err(|_| StoreError::Closed)?;
        page.numbers.extend(read.numbers);
        page.customers += read.customers;
        page.next = read.next.or(next);
        if page.next.is_none() || page.numbers.len() >= limit || begun.elapsed() > LONGEST_PAGE {
            return Ok(Some(page));
        }
        from = page.next.clone();
    }
}

/// `next` is the first customer who was not read.
fn read(customers: &[CustomerTexts], region: Region, room: usize) -> AuditPage {
    let mut page = AuditPage::default();
    for CustomerTexts { id, position, texts } in customers {
        if page.numbers.len() >= room {
            page.next = Some(position.clone());
            break;
        }
        page.customers += 1;
        for (field, text) in texts {
            page.numbers.extend(unmatchable(text, region).into_iter().map(|it| UnmatchableNumber {
                customer_id: id.clone(),
                field: field.clone(),
                written: it.written,
                reason: it.reason.to_string(),
                suggestion: it.suggestion,
            }));
        }
    }
    page
}
