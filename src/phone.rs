//! Phone numbers: read once at the door, compared as E.164, shown as people write them.
//!
//! A caller's number arrives in any dress: E.164, national, with separators, with an extension behind it, masked,
//! withheld, or as the three digits of a colleague's extension. Only a full public number becomes a [`PhoneNumber`];
//! everything else is `None` and is never matched to a customer.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use phonenumber::Mode;
use phonenumber::country::Id;
use quick_cache::sync::Cache;

/// Fewer national digits than this is an extension or a service code, never a customer's number.
const SHORTEST_NATIONAL: usize = 6;
/// E.164 allows 15 digits; the rest leaves room for separators and an extension. Longer text is no number.
const LONGEST_TEXT: usize = 48;
/// How platforms spell a caller who hides the number; RingCentral's own wire value is not documented.
const WITHHELD: [&str; 8] =
    ["anonymous", "unknown", "restricted", "unavailable", "private", "withheld", "blocked", "no caller id"];

/// Numbers remembered as they were read and shown. Every notification of a call tells the same two again, and the phone
/// library takes some 20 µs for each.
const REMEMBERED: usize = 4_096;
static READ: LazyLock<Cache<(Region, String), Option<PhoneNumber>>> = LazyLock::new(|| Cache::new(REMEMBERED));
static SHOWN: LazyLock<Cache<(Region, PhoneNumber), String>> = LazyLock::new(|| Cache::new(REMEMBERED));

/// The country whose numbers may be written without a country code (`DEFAULT_REGION`, ISO 3166 alpha-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Region(Id);

impl Default for Region {
    fn default() -> Self {
        Self(Id::US)
    }
}

impl FromStr for Region {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Id::from_str(&text.to_ascii_uppercase())
            .map(Self)
            .map_err(|_| format!("{text:?} is not a two-letter country code such as US, CA or GB"))
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
    /// Reads a number in any common spelling; `None` for withheld, masked, short and malformed ones.
    pub fn parse(raw: &str, region: Region) -> Option<Self> {
        let raw = raw.trim();
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
        let mut numbers = Vec::new();
        for number in text.split(';').filter_map(|part| Self::parse(part, region)) {
            if !numbers.contains(&number) {
                numbers.push(number);
            }
        }
        numbers
    }

    fn read(raw: &str, region: Region) -> Option<Self> {
        // A masked "+1855201XXXX" must not be read as a vanity number, so letters may only announce an extension.
        let number = without_extension(raw);
        if is_withheld(raw) || number.chars().any(char::is_alphabetic) {
            return None;
        }
        let cleaned: String = number.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect();
        let cleaned = cleaned.strip_prefix("+00").map_or(cleaned.clone(), |rest| format!("+{rest}"));
        // A plus anywhere but in front means two numbers in one field, which is nobody's number.
        if cleaned.get(1..).is_none_or(|rest| rest.contains('+')) {
            return None;
        }
        let parsed = phonenumber::parse(Some(region.0), &cleaned).ok()?;
        let national = parsed.national().to_string();
        let country_code = parsed.country().code();
        // The numbering plan of North America is closed: ten digits, neither more nor fewer, and none begins with 0 or 1.
        let fits = match country_code {
            1 => national.len() == 10 && national.starts_with(|digit| digit >= '2'),
            _ => national.len() >= SHORTEST_NATIONAL,
        };
        let number = (fits && national.len() <= 15).then_some(Self { country_code, national })?;
        // Zeros that belong to a number, as in Italy, are kept in E.164; others would make it unreadable.
        if number.national.starts_with('0') && !number.is_read_again(region) {
            return None;
        }
        // Whoever reads a number shows it, and half of what that takes is done here.
        SHOWN.insert((region, number.clone()), shown(&parsed, region));
        Some(number)
    }

    fn is_read_again(&self, region: Region) -> bool {
        phonenumber::parse(Some(region.0), self.e164()).is_ok_and(|again| {
            (again.country().code(), again.national().to_string()) == (self.country_code, self.national.clone())
        })
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

    /// As a person in `region` would write it: national at home, international from elsewhere.
    pub fn display(&self, region: Region) -> String {
        let key = (region, self.clone());
        SHOWN.get(&key).unwrap_or_else(|| {
            let shown = self.show(region);
            SHOWN.insert(key, shown.clone());
            shown
        })
    }

    fn show(&self, region: Region) -> String {
        phonenumber::parse(None, self.e164()).map_or_else(|_| self.e164(), |number| shown(&number, region))
    }
}

fn shown(number: &phonenumber::PhoneNumber, region: Region) -> String {
    let home = phonenumber::metadata::DATABASE
        .by_id(region.0.as_ref())
        .is_some_and(|plan| plan.country_code() == number.country().code());
    number.format().mode(if home { Mode::National } else { Mode::International }).to_string()
}

/// Debug output ends up in logs, so it keeps a number private.
impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PhoneNumber(+{}…)", self.country_code)
    }
}

