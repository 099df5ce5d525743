//! Keys by which customers are searched in MongoDB, in place of their names, addresses and numbers.
//!
//! A key has two bytes for each of the first letters of a text: a digest of the letters up to there, zeros behind the last. Texts that
//! begin alike have keys that begin alike, so the beginning of a word is a range of an index, and a customer has one key for each word
//! instead of one for each beginning. Keys of one length are compared with each other only.
//!
//! A key holds nothing that could be read, or found by a search for a name or number. It is no secret: who has the keys can try out
//! letters one by one. So the digest is one that is fast.

use crate::customer::search::{self, FEWEST_DIGITS, SearchQuery, Searchable, email_key, name_key};
use crate::phone::Region;

/// Letters of a word or digits of a number that are in its key; the rest of a query is compared with the customer.
const LETTERS_OF_A_WORD: usize = 8;
/// The same of a whole name and of an email address, whose customers are many that begin alike.
const LETTERS_OF_A_LINE: usize = 16;
/// Keys of one customer: one faulty document must not fill the index.
const MOST_KEYS: usize = 400;
/// Words of a query that are looked up; the others are compared.
const MOST_RANGES: usize = 3;

/// The bytes of a key.
pub type Key = Vec<u8>;
/// The lowest and the highest key of a range.
pub type Range = (Key, Key);

/// What a key is of: the beginning of its digest.
#[derive(Clone, Copy)]
enum Family {
    Word = 0x776f_7264,
    Name = 0x6e61_6d65,
    Email = 0x6d61_696c,
    Digits = 0x6469_6769,
}

impl Family {
    fn letters(self) -> usize {
        match self {
            Self::Word | Self::Digits => LETTERS_OF_A_WORD,
            Self::Name | Self::Email => LETTERS_OF_A_LINE,
        }
    }

    fn key(self, text: &str) -> Key {
        let mut key = self.beginning(text);
        key.resize(2 * self.letters(), 0);
        key
    }

    fn range(self, text: &str) -> Range {
        let mut last = self.beginning(text);
        last.resize(2 * self.letters(), u8::MAX);
        (self.key(text), last)
    }

    fn beginning(self, text: &str) -> Key {
        let mut state = self as u64;
        let digest = |letter: char| {
            state = mixed(state ^ u64::from(u32::from(letter)) << 32);
            // Zero is behind the end.
            (((state >> 48) as u16).max(1)).to_be_bytes()
        };
        text.chars().take(self.letters()).flat_map(digest).collect()
    }
}

/// The finaliser of SplitMix64, in which each bit depends on all.
fn mixed(state: u64) -> u64 {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

/// The keys of a customer, sorted, each once.
pub fn keys_of(customer: &Searchable, region: Region) -> Vec<Key> {
    let lines =
        [(Family::Name, name_key(customer.name.as_deref())), (Family::Email, email_key(customer.email.as_deref()))];
    let lines = lines.into_iter().filter(|(_, text)| !text.is_empty()).map(|(family, text)| family.key(&text));
    let words = search::words(customer).into_iter().map(|word| Family::Word.key(&word));
    let parts = search::digits(customer, region).into_iter().flat_map(|number| {
        let last = number.len().saturating_sub(FEWEST_DIGITS);
        (0..=last).map(move |from| Family::Digits.key(&number[from..])).collect::<Vec<_>>()
    });
    let mut keys: Vec<Key> = lines.chain(words).chain(parts).take(MOST_KEYS).collect();
    keys.sort();
    keys.dedup();
    keys
}

/// Where customers are whose name is, or begins with, the query.
pub fn name_range(query: &SearchQuery) -> Option<Range> {
    Some(Family::Name.range(&query.name)).filter(|_| !query.name.is_empty())
}

/// Where the others are: in each of the ranges of any of these lists.
pub fn other_ranges(query: &SearchQuery) -> Vec<Vec<Range>> {
    let mut words: Vec<&String> = query.words.iter().collect();
    // Long words have few customers.
    words.sort_by_key(|word| std::cmp::Reverse(word.chars().count()));
    let words: Vec<Range> = words.into_iter().take(MOST_RANGES).map(|word| Family::Word.range(word)).collect();
    let email = query.email.iter().map(|email| vec![Family::Email.range(email)]);
    let digits = query.digits.iter().map(|digits| vec![Family::Digits.range(digits)]);
    Some(words).filter(|words| !words.is_empty()).into_iter().chain(email).chain(digits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_in(key: &Key, (first, last): &Range) -> bool {
        key.len() == first.len() && first <= key && key <= last
    }

    #[test]
    fn a_range_has_the_keys_of_all_texts_that_begin_so_and_of_no_others() {
        for (text, begins) in [("sarah", true), ("sa", true), ("sab", false), ("ra", false), ("sarahs", false)] {
            assert_eq!(is_in(&Family::Word.key("sarah"), &Family::Word.range(text)), begins, "{text}");
        }
        assert!(
            is_in(&Family::Word.key("internationale"), &Family::Word.range("internationals")),
            "letters behind the key are compared later"
        );
        assert!(!is_in(&Family::Word.key("sarah"), &Family::Digits.range("sarah")));
    }

    #[test]
    fn keys_are_the_same_in_every_version() {
        // They are stored.
        assert_eq!(Family::Word.key("ann"), [82, 106, 198, 208, 53, 144, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_customer_is_in_every_range_of_what_finds_them() {
        let text = |text: &str| Some(text.to_owned());
        let customer = Searchable {
            id: "1".into(),
            name: text("René Müller"),
            company: text("Société Générale"),
            email: text("Rene@Example.com"),
            phones: vec!["(416) 555-1234 / +49 30 901820".into()],
        };
        let region = Region::default();
        let keys = keys_of(&customer, region);
        for asked in ["ren", "muller rene", "gener soc mull ren", "rene@ex", "555123", "030 90", "+1 (416) 555-1234"] {
            let query = SearchQuery::parse(asked, region).unwrap();
            assert!(query.place(&customer, region).is_some(), "{asked}");
            let has = |ranges: &Vec<Range>| ranges.iter().all(|range| keys.iter().any(|key| is_in(key, range)));
            let ranges: Vec<Vec<Range>> =
                name_range(&query).map(|range| vec![range]).into_iter().chain(other_ranges(&query)).collect();
            assert!(ranges.iter().any(has), "{asked}");
        }
    }
}
