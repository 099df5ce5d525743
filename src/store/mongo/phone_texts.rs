//! The texts in the host's fields for telephone numbers.

use std::time::Duration;

use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use mongodb::options::{FindOptions, Hint};

use super::Mongo;
use super::customers::texts_at;
use super::id::id_text;
use crate::store::Result;
use crate::store::phone_texts::{CustomerTexts, SLICE, TextsPosition, paged};

/// A slice is read by the index of `_id`; a database that takes longer has other things to do.
const LONGEST_READ: Duration = Duration::from_secs(5);

impl Mongo {
    pub async fn phone_texts(
        &self,
        from: Option<TextsPosition>,
    ) -> Result<Option<(Vec<CustomerTexts>, Option<TextsPosition>)>> {
        let min = match from.map(|from| Document::from_reader(&from.0[..])) {
            None => None,
            Some(Ok(at)) if at.len() == 1 && at.contains_key("_id") => Some(at),
            Some(_) => return Ok(None),
        };
        let options = FindOptions::builder().sort(doc! { "_id": 1 }).hint(Hint::Keys(doc! { "_id": 1 })).min(min);
        let options = options.limit(SLICE as i64 + 1).projection(self.phone_fields()).max_time(LONGEST_READ).build();
        let found: Vec<Document> = self.customers.find(doc! {}).with_options(options).await?.try_collect().await?;
        Ok(Some(paged(found.iter().map(|document| self.texts_of(document)).collect())))
    }

    fn texts_of(&self, document: &Document) -> CustomerTexts {
        let mut texts = Vec::new();
        for field in &self.fields.phone_fields {
            let mut there = Vec::new();
            texts_at(document, field, &mut there);
            texts.extend(there.into_iter().map(|text| (field.clone(), text)));
        }
        let id = document.get("_id");
        let position = doc! { "_id": id.cloned() }.to_vec().unwrap_or_default();
        CustomerTexts { id: id_text(id), position: TextsPosition(position), texts }
    }
}
