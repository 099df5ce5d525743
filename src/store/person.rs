//! Whether something stored is about a person who is to be erased, wherever and however their number is written in it.

use std::collections::BTreeSet;

use crate::call::{Call, CallEvent, CallEventKind};
use crate::phone::{PhoneNumber, Region, digit_runs};

/// A person who is to be erased, by number.
#[derive(Clone, Debug)]
pub struct Person {
    number: PhoneNumber,
    region: Region,
    /// Digits of which every spelling of the number has one sequence.
    written: Vec<String>,
    /// The same number as people dial it.
    dialled: [String; 4],
}

impl Person {
    /// The person with this number.
    pub fn new(number: &PhoneNumber, region: Region) -> Self {
        let (code, national) = (number.country_code(), number.national());
        let dialled =
            [national.to_owned(), format!("0{national}"), format!("{code}{national}"), format!("00{code}{national}")];
        Self { number: number.clone(), region, written: number.written_digits(), dialled }
    }

    /// Their number.
    pub fn number(&self) -> &PhoneNumber {
        &self.number
    }

    /// Whether a call holds the number: in its session ids, names or numbers.
    pub fn is_in(&self, call: &Call) -> bool {
        let parties = call.facts.parties.iter().flat_map(|party| {
            let numbers = [&party.from_number, &party.to_number].into_iter().flatten().map(|told| &told.value.0);
            let names = [&party.from_name, &party.to_name, &party.extension_name, &party.queue];
            numbers.chain(names.into_iter().flatten().map(|told| &told.value)).chain([&party.id, &party.session_id])
        });
        let own = [&call.from_number, &call.from_name, &call.to_number, &call.to_name, &call.queue];
        let answered = call.answered_by.iter().filter_map(|extension| extension.name.as_ref());
        let mut texts = own.into_iter().flatten().chain(call.sessions()).chain(answered).chain(parties);
        texts.any(|text| self.is_in_text(text))
    }

    /// The same for what is about to change a call.
    pub fn is_in_event(&self, event: &CallEvent) -> bool {
        let mut texts: Vec<&String> = event.sessions().collect();
        if let CallEventKind::Party(leg) = &event.kind {
            let queue = leg.queue.iter().filter_map(|queue| queue.name.as_ref());
            texts.extend(
                [&leg.from.number, &leg.from.name, &leg.to.number, &leg.to.name].into_iter().flatten().chain(queue),
            );
            texts.push(&leg.party_id);
        }
        texts.into_iter().any(|text| self.is_in_text(text))
    }

    /// Whether a text holds the number. A text that is another number, which has these digits in it, does not; one that cannot be
    /// read does if its digits are these.
    pub fn is_in_text(&self, text: &str) -> bool {
        let runs = digit_runs(text);
        let may = runs.iter().any(|run| self.written.iter().any(|written| run.contains(written.as_str())));
        if !may {
            return false;
        }
        let read = PhoneNumber::parse_all(text, self.region);
        read.contains(&self.number) || (read.is_empty() && runs.iter().any(|run| self.dialled.contains(run)))
    }
}

impl Call {
    /// Takes customers who are erased off a call that stays, because it is from or to another number; whether there were any. The
    /// caller's name is theirs too.
    pub fn forget_customers(&mut self, ids: &BTreeSet<String>) -> bool {
        if !self.customers.iter().any(|customer| ids.contains(&customer.id))
            && !self.customer_id.as_ref().is_some_and(|id| ids.contains(id))
        {
            return false;
        }
        self.customers.retain(|customer| !ids.contains(&customer.id));
        let first = self.customers.first();
        self.customer_id = first.map(|customer| customer.id.clone());
        self.customer_name = first.and_then(|customer| customer.name.clone());
        self.customer_email = first.and_then(|customer| customer.email.clone());
        self.matched = first.map(|customer| customer.matched);
        self.from_name = None;
        self.facts.parties.iter_mut().for_each(|party| party.from_name = None);
        self.rev += 1;
        true
    }
}
