//! Texts in fields for telephone numbers that can never match a caller: why, and what is probably meant.

use std::fmt;

use rlibphonenumber::{PHONE_NUMBER_UTIL, ParseError};

use super::spelling::{clean, fold};
use super::{PhoneNumber, Region, is_withheld};

/// Fewer digits are an extension or half a number.
const FEWEST_DIGITS: usize = 6;
/// Digits of a long extension.
const LONGEST_EXTENSION: usize = 5;
/// The most that E.164 has.
const MOST_DIGITS: usize = 15;
/// Two numbers without country codes have at least so many.
const FEWEST_OF_TWO: usize = 14;
/// A longer text is no field for telephone numbers.
const LONGEST_TEXT: usize = 2_048;
/// Parts of one text that are reported.
const MOST_PARTS: usize = 50;
/// Between two numbers of one field, whatever is in them.
const SEPARATORS: [&str; 3] = [":::", ";", "\n"];
/// Words in front of an extension that has no number in front of it.
const EXTENSION_WORDS: [&str; 9] = ["x", "ext", "extn", "extension", "internal", "int", "poste", "durchwahl", "dw"];

/// A text, or a part of one, that can never match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmatchable {
    /// As it is written.
    pub written: String,
    /// Why.
    pub reason: Reason,
    /// What is probably meant: one number in E.164, or two of them.
    pub suggestion: Option<String>,
}

/// Why a text matches no caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Reason {
    Withheld,
    NoDigits,
    Shortened,
    Masked,
    Letters,
    Extension,
    TooShort,
    NoAreaCode,
    NoCountryCode,
    UnknownCountry,
    RunTogether,
    TooLong,
    WrongPrefix,
    TooMuchText,
    Unknown,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Withheld => "it says that there is no number",
            Self::NoDigits => "it has no digits",
            Self::Shortened => "a spreadsheet shortened it; format the column as text and export it again",
            Self::Masked => "digits are masked",
            Self::Letters => "letters stand for digits",
            Self::Extension => "it is an extension or an internal number, which no caller from outside has",
            Self::TooShort => "it is too short; is it an extension?",
            Self::NoAreaCode => "the area code is missing",
            Self::NoCountryCode => "there is no country code behind the plus",
            Self::UnknownCountry => "no country has this code",
            Self::RunTogether => "two numbers stand in it without a separator",
            Self::TooLong => "it has too many digits",
            Self::WrongPrefix => "a prefix is missing or is one too many",
            Self::TooMuchText => "it is too long for a number",
            Self::Unknown => "it is no valid number; is an area or country code missing?",
        })
    }
}

/// What of a text can never match; nothing where all of it can.
pub fn unmatchable(text: &str, region: Region) -> Vec<Unmatchable> {
    if text.trim().is_empty() {
        return Vec::new();
    }
    if text.len() > LONGEST_TEXT {
        let written = text.chars().take(MOST_PARTS).collect();
        return vec![Unmatchable { written, reason: Reason::TooMuchText, suggestion: None }];
    }
    if PhoneNumber::parse_all(text, region).is_empty() {
        return vec![unreadable(text, region)];
    }
    parts_without_number(text, region).into_iter().map(|part| unreadable(part, region)).collect()
}

/// Of a text with several numbers the parts that are meant to be one and are none.
fn parts_without_number(text: &str, region: Region) -> Vec<&str> {
    let mut parts = vec![text];
    for separator in SEPARATORS {
        parts = parts.into_iter().flat_map(|part| part.split(separator)).map(str::trim).collect();
    }
    // `tel:+1416…;ext=12` has parameters, which are no numbers.
    let is_meant = |part: &&str| !part.contains('=') && count(part) >= FEWEST_DIGITS;
    let is_none = |part: &&str| PhoneNumber::parse_all(part, region).is_empty();
    let parts = parts.into_iter().filter(|part| part.len() < text.len());
    parts.filter(is_meant).filter(is_none).take(MOST_PARTS).collect()
}

