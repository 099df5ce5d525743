//! Phone numbers: read once where they come in, compared as E.164, shown as people write them.
//!
//! A caller's number arrives in any spelling: E.164, national, with separators, labels, an extension behind it, masked, withheld, or
//! as the three digits of a colleague's extension. Only a whole public number becomes a [`PhoneNumber`]; everything else is `None`
//! and is never matched to a customer. Stores, the import, the webhook and the lookup all read with [`PhoneNumber::parse`] and
//! [`PhoneNumber::parse_all`].
//!
//! Google's rules (crate `rlibphonenumber`) decide what digits mean. A number with a country code is read by its own country's;
//! the default region counts for national spellings only.

mod plan;
mod several;
mod spelling;
mod unmatchable;
mod withheld;

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use quick_cache::sync::Cache;
use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat, Region as Country};

use spelling::Spelling;
pub use unmatchable::{Reason, Unmatchable, unmatchable};

/// A number, a label and an extension take less; longer text is no number.
const LONGEST_TEXT: usize = 128;
/// Grows when the same text may be read as another number than before, so that stored numbers are read again. Version 1 was read by
/// another library.
pub const READER: u32 = 2;

/// Numbers remembered as they were read and shown: every notification of a call repeats the same two.
const REMEMBERED: usize = 4_096;
static READ: LazyLock<Cache<(Region, String), Option<PhoneNumber>>> = LazyLock::new(|| Cache::new(REMEMBERED));
static SHOWN: LazyLock<Cache<(Region, PhoneNumber), String>> = LazyLock::new(|| Cache::new(REMEMBERED));

/// The country whose numbers may be written without a country code (`DEFAULT_REGION`, ISO 3166 alpha-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Region(Country);

impl Default for Region {
    fn default() -> Self {
        Self(Country::US)
    }
}

impl FromStr for Region {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let country = Country::from_str(&text.to_ascii_uppercase()).ok();
        let known = country.filter(|country| PHONE_NUMBER_UTIL.get_country_code_for_region(*country).is_some());
        known.map(Self).ok_or_else(|| format!("{text:?} is not a two-letter country code such as US, CA or GB"))
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl Region {
    fn country_code(self) -> u16 {
        let code = PHONE_NUMBER_UTIL.get_country_code_for_region(self.0);
        code.and_then(|code| u16::try_from(code).ok()).expect("a region is made of a country that has a code")
    }
}

/// A public telephone number. Two are equal when they reach the same line; an extension behind them does not count.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PhoneNumber {
    country_code: u16,
    /// The national significant number: digits, without trunk prefix.
    national: String,
}

impl PhoneNumber {
    /// Reads one number in any common spelling; `None` for withheld, masked, short and malformed ones, and for several.
    pub fn parse(raw: &str, region: Region) -> Option<Self> {
        if raw.len() > LONGEST_TEXT {
            return None;
        }
        let key = (region, raw.to_owned());
        READ.get(&key).unwrap_or_else(|| {
            let number = Self::read(raw, region);
            READ.insert(key, number.clone());
            number
        })
    }

    /// Every number in a text that may hold several, with labels and extensions, in their order and each once.
    pub fn parse_all(text: &str, region: Region) -> Vec<Self> {
        several::read(text, region)
    }

    fn read(raw: &str, region: Region) -> Option<Self> {
        plan::resolve(&Spelling::of(raw)?, region)
    }

    /// Numbers that may reach the same line, because its country has changed its numbering plan: a customer with one of them is a
    /// possible match.
    pub fn counterparts(&self) -> Vec<Self> {
        plan::counterparts(self)
    }

    /// Digits of which every spelling of this number, or of a counterpart, has one sequence: for a search in texts, whose finds
    /// are then read.
    pub fn written_digits(&self) -> Vec<String> {
        plan::written_digits(self)
    }

    /// `+` and digits, as RingCentral writes it.
    pub fn e164(&self) -> String {
        format!("+{}{}", self.country_code, self.national)
    }

    /// The digits behind the country code, without a trunk prefix.
    pub fn national(&self) -> &str {
        &self.national
    }

    /// The country calling code, 1 for North America.
    pub fn country_code(&self) -> u16 {
        self.country_code
    }

    /// As a person in `region` would write it: national at home, international from elsewhere. No digit is left out.
    pub fn display(&self, region: Region) -> String {
        let key = (region, self.clone());
        SHOWN.get(&key).unwrap_or_else(|| {
            let shown = self.show(region);
            SHOWN.insert(key, shown.clone());
            shown
        })
    }

    fn show(&self, region: Region) -> String {
        let number = self.unparsed();
        if self.country_code == region.country_code() {
            let shown = number.format_as(PhoneNumberFormat::National);
            // Some national forms replace digits: Argentina writes 15 for the 9 of its mobile numbers.
            if digits(&shown).ends_with(&self.national) {
                return shown.into_owned();
            }
        }
        let shown = number.format_as(PhoneNumberFormat::International);
        if digits(&shown) == self.e164()[1..] { shown.into_owned() } else { self.e164() }
    }
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// The digits of each stretch of a text that only separators interrupt, in ASCII.
pub(crate) fn digit_runs(text: &str) -> Vec<String> {
    let clean = spelling::clean(text);
    let runs =
        clean.split(|c: char| !c.is_ascii_digit() && !matches!(c, ' ' | '-' | '.' | '(' | ')' | '/' | '+' | '[' | ']'));
    runs.map(digits).filter(|run| !run.is_empty()).collect()
}

/// The digits of a text that holds nothing but digits of any script and what people write between them, in ASCII; `None` for any
/// other text.
pub fn dialled_digits(text: &str) -> Option<String> {
    let clean = spelling::clean(text);
    let is_separator = |c: char| matches!(c, ' ' | '-' | '.' | '(' | ')' | '/' | '+' | '[' | ']' | ',');
    let found = digits(&clean);
    (!found.is_empty() && clean.chars().all(|c| c.is_ascii_digit() || is_separator(c))).then_some(found)
}

/// A decimal digit of any script as ASCII.
pub fn ascii_digit(c: char) -> Option<char> {
    if c.is_ascii_digit() { Some(c) } else { spelling::digit(c) }
}

/// Debug output ends up in logs, so it keeps a number private.
impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PhoneNumber(+{}…)", self.country_code)
    }
}

/// Whether what stands in a number's place says that the caller hid it: nothing, zeros, or one of the words platforms use.
pub fn is_withheld(raw: &str) -> bool {
    withheld::number(raw)
}

/// Whether a name only says that the caller is hidden: "Anonymous", "Sales - Anonymous".
pub fn is_withheld_name(name: &str) -> bool {
    withheld::name(name)
}

/// Whether a caller hid the number, by what stands in its place and by whether the name beside it says so
/// ([`is_withheld_name`]). Where it does, digits that spell such a word on a keypad are no number.
pub fn is_withheld_caller(number: &str, named_withheld: bool) -> bool {
    is_withheld(number) || (named_withheld && withheld::keypad(number))
}

#[cfg(test)]
mod tests;
