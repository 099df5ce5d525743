//! Who has a number, in the host application's collection.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures_util::TryStreamExt;
use futures_util::future::try_join_all;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::FullDocumentType;

use super::id::{id_text, ids_of};
use super::{Mongo, command_code, is_unauthorized};
use crate::customer::search::Searchable;
use crate::customer::{Customer, CustomerDetails, CustomerNumber, Match, rank};
use crate::phone::{PhoneNumber, Region};
use crate::store::Result;
use crate::store::customer_watch::{CustomerWatch, asked_for};
use crate::store::mongo::change_stream::NO_REPLICA_SET;

/// Customers of one number that are shown; more than a person can choose from.
pub(super) const MOST_CUSTOMERS: i64 = 20;
/// A customer scan that takes longer than this is too late for the popup and only burdens the host's database.
const LONGEST_LOOKUP: Duration = Duration::from_secs(5);

impl Mongo {
    /// The customers who have this number, by the index of numbers, or else by the guide's lookup. `changed` has changed a moment ago
    /// and may not be indexed yet.
    pub async fn customers_by_phone(&self, number: &PhoneNumber, changed: Option<&Bson>) -> Result<Vec<Customer>> {
        if let Some(customers) = self.indexed_customers(number, changed.into_iter().cloned().collect()).await? {
            return Ok(customers);
        }
        let _turn = self.numbers.turn_to_search().await;
        // It may have been indexed meanwhile.
        match self.indexed_customers(number, Vec::new()).await? {
            Some(customers) => Ok(customers),
            None => self.search(number).await,
        }
    }

    /// The same where the index is known not to have it.
    pub async fn customers_by_pattern(&self, number: &PhoneNumber) -> Result<Vec<Customer>> {
        let _turn = self.numbers.turn_to_search().await;
        self.search(number).await
    }

    /// The guide's lookup: spellings that an index on the field can find, then a pattern for every other spelling, and
    /// the phone library has the last word on both.
    async fn search(&self, number: &PhoneNumber) -> Result<Vec<Customer>> {
        for value in [doc! { "$in": common_spellings(number) }, doc! { "$regex": any_spelling(number) }] {
            let fields: Vec<Document> =
                self.fields.phone_fields.iter().map(|field| doc! { field.as_str(): value.clone() }).collect();
            let found = self.customers.find(doc! { "$or": fields }).limit(MOST_CUSTOMERS).max_time(LONGEST_LOOKUP);
            let documents: Vec<_> = found.await?.try_collect().await?;
            let customers = documents.iter().filter_map(|document| self.customer(document, number)).collect();
            let customers = rank(customers);
            if !customers.is_empty() {
                return Ok(customers);
            }
        }
        Ok(Vec::new())
    }

    /// Who has each of these numbers, by the index of numbers; while that is not complete, in a spelling that an index on the field can
    /// find.
    pub async fn customers_by_phones(&self, numbers: &[PhoneNumber]) -> Result<Vec<Vec<Customer>>> {
        let indexed = numbers.iter().map(|number| self.indexed_customers(number, Vec::new()));
        if let Some(customers) = try_join_all(indexed).await?.into_iter().collect() {
            return Ok(customers);
        }
        let spellings: Vec<Bson> =
            numbers.iter().collect::<HashSet<_>>().into_iter().flat_map(common_spellings).collect();
        let fields: Vec<Document> = self
            .fields
            .phone_fields
            .iter()
            .map(|field| doc! { field.as_str(): { "$in": spellings.clone() } })
            .collect();
        let found = self.customers.find(doc! { "$or": fields }).limit(MOST_CUSTOMERS * numbers.len() as i64);
        let documents: Vec<Document> = found.max_time(LONGEST_LOOKUP).await?.try_collect().await?;
        let mut holders: HashMap<PhoneNumber, Vec<&Document>> = HashMap::new();
        for document in &documents {
            let texts = self.phones(document);
            let written: HashSet<_> = texts.iter().flat_map(|text| PhoneNumber::parse_all(text, self.region)).collect();
            let reached: HashSet<_> =
                written.into_iter().flat_map(|it| [it.counterparts(), vec![it]].concat()).collect();
            reached.into_iter().for_each(|number| holders.entry(number).or_default().push(document));
        }
        let customers = |number: &PhoneNumber| {
            let found = holders.get(number).into_iter().flatten();
            rank(found.filter_map(|document| self.customer(document, number)).take(MOST_CUSTOMERS as usize).collect())
        };
        Ok(numbers.iter().map(customers).collect())
    }

    /// The customer whose `_id` is written like this.
    pub async fn customer_by_id(&self, id: &str) -> Result<Option<CustomerDetails>> {
        let found = self.customers.find(doc! { "_id": { "$in": ids_of(id) } }).max_time(LONGEST_LOOKUP).await?;
        let documents: Vec<Document> = found.try_collect().await?;
        let document = documents.iter().find(|document| id_text(document.get("_id")) == id);
        Ok(document.map(|document| CustomerDetails {
            id: id.to_owned(),
            name: self.name(document),
            email: first_text(document, &self.fields.email_field),
            numbers: CustomerNumber::all_of(&self.phones(document), self.region),
        }))
    }