fn unreadable(text: &str, region: Region) -> Unmatchable {
    let clean = clean(text);
    let clean = clean.trim();
    let of = |reason, suggestion| Unmatchable { written: text.trim().to_owned(), reason, suggestion };
    if let Some(reason) = said(text, clean) {
        return of(reason, None);
    }
    if clean.contains(|c: char| c.is_ascii_alphabetic())
        && let Some(number) = on_keypad(clean).and_then(|digits| valid(&digits, region))
    {
        return of(Reason::Letters, Some(number.e164()));
    }
    let digits: String = clean.chars().filter(char::is_ascii_digit).collect();
    let with_plus = clean.trim_start_matches('(').starts_with('+');
    if let Some(numbers) = run_together(&digits, region) {
        return of(Reason::RunTogether, Some(numbers));
    }
    match digits.len() {
        0..=LONGEST_EXTENSION => return of(Reason::Extension, None),
        FEWEST_DIGITS => return of(Reason::TooShort, None),
        more if more > MOST_DIGITS => return of(Reason::TooLong, None),
        _ => {}
    }
    if with_plus && let Some(number) = valid(&digits, region) {
        return of(Reason::NoCountryCode, Some(number.e164()));
    }
    let stripped = digits.trim_start_matches('0');
    let others = [format!("+{digits}"), stripped.to_owned(), format!("+{stripped}"), format!("0{stripped}")];
    let meant = others.iter().find_map(|other| valid(other, region));
    if let Some(number) = meant {
        return of(Reason::WrongPrefix, Some(number.e164()));
    }
    if with_plus && has_unknown_country(&digits) {
        return of(Reason::UnknownCountry, None);
    }
    // North America alone has numbers of a fixed length.
    let is_local = !with_plus && digits.len() == 7 && region.country_code() == 1;
    of(if is_local { Reason::NoAreaCode } else { Reason::Unknown }, None)
}

/// What the text itself says.
fn said(text: &str, clean: &str) -> Option<Reason> {
    let digits = count(clean);
    let folded = fold(clean);
    let first = folded.split(|c: char| !c.is_alphabetic()).find(|word| !word.is_empty());
    let begins_with_a_word = folded.starts_with(char::is_alphabetic) || folded.starts_with(['#', '*']);
    if is_withheld(text) {
        Some(Reason::Withheld)
    } else if is_shortened(clean) {
        Some(Reason::Shortened)
    } else if is_masked(clean) && digits > 0 {
        Some(Reason::Masked)
    } else if digits == 0 {
        Some(Reason::NoDigits)
    } else if begins_with_a_word
        && first.is_none_or(|word| EXTENSION_WORDS.contains(&word))
        && digits <= MOST_DIGITS / 2
    {
        Some(Reason::Extension)
    } else {
        None
    }
}

/// `4.16555E+10`: the last digits are not there any more.
fn is_shortened(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else { return false };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa = mantissa.trim_start_matches('+');
    let whole = mantissa.split_once(['.', ',']).map_or_else(|| digits(mantissa), |(a, b)| digits(a) && digits(b));
    whole && digits(exponent.trim_start_matches('+'))
}

fn is_masked(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower.contains("xx") || lower.contains(['\u{2022}', '\u{25cf}', '?', '_']) || lower.contains("**")
}

/// The digits of a number that is written with the letters of a keypad, such as 1-800-FLOWERS.
fn on_keypad(text: &str) -> Option<String> {
    let mut digits = String::new();
    for c in text.chars() {
        match c.to_ascii_lowercase() {
            '0'..='9' | '+' => digits.push(c),
            'a'..='c' => digits.push('2'),
            'd'..='f' => digits.push('3'),
            'g'..='i' => digits.push('4'),
            'j'..='l' => digits.push('5'),
            'm'..='o' => digits.push('6'),
            'p'..='s' => digits.push('7'),
            't'..='v' => digits.push('8'),
            'w'..='z' => digits.push('9'),
            ' ' | '-' | '.' | '(' | ')' | '/' => {}
            _ => return None,
        }
    }
    Some(digits)
}

