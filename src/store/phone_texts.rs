//! The texts in fields for telephone numbers, customer by customer: for an audit of those that can never match.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Result, Store};

/// Customers of one read.
pub(super) const SLICE: usize = 500;

/// A customer's texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomerTexts {
    /// The host application's id, as text.
    pub id: String,
    /// Where a read begins that has this customer first.
    pub position: TextsPosition,
    /// Each with the field it stands in.
    pub texts: Vec<(String, String)>,
}

/// A customer, in the order in which a store reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextsPosition(pub(super) Vec<u8>);

impl TextsPosition {
    /// As a cursor.
    pub fn to_cursor(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.0)
    }

    /// From a cursor; `None` when it is none. Any bytes may come: the store refuses what is no position of its own.
    pub fn of_cursor(cursor: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(cursor).ok().map(Self)
    }
}

impl Store {
    /// Some customers from a position on, and where the next read begins; `None` when the position is none of this store's.
    pub async fn phone_texts(
        &self,
        from: Option<TextsPosition>,
    ) -> Result<Option<(Vec<CustomerTexts>, Option<TextsPosition>)>> {
        match self {
            Self::Mongo(mongo) => mongo.phone_texts(from).await,
            Self::Sqlite(sqlite) => sqlite.phone_texts(from).await,
        }
    }
}

/// Cuts the customer off who was read to know where to go on.
pub(super) fn paged(mut customers: Vec<CustomerTexts>) -> (Vec<CustomerTexts>, Option<TextsPosition>) {
    let next = customers.split_off(customers.len().min(SLICE)).into_iter().next().map(|customer| customer.position);
    (customers, next)
}