    /// Watches the host application's collection on a connection of its own; where it may not or cannot, counts.
    pub async fn watch_customers(&self) -> Result<CustomerWatch> {
        let client = mongodb::Client::with_options(self.options.as_ref().clone())?;
        let customers = client.database(self.database.name()).collection::<Document>(self.customers.name());
        let changes = customers.watch().pipeline([asked_for(self.phone_fields())]);
        match changes.full_document(FullDocumentType::UpdateLookup).await {
            Ok(changes) => {
                Ok(CustomerWatch::Versioned { changes: Box::new(changes), mongo: self.clone(), _client: client })
            }
            Err(error) if is_unauthorized(&error) || command_code(&error) == Some(NO_REPLICA_SET) => {
                Ok(CustomerWatch::Count(self.clone(), self.count_customers().await?))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// How many customers there are, as the collection's metadata says.
    pub async fn count_customers(&self) -> Result<u64> {
        Ok(self.customers.estimated_document_count().await?)
    }

    /// The texts of a customer that hold numbers.
    pub fn phones(&self, document: &Document) -> Vec<String> {
        let mut phones = Vec::new();
        self.fields.phone_fields.iter().for_each(|field| texts_at(document, field, &mut phones));
        phones
    }

    /// Where numbers without a country code are from.
    pub fn region(&self) -> Region {
        self.region
    }

    pub(super) fn customer(&self, document: &Document, number: &PhoneNumber) -> Option<Customer> {
        let matched = matched(&self.phones(document), number, self.region);
        matched.map(|matched| Customer {
            id: id_text(document.get("_id")),
            name: self.name(document),
            email: first_text(document, &self.fields.email_field),
            matched,
        })
    }

    /// What of a customer is searched.
    pub(super) fn searchable(&self, document: &Document) -> Searchable {
        Searchable {
            id: id_text(document.get("_id")),
            name: self.name(document),
            email: first_text(document, &self.fields.email_field),
            company: first_text(document, &self.fields.company_field),
            phones: self.phones(document),
        }
    }

    fn name(&self, document: &Document) -> Option<String> {
        let parts: Vec<_> = self.fields.name_fields.iter().filter_map(|field| first_text(document, field)).collect();
        Some(parts.join(" ")).filter(|name| !name.is_empty())
    }
}

/// How sure it is that one of these texts holds the number.
pub fn matched(texts: &[String], number: &PhoneNumber, region: Region) -> Option<Match> {
    let written: Vec<_> = texts.iter().flat_map(|text| PhoneNumber::parse_all(text, region)).collect();
    if written.contains(number) {
        return Some(Match::Exact);
    }
    let counterparts = number.counterparts();
    written.iter().any(|other| counterparts.contains(other)).then_some(Match::Possible)
}

/// How numbers usually stand in a database; an index on the field finds these at once.
fn common_spellings(number: &PhoneNumber) -> Vec<Bson> {
    let (code, national) = (number.country_code(), number.national());
    let mut spellings = vec![number.e164(), format!("{code}{national}"), national.to_owned(), format!("0{national}")];
    if let (1, Some((area, rest))) = (code, national.split_at_checked(3)) {
        let (exchange, line) = rest.split_at(3.min(rest.len()));
        for separated in [
            format!("({area}) {exchange}-{line}"),
            format!("{area}-{exchange}-{line}"),
            format!("{area}.{exchange}.{line}"),
            format!("{area} {exchange} {line}"),
        ] {
            spellings.extend([format!("+1 {separated}"), format!("1-{separated}"), separated]);
        }
    }
    // Some applications store numbers as numbers.
    let integers = [format!("{code}{national}"), national.to_owned()];
    let integers = integers.iter().filter_map(|digits| digits.parse::<i64>().ok()).map(Bson::Int64);
    spellings.into_iter().map(Bson::String).chain(integers).collect()
}

/// Texts that may hold the number in any spelling: its digits in order with anything but digits between them. What is found has
/// to be read, because a longer number may have them too. Only digits go into the pattern, so there is nothing to escape.
pub(super) fn any_spelling(number: &PhoneNumber) -> String {
    let sequences: Vec<String> = number.written_digits().iter().map(|digits| apart(digits)).collect();
    sequences.join("|")
}

fn apart(digits: &str) -> String {
    // People write digits of their own scripts too: full-width, Arabic, Persian.
    let any_script = |digit: char| {
        let value = digit.to_digit(10).unwrap_or_default();
        let scripts = [0xff10, 0x660, 0x6f0].into_iter().filter_map(|zero| char::from_u32(zero + value));
        format!("[{digit}{}]", scripts.collect::<String>())
    };
    digits.chars().map(any_script).collect::<Vec<_>>().join("[^0-9]*")
}

fn first_text(document: &Document, field: &str) -> Option<String> {
    let mut found = Vec::new();
    texts_at(document, field, &mut found);
    found.into_iter().next()
}

/// Every text at a dotted path, through documents and arrays as MongoDB itself walks them.
pub(super) fn texts_at(document: &Document, path: &str, out: &mut Vec<String>) {
    let (field, rest) = path.split_once('.').map_or((path, None), |(field, rest)| (field, Some(rest)));
    if let Some(value) = document.get(field) {
        walk(value, rest, out);
    }
}

fn walk(value: &Bson, rest: Option<&str>, out: &mut Vec<String>) {
    match (value, rest) {
        (Bson::Array(items), _) => items.iter().for_each(|item| walk(item, rest, out)),
        (Bson::Document(document), Some(rest)) => texts_at(document, rest, out),
        (Bson::String(text), None) if !text.trim().is_empty() => out.push(text.trim().to_owned()),
        (Bson::Int32(number), None) => out.push(number.to_string()),
        (Bson::Int64(number), None) => out.push(number.to_string()),
        (Bson::Double(number), None) if number.is_finite() => out.push(format!("{number:.0}")),
        (Bson::Decimal128(number), None) => out.push(number.to_string()),
        _ => {}
    }
}