/// Two numbers without anything between them, both with or both without a country code.
fn run_together(digits: &str, region: Region) -> Option<String> {
    if digits.len() < FEWEST_OF_TWO || digits.len() > 2 * MOST_DIGITS {
        return None;
    }
    // Two of one country are mostly of one length.
    let half = digits.len() / 2;
    let cuts = [half, half + 1, half - 1];
    cuts.into_iter().find_map(|cut| {
        let (first, second) = digits.split_at_checked(cut)?;
        let numbers = (valid(first, region)?, valid(second, region)?);
        Some(format!("{}; {}", numbers.0.e164(), numbers.1.e164()))
    })
}

/// The number, where its country's plan has it.
fn valid(text: &str, region: Region) -> Option<PhoneNumber> {
    PhoneNumber::parse(text, region).filter(PhoneNumber::is_valid)
}

fn has_unknown_country(digits: &str) -> bool {
    matches!(PHONE_NUMBER_UTIL.parse(format!("+{digits}"), None), Err(ParseError::InvalidCountryCode))
}

fn count(text: &str) -> usize {
    text.chars().filter(char::is_ascii_digit).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, region: &str) -> Vec<(Reason, Option<String>)> {
        let found = unmatchable(text, region.parse().unwrap());
        found.into_iter().map(|it| (it.reason, it.suggestion)).collect()
    }

    #[test]
    fn each_kind_of_text_has_its_reason_and_what_is_meant_is_suggested() {
        use Reason::*;
        for (text, region, reason, suggestion) in [
            ("anonymous", "US", Withheld, None),
            ("n/a", "US", Withheld, None),
            ("see notes 😀", "US", NoDigits, None),
            ("4.16555E+10", "US", Shortened, None),
            ("4,16555E+09", "US", Shortened, None),
            ("+1855201XXXX", "US", Masked, None),
            ("416-555-••••", "US", Masked, None),
            ("1-800-FLOWERS", "US", Letters, Some("+18003569377")),
            ("204", "US", Extension, None),
            ("ext. 204", "US", Extension, None),
            ("x 20411", "US", Extension, None),
            ("555012", "US", TooShort, None),
            ("555-0123", "US", NoAreaCode, None),
            ("+(416) 555-0123", "CA", NoCountryCode, Some("+14165550123")),
            ("+999 12345678", "US", UnknownCountry, None),
            ("41655501234165550199", "CA", RunTogether, Some("+14165550123; +14165550199")),
            ("1416555012314165550199", "CA", RunTogether, Some("+14165550123; +14165550199")),
            ("12345678901234567890", "US", TooLong, None),
            ("0416 555 0123", "CA", WrongPrefix, Some("+14165550123")),
            ("0000000", "US", Withheld, None),
        ] {
            assert_eq!(read(text, region), [(reason, suggestion.map(str::to_owned))], "{text}");
        }
    }

    #[test]
    fn what_can_match_is_not_reported() {
        for text in [
            "",
            "  ",
            "416-555-0123",
            "+44 20 7946 0018 ext. 7",
            "416-555-0123; 416-555-0199",
            "tel:+14165550123;ext=12",
        ] {
            assert_eq!(unmatchable(text, Region::default()), [], "{text}");
        }
    }

    #[test]
    fn of_several_numbers_the_bad_one_is_reported() {
        let found = unmatchable("416-555-0123; 555-0301x", Region::default());
        assert_eq!(found.iter().map(|it| &*it.written).collect::<Vec<_>>(), ["555-0301x"]);
    }

    #[test]
    fn hostile_texts_are_reported_and_end() {
        for text in ["\0", "9".repeat(2_000).as_str(), "١٢٣", "+", "((((", "\u{202e}12", &"a".repeat(5_000)] {
            assert_eq!(unmatchable(text, Region::default()).len(), 1, "{text:?}");
        }
    }
}