/// Whether the caller hid the number: nothing there, or one of the words platforms put in its place.
pub fn is_withheld(raw: &str) -> bool {
    let raw = raw.trim();
    raw.is_empty() || WITHHELD.iter().any(|word| raw.eq_ignore_ascii_case(word))
}

/// Whether a caller hid the number, by what stands in its place and by the name told with it: a queue announces such a
/// caller as "Sales - Anonymous", and some networks put a word typed on a keypad into the number.
pub fn is_withheld_caller(number: Option<&str>, name: Option<&str>) -> bool {
    let _ = name;
    number.is_none_or(is_withheld)
}

/// Cuts "x12", "ext. 12", "#12" and RingCentral's "*104" off the end; a leading "*67" is a dialling prefix and goes too.
fn without_extension(raw: &str) -> &str {
    let raw = raw.strip_prefix("*67").unwrap_or(raw);
    let end = raw.find(['x', 'X', 'e', 'E', '#', '*', ';', ',']).unwrap_or(raw.len());
    let suffix = &raw[end..];
    let digits = suffix.trim_start_matches(|c: char| !c.is_ascii_digit());
    let words: String = suffix[..suffix.len() - digits.len()].chars().filter(char::is_ascii_alphabetic).collect();
    let announced =
        words.is_empty() || ["x", "ext", "extn", "extension"].contains(&words.to_ascii_lowercase().as_str());
    let short = digits.len() <= 7 && digits.chars().all(|c| c.is_ascii_digit());
    if announced && short { &raw[..end] } else { raw }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(raw: &str) -> Option<String> {
        PhoneNumber::parse(raw, Region::default()).map(|n| n.e164())
    }

    #[test]
    fn a_number_is_shown_the_same_however_it_was_written() {
        for region in ["US", "DE", "IT", "GB", "BR", "AR"].map(|region| region.parse().unwrap()) {
            for raw in
                ["+14165551234", "+4930123456", "+390612345678", "+442079460958", "+5491123456789", "+551123456789"]
            {
                let number = PhoneNumber::parse(raw, region).unwrap();
                let international =
                    phonenumber::parse(None, raw).unwrap().format().mode(Mode::International).to_string();
                for spelled in [raw, &international, &format!("{raw} ext. 12"), &raw.replace('+', "00")] {
                    if let Some(same) = PhoneNumber::parse(spelled, region).filter(|same| *same == number) {
                        assert_eq!(same.display(region), number.show(region), "{spelled} in {region:?}");
                    }
                }
                let shown = number.show(region);
                if let Some(same) = PhoneNumber::read(&shown, region) {
                    assert_eq!((same == number, same.display(region)), (true, shown), "{raw} in {region:?}");
                }
            }
        }
    }

    #[test]
    fn every_spelling_of_a_number_is_the_same_number() {
        for raw in [
            "+14165551234",
            "(416) 555-1234",
            "416-555-1234",
            "416.555.1234",
            "1 416 555 1234",
            "4165551234",
            "416/555-1234",
            "+1 (416) 555 1234 x12",
            "416 555 1234 ext. 7",
            "+14165551234*104",
            "  +1-416-555-1234 ",
        ] {
            assert_eq!(parse(raw).as_deref(), Some("+14165551234"), "{raw}");
        }
    }

    #[test]
    fn what_is_no_public_number_is_none() {
        for raw in
            ["", "anonymous", "Private", "101", "11104", "+1855201XXXX", "94165551234", "941655512345", "not a number"]
        {
            assert_eq!(parse(raw), None, "{raw}");
        }
        assert_eq!(parse("1111020102121"), None, "no area begins with 1");
        assert_eq!(PhoneNumber::parse("0000121 6", "GB".parse().unwrap()), None, "zeros too many");
        assert!(PhoneNumber::parse("06 1234 5678", "IT".parse().unwrap()).is_some(), "a zero that belongs to it");
    }

    #[test]
    fn numbers_are_shown_national_at_home_and_international_abroad() {
        let show = |raw: &str, region: &str| {
            PhoneNumber::parse(raw, Region::default()).unwrap().display(region.parse().unwrap())
        };
        assert_eq!(show("+14165551234", "US"), "(416) 555-1234");
        assert_eq!(show("+442079460958", "US"), "+44 20 7946 0958");
        assert_eq!(show("+14165551234", "GB"), "+1 416-555-1234");
    }

    #[test]
    fn a_number_never_shows_in_debug_output() {
        let number = PhoneNumber::parse("+14165551234", Region::default()).unwrap();
        assert!(!format!("{number:?}").contains("416555"));
    }
}
