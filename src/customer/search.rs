//! Searching customers: what a query asks for, and what of a customer answers it.
//!
//! Texts are compared folded: compatibility forms decomposed (full-width letters, ligatures), accents removed, lower case. Stores
//! look candidates up by an index, and [`SearchQuery::place`] decides about each from the customer's current fields, so an index that
//! lags behind, or finds too much, never shows a wrong customer.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;

use super::{CustomerFound, Match};
use crate::phone::{PhoneNumber, Region, dialled_digits};

/// Changes when the same text is folded or cut into other words than before, so that stored indexes are built again.
pub const FOLDING: u32 = 1;
/// Customers of one answer; more than a person reads.
pub const MOST_FOUND: usize = 20;
/// Letters and digits of the shortest query.
const FEWEST_LETTERS: usize = 2;
/// Digits of the shortest part of a number.
pub const FEWEST_DIGITS: usize = 4;
/// A longer query is no name, address or number.
const LONGEST_QUERY: usize = 200;
/// Words of a query; each is looked up by itself.
const MOST_WORDS: usize = 8;
/// Characters of a field that are read: one faulty document must not fill an index.
const LONGEST_FIELD: usize = 400;
/// Numbers of one customer that are searched.
const MOST_NUMBERS: usize = 50;

/// Why a query cannot be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadQuery {
    /// Half of all customers would answer it.
    #[error("Type at least two letters of a name, company or email address, or four digits of a number.")]
    TooShort,
    /// More than `LONGEST_QUERY` characters or `MOST_WORDS` words.
    #[error("Search for at most 200 characters and 8 words.")]
    TooLong,
}

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchQuery {
    /// The query as a name: its words joined by a space.
    pub name: String,
    /// Each begins a word of a name or company.
    pub words: Vec<String>,
    /// The beginning of an email address.
    pub email: Option<String>,
    /// A whole number.
    pub number: Option<PhoneNumber>,
    /// Digits of which a number holds one sequence: as they are, and without a trunk or international prefix.
    pub digits: Vec<String>,
}

/// Where a customer stands in the answer, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The query is their number.
    Number,
    /// It is their name.
    Name,
    /// Their name begins with it.
    NameBegins,
    /// It is in another field, or further back.
    Elsewhere,
}

/// What of a customer is searched, as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Searchable {
    /// The host application's id, as text.
    pub id: String,
    /// `None` when none of the configured fields has text.
    pub name: Option<String>,
    /// `None` when unset.
    pub email: Option<String>,
    /// `None` when unset.
    pub company: Option<String>,
    /// Texts that hold numbers.
    pub phones: Vec<String>,
}

impl SearchQuery {
    /// Reads what a person typed.
    pub fn parse(text: &str, region: Region) -> Result<Self, BadQuery> {
        if text.chars().nth(LONGEST_QUERY).is_some() {
            return Err(BadQuery::TooLong);
        }
        let text = text.trim();
        let words = parts(text);
        if words.len() > MOST_WORDS {
            return Err(BadQuery::TooLong);
        }
        let number = PhoneNumber::parse(text, region);
        let typed = dialled_digits(text);
        if number.is_none() && typed.as_ref().is_some_and(|digits| digits.len() < FEWEST_DIGITS) {
            return Err(BadQuery::TooShort);
        }
        if words.iter().map(|word| word.chars().count()).sum::<usize>() < FEWEST_LETTERS {
            return Err(BadQuery::TooShort);
        }
        let digits = typed.map(|digits| without_prefixes(&digits)).unwrap_or_default();
        let email = Some(folded_email(text)).filter(|email| !email.contains(char::is_whitespace));
        Ok(Self { name: words.join(" "), words, email, number, digits })
    }

    /// Where a customer stands in the answer; `None` where they do not belong into it.
    pub fn place(&self, customer: &Searchable, region: Region) -> Option<Place> {
        let name = name_key(customer.name.as_deref());
        if name == self.name && !name.is_empty() {
            return Some(if self.has_number(customer, region) { Place::Number } else { Place::Name });
        }
        if self.has_number(customer, region) {
            return Some(Place::Number);
        }
        if name.starts_with(&self.name) && !self.name.is_empty() {
            return Some(Place::NameBegins);
        }
        let words = words(customer);
        let begins = |part: &String| words.iter().any(|word| word.starts_with(part.as_str()));
        let has_words = !self.words.is_empty() && self.words.iter().all(begins);
        let email = customer.email.as_deref().map(folded_email).unwrap_or_default();
        let has_email = self.email.as_ref().is_some_and(|part| email.starts_with(part.as_str()));
        (has_words || has_email || self.has_digits(customer, region)).then_some(Place::Elsewhere)
    }

    fn has_number(&self, customer: &Searchable, region: Region) -> bool {
        self.number.as_ref().is_some_and(|number| numbers(customer, region).contains(number))
    }

    fn has_digits(&self, customer: &Searchable, region: Region) -> bool {
        let has = |number: &String| self.digits.iter().any(|digits| number.contains(digits.as_str()));
        !self.digits.is_empty() && digits(customer, region).iter().any(has)
    }

