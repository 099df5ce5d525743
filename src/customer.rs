//! Customers as the popup needs them, and how several who share a number are ranked.

pub mod search;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::phone::{PhoneNumber, Region};

/// A customer who may be the caller. Read from the host application's collection; ours only as a copy on the call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Customer {
    /// The host application's own id, as text.
    pub id: String,
    /// What to show; `None` when none of the configured name fields has text.
    pub name: Option<String>,
    /// What to show below the line; `None` when unset.
    pub email: Option<String>,
    /// Why this customer was found.
    #[serde(rename = "match")]
    pub matched: Match,
}

/// A customer whom a search has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CustomerFound {
    /// The host application's own id, as text.
    pub id: String,
    /// `None` when none of the configured name fields has text.
    pub name: Option<String>,
    /// `None` when unset.
    pub email: Option<String>,
    /// `None` when unset.
    pub company: Option<String>,
    /// `exact` when the query is a number of this customer, else `None`.
    #[serde(rename = "match")]
    pub matched: Option<Match>,
}

/// A customer by themselves, without a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CustomerDetails {
    /// The host application's own id, as text.
    pub id: String,
    /// `None` when none of the configured name fields has text.
    pub name: Option<String>,
    /// `None` when unset.
    pub email: Option<String>,
    /// Each number once.
    pub numbers: Vec<CustomerNumber>,
}

/// A telephone number of a customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CustomerNumber {
    /// E.164; `None` where the text cannot be read as a public number.
    pub number: Option<String>,
    /// For people; the text itself where it cannot be read.
    pub display: String,
}

impl CustomerNumber {
    /// The numbers in the texts of a customer, which may hold several each.
    pub fn all_of(texts: &[String], region: Region) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for text in texts {
            let read = PhoneNumber::parse_all(text, region);
            let unread = || Self { number: None, display: text.clone() };
            let known = |number: &PhoneNumber| Self { number: Some(number.e164()), display: number.display(region) };
            let found = if read.is_empty() { vec![unread()] } else { read.iter().map(known).collect() };
            for number in found {
                if !all.contains(&number) {
                    all.push(number);
                }
            }
        }
        all
    }
}

/// How sure a match is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Match {
    /// The caller's number is this customer's, and nobody else's.
    Exact,
    /// The number is this customer's and others' too.
    Shared,
    /// The number resembles this customer's; a person should look twice.
    Possible,
}

/// Orders the customers of one number: surest first, then by name so that every tab shows the same list.
/// Several exact matches are all [`Match::Shared`].
pub fn rank(mut customers: Vec<Customer>) -> Vec<Customer> {
    customers.sort_by(|a, b| (&a.matched, &a.name, &a.id).cmp(&(&b.matched, &b.name, &b.id)));
    customers.dedup_by(|a, b| a.id == b.id);
    let exact = customers.iter().filter(|c| c.matched == Match::Exact).count();
    if exact > 1 {
        customers.iter_mut().filter(|c| c.matched == Match::Exact).for_each(|c| c.matched = Match::Shared);
    }
    customers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn customers_who_share_a_number_say_so_and_stand_in_one_order() {
        let customer = |id: &str, name: &str| Customer {
            id: id.into(),
            name: Some(name.into()),
            email: None,
            matched: Match::Exact,
        };
        let ranked = rank(vec![customer("2", "Zoe"), customer("1", "Amir"), customer("1", "Amir")]);
        assert_eq!(ranked.iter().map(|c| c.id.as_str()).collect::<Vec<_>>(), ["1", "2"]);
        assert!(ranked.iter().all(|c| c.matched == Match::Shared));
    }
}