    /// The answer out of these candidates: those who belong into it, each once, the best first.
    pub fn answer(&self, candidates: impl IntoIterator<Item = Searchable>, region: Region) -> Vec<CustomerFound> {
        let placed = candidates.into_iter().filter_map(|customer| Some((self.place(&customer, region)?, customer)));
        let mut placed: Vec<_> = placed
            .map(|(place, customer)| ((place, name_key(customer.name.as_deref()), customer.id.clone()), customer))
            .collect();
        placed.sort_by(|(a, _), (b, _)| a.cmp(b));
        placed.dedup_by(|(_, a), (_, b)| a.id == b.id);
        let found = placed.into_iter().take(MOST_FOUND).map(|((place, ..), customer)| CustomerFound {
            id: customer.id,
            name: customer.name,
            email: customer.email,
            company: customer.company,
            matched: (place == Place::Number).then_some(Match::Exact),
        });
        found.collect()
    }
}

/// A name as queries are compared with it, and as answers are sorted.
pub fn name_key(name: Option<&str>) -> String {
    parts(cut(name.unwrap_or_default())).join(" ")
}

/// An email address as queries are compared with it.
pub fn email_key(email: Option<&str>) -> String {
    folded_email(cut(email.unwrap_or_default()))
}

/// The words by which a customer is found, each once.
pub fn words(customer: &Searchable) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for text in [&customer.name, &customer.company].into_iter().flatten() {
        let text = cut(text);
        words.extend(parts(text));
        // O'Brien is typed as OBrien too.
        if text.contains(APOSTROPHES) {
            words.extend(parts(&text.replace(APOSTROPHES, "")));
        }
    }
    words
}

/// The digits of a customer's numbers, with their country code, each once.
pub fn digits(customer: &Searchable, region: Region) -> BTreeSet<String> {
    numbers(customer, region).iter().map(|number| number.e164()[1..].to_owned()).collect()
}

fn numbers(customer: &Searchable, region: Region) -> Vec<PhoneNumber> {
    let all = customer.phones.iter().flat_map(|text| PhoneNumber::parse_all(text, region));
    all.take(MOST_NUMBERS).collect()
}

const APOSTROPHES: [char; 4] = ['\'', '\u{2019}', '\u{2bc}', '`'];

/// The words of a text, folded.
fn parts(text: &str) -> Vec<String> {
    let folded = fold(text);
    folded
        .split(|c: char| !c.is_alphanumeric() && canonical_combining_class(c) == 0)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

fn folded_email(text: &str) -> String {
    text.trim().nfkc().flat_map(char::to_lowercase).collect()
}

/// Without accents, in lower case. Letters that are no accented form of another are written as people type them instead.
fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut folded = String::with_capacity(text.len());
    // Lower case makes marks too: İ is i and a dot above it.
    for c in text.nfkd().flat_map(char::to_lowercase).filter(|c| !is_accent(*c) && !is_invisible(*c)) {
        match c {
            'ı' => folded.push('i'),
            'ł' => folded.push('l'),
            'ø' => folded.push('o'),
            'đ' | 'ð' => folded.push('d'),
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'þ' => folded.push_str("th"),
            'ς' => folded.push('σ'),
            other => folded.push(crate::phone::ascii_digit(other).unwrap_or(other)),
        }
    }
    folded
}

/// A mark without which a word is still read: not the vowels of India, the voice of kana, or what joins consonants.
fn is_accent(c: char) -> bool {
    !matches!(canonical_combining_class(c), 0 | 8 | 9)
}

/// Marks that steer how a text is laid out, in the middle of a word.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn cut(text: &str) -> &str {
    text.char_indices().nth(LONGEST_FIELD).map_or(text, |(end, _)| &text[..end])
}

/// Digits as they were typed, and what of them a number with its country code holds: 0 is dialled in front of an area, 00 and 011 in
/// front of a country.
fn without_prefixes(digits: &str) -> Vec<String> {
    let stripped = ["", "0", "00", "011"].into_iter().filter_map(|prefix| digits.strip_prefix(prefix));
    let mut all: Vec<String> = stripped.filter(|rest| rest.len() >= FEWEST_DIGITS).map(str::to_owned).collect();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> SearchQuery {
        SearchQuery::parse(text, Region::default()).unwrap_or_else(|bad| panic!("{text:?}: {bad}"))
    }

    fn customer(name: &str, company: &str, email: &str, phone: &str) -> Searchable {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let phones = text(phone).into_iter().collect();
        Searchable { id: name.into(), name: text(name), company: text(company), email: text(email), phones }
    }

    fn place(text: &str, customer: &Searchable) -> Option<Place> {
        query(text).place(customer, Region::default())
    }

    #[test]
    fn every_word_begins_a_word_of_the_name_or_company_in_any_case_and_accent() {
        let rene = customer("René Müller-O’Brien", "Łódź Straße GmbH", "", "");
        for text in [
            "rene",
            "RENÉ",
            "Re\u{301}ne\u{301}",
            "mull ren",
            "brien",
            "obr",
            "o'brien",
            "lodz",
            "STRASSE",
            "strass ren",
        ] {
            assert!(place(text, &rene).is_some(), "{text}");
        }
        for text in ["ene", "rene smith", "renee", "mueller", "gmbhx"] {
            assert_eq!(place(text, &rene), None, "{text}");
        }
        assert_eq!(place("कुम", &customer("कमल", "", "", "")), None);
    }

    #[test]
    fn letters_of_other_scripts_and_forms_are_the_same() {
        for (name, text) in [
            ("IŞIK Dilara", "ışık"),
            ("IŞIK Dilara", "isik"),
            ("İpek", "ipek"),
            ("ipek", "İPEK"),
            ("ＡＣＭＥ Ltd", "acme"),
            ("Acme", "ａｃｍｅ"),
            ("Иван Ёлкин", "ЕЛКИН"),
            ("Οδυσσέας", "οδυσσεασ"),
            ("مُحَمَّد", "محمد"),
            ("דוד", "\u{202b}דוד\u{202c}"),
            ("王小明", "王小"),
            ("김민수", "김민"),
            ("कृष्ण कुमार", "कृष्"),
            ("がんばり", "がん"),
            ("Zoe\u{308} 😀", "zoë"),
            ("Team 😀 Nord", "team nord"),
        ] {
            assert!(place(text, &customer(name, "", "", "")).is_some(), "{text} in {name}");
        }
    }

    #[test]
    fn numbers_in_any_spelling_and_parts_of_them_are_found() {
        let ann = customer("Ann", "", "", "Cell: (416) 555-1234 x7");
        for text in [
            "+14165551234",
            "416.555.1234",
            "1 416 555 1234",
            "tel:+1-416-555-1234",
            "٤١٦٥٥٥١٢٣٤",
            "４１６ ５５５ １２３４",
        ] {
            assert_eq!(place(text, &ann), Some(Place::Number), "{text}");
        }
        for text in ["5551", "555-12", "1416555", "+1 416", "1234", "(416) 5", "٥٥٥١"] {
            assert_eq!(place(text, &ann), Some(Place::Elsewhere), "{text}");
        }
        assert_eq!(place("5557", &ann), None);
        let berlin = customer("Bob", "", "", "+49 30 901820");
        for text in ["030 9018", "0049 30 90", "+49 30"] {
            assert_eq!(place(text, &berlin), Some(Place::Elsewhere), "{text}");
        }
    }

    #[test]
    fn an_email_address_is_found_by_its_beginning() {
        let ann = customer("", "", "Ann.Lee+x@Example.com", "");
        for text in ["ann.lee", "ANN.LEE+X@", "ann.lee+x@example.com"] {
            assert_eq!(place(text, &ann), Some(Place::Elsewhere), "{text}");
        }
        for text in ["lee", "example", "ann.*", "ann.lee+x@example.com.au"] {
            assert_eq!(place(text, &ann), None, "{text}");
        }
    }

    #[test]
    fn what_is_too_short_or_too_long_is_no_query() {
        for text in [
            "",
            " ",
            "a",
            "é",
            "12",
            "123",
            "١٢٣",
            "+1",
            "-",
            ".*",
            "^$",
            "\0",
            "😀",
            "%",
            "\u{202e}",
            "\u{301}\u{301}",
        ] {
            assert_eq!(SearchQuery::parse(text, Region::default()), Err(BadQuery::TooShort), "{text:?}");
        }
        for text in ["a".repeat(10_000), "a b ".repeat(10), "é".repeat(201)] {
            assert_eq!(SearchQuery::parse(&text, Region::default()), Err(BadQuery::TooLong));
        }
        assert!(SearchQuery::parse(&"a".repeat(200), Region::default()).is_ok());
    }

    #[test]
    fn the_best_come_first_and_each_once() {
        let of = |id: &str, mut customer: Searchable| {
            customer.id = id.into();
            customer
        };
        let all = [
            of("word", customer("Zed Ann", "", "", "")),
            of("begins", customer("Ann Lee", "", "", "")),
            of("company", customer("Bob", "Ann & Co", "", "")),
            of("name 2", customer("ANN", "", "", "")),
            of("name 1", customer("Ann", "", "", "")),
            of("name 1", customer("Ann", "", "", "")),
            of("none", customer("Hannah", "", "", "")),
        ];
        let found = query("ann").answer(all, Region::default());
        assert_eq!(
            found.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(),
            ["name 1", "name 2", "begins", "company", "word"]
        );
        let same =
            [of("other", customer("4165551234 Taxi", "", "", "")), of("theirs", customer("Bob", "", "", "4165551234"))];
        let found = query("416-555-1234").answer(same.clone(), Region::default());
        assert_eq!(found.iter().map(|it| it.matched).collect::<Vec<_>>(), [Some(Match::Exact)]);
        let found = query("4165551234").answer(same, Region::default());
        assert_eq!(found.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["theirs", "other"]);
    }
}
