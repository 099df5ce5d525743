//! Numbering plans: what Google's rules make of dialled digits, and what countries have changed since a number was written down.

use rlibphonenumber::{
    NumberLengthType, PHONE_NUMBER_UTIL, PhoneNumber as Parsed, get_national_significant_number_owned,
};

use super::spelling::Spelling;
use super::{PhoneNumber, Region};

/// Fewer national digits than this, written without a country code, are an extension or a service code.
const SHORTEST_NATIONAL: usize = 6;
/// The same where the rules know the length, but no number that begins like this.
const SHORTEST_UNKNOWN: usize = 7;
/// Digits without a plus that may begin with a country code.
const SHORTEST_BARE_INTERNATIONAL: usize = 11;

/// The number that dialled digits reach from `region`.
pub(super) fn resolve(spelling: &Spelling, region: Region) -> Option<PhoneNumber> {
    if !spelling.international {
        return national(&spelling.digits, region);
    }
    let written = international(&spelling.digits);
    // Asking whether a number of a plan of many countries is valid takes longer than reading it.
    match spelling.without_bracketed() {
        Some(digits) if !written.as_ref().is_some_and(PhoneNumber::is_valid) => international(&digits).or(written),
        _ => written,
    }
}

/// The number behind a plus.
fn international(digits: &str) -> Option<PhoneNumber> {
    let digits = digits.strip_prefix("00").unwrap_or(digits);
    let parsed = PHONE_NUMBER_UTIL.parse(format!("+{digits}"), None).ok()?;
    let read = PhoneNumber::of(&parsed)?;
    // The rules may take the first digits for a trunk prefix. Where the whole is a number, they belong to it.
    let whole = digits
        .strip_prefix(&read.country_code.to_string())
        .map(|national| PhoneNumber { country_code: read.country_code, national: national.to_owned() });
    if let Some(whole) = whole.filter(|whole| *whole != read && whole.is_valid()) {
        return Some(whole);
    }
    if read.is_valid() || (is_possible(&parsed) && read.national.len() >= SHORTEST_NATIONAL && read.is_read_again()) {
        return Some(read);
    }
    former(read.country_code, &read.national)
}

/// The number that these digits reach when they are dialled in `region`.
fn national(digits: &str, region: Region) -> Option<PhoneNumber> {
    let parsed = PHONE_NUMBER_UTIL.parse(digits, Some(region.0)).ok();
    let read = parsed.as_ref().and_then(PhoneNumber::of);
    let at_home = |number: &PhoneNumber| number.country_code == region.country_code();
    let long_enough = |number: &PhoneNumber| !at_home(number) || number.national.len() >= SHORTEST_NATIONAL;
    if let Some(number) = read.as_ref().filter(|number| number.is_valid() && long_enough(number)) {
        return Some(number.clone());
    }
    // Written down with another country's international prefix, or without any.
    let abroad = ["00", "011"].into_iter().find_map(|prefix| digits.strip_prefix(prefix));
    let abroad = abroad.or((digits.len() >= SHORTEST_BARE_INTERNATIONAL).then_some(digits));
    if let Some(number) = abroad.and_then(international).filter(PhoneNumber::is_valid) {
        return Some(number);
    }
    let unknown = |number: &PhoneNumber| {
        let whole = number.national.len() >= SHORTEST_UNKNOWN && !number.national.starts_with('0');
        whole && parsed.as_ref().is_some_and(is_possible) && number.is_read_again()
    };
    read.filter(unknown).or_else(|| former(region.country_code(), digits))
}

/// Whether the length is one of a whole number of its country.
fn is_possible(parsed: &Parsed) -> bool {
    let length = parsed.is_possible_with_reason();
    // The plan of North America is closed, and no area code begins with 0 or 1.
    let has_area = parsed.country_code != 1 || parsed.national_number >= 2_000_000_000;
    matches!(length, Ok(NumberLengthType::IsPossible)) && has_area
}

/// A number of a plan that is no longer in force, which the rules do not know any more.
fn former(country_code: u16, national: &str) -> Option<PhoneNumber> {
    let old = match country_code {
        // 044 and 045 were dialled in front of a mobile number, 01 in front of a distant one.
        52 => {
            let bare = ["044", "045", "01"].into_iter().find_map(|prefix| national.strip_prefix(prefix));
            let bare = bare.or(national.strip_prefix('1')).filter(|bare| bare.len() == 10);
            bare.map(|bare| format!("1{bare}"))
        }
        225 => Some(national.to_owned()).filter(|national| national.len() == 8),
        _ => None,
    };
    old.map(|national| PhoneNumber { country_code, national })
}

/// The numbers under which the same line is or was reached, in the plan before or after a change: one who has either of them
/// may be the caller.
pub(super) fn counterparts(number: &PhoneNumber) -> Vec<PhoneNumber> {
    let national = number.national.as_str();
    let forms: Vec<String> = match (number.country_code, national.len()) {
        // Argentina: 9 stands in front of mobile numbers when they are called from abroad.
        (54, 11) => national.strip_prefix('9').map(str::to_owned).into_iter().collect(),
        (54, 10) => vec![format!("9{national}")],
        // Mexico, until 2019: 1 stood in front of mobile numbers.
        (52, 11) => national.strip_prefix('1').map(str::to_owned).into_iter().collect(),
        (52, 10) => vec![format!("1{national}")],
        // Brazil, until 2016: mobile numbers had eight digits, the first of them 6 or more.
        (55, 11) if is_mobile_of_brazil(&national[3..]) && national.as_bytes()[2] == b'9' => {
            vec![[&national[..2], &national[3..]].concat()]
        }
        (55, 10) if is_mobile_of_brazil(&national[2..]) => vec![[&national[..2], "9", &national[2..]].concat()],
        // Ivory Coast, until 2021: eight digits; two that tell the operator were put in front.
        (225, 8) => operators_of_ivory_coast(national).iter().map(|operator| format!("{operator}{national}")).collect(),
        (225, 10) => {
            let (operator, old) = national.split_at(2);
            operators_of_ivory_coast(old).contains(&operator).then(|| old.to_owned()).into_iter().collect()
        }
        // Benin, until 2024: eight digits; 01 was put in front.
        (229, 8) => vec![format!("01{national}")],
        (229, 10) => national.strip_prefix("01").map(str::to_owned).into_iter().collect(),
        // Colombia, until 2021: landlines had eight digits; 60 was put in front.
        (57, 8) => vec![format!("60{national}")],
        (57, 10) => national.strip_prefix("60").map(str::to_owned).into_iter().collect(),
        _ => Vec::new(),
    };
    forms.into_iter().map(|national| PhoneNumber { country_code: number.country_code, national }).collect()
}

/// Digits of which every spelling of the number, or of a counterpart, has one sequence.
pub(super) fn written_digits(number: &PhoneNumber) -> Vec<String> {
    let mut sequences: Vec<String> = counterparts(number).into_iter().map(|other| other.national).collect();
    sequences.push(number.national.clone());
    // At home, Argentina writes 15 behind the area, of two to four digits, instead of 9 in front of it.
    let mobiles = sequences.iter().filter(|national| number.country_code == 54 && national.len() == 10);
    let at_home: Vec<String> = mobiles
        .flat_map(|national| (2..=4).map(|area| [&national[..area], "15", &national[area..]].concat()))
        .collect();
    sequences.extend(at_home);
    sequences
}

fn is_mobile_of_brazil(subscriber: &str) -> bool {
    subscriber.len() == 8 && matches!(subscriber.as_bytes()[0], b'6'..=b'9')
}

/// The operators an old number may belong to: of mobile numbers the second digit tells it.
fn operators_of_ivory_coast(old: &str) -> &'static [&'static str] {
    match old.as_bytes() {
        [b'2' | b'3', ..] => &["21", "25", "27"],
        [_, b'1'..=b'3', ..] => &["01"],
        [_, b'4'..=b'6', ..] => &["05"],
        [_, b'7'..=b'9', ..] => &["07"],
        _ => &[],
    }
}

impl PhoneNumber {
    pub(super) fn of(parsed: &Parsed) -> Option<Self> {
        let country_code = u16::try_from(parsed.country_code).ok()?;
        let national = get_national_significant_number_owned(parsed);
        (national.len() <= 15).then_some(Self { country_code, national })
    }

    /// The number if the rules know numbers like it.
    pub(super) fn valid(parsed: &Parsed) -> Option<Self> {
        Self::of(parsed).filter(Self::is_valid)
    }

    /// As the library keeps it.
    pub(super) fn unparsed(&self) -> Parsed {
        let zeros = self.national.len() - self.national.trim_start_matches('0').len();
        Parsed {
            country_code: self.country_code.into(),
            national_number: self.national.parse().unwrap_or_default(),
            italian_leading_zero: (zeros > 0).then_some(true),
            number_of_leading_zeros: (zeros > 1).then_some(zeros as i32),
            ..Parsed::default()
        }
    }

    pub(super) fn is_valid(&self) -> bool {
        self.unparsed().is_valid()
    }

    /// Whether its E.164 form is read as itself. A zero in front that does not belong to a number goes in a second reading.
    fn is_read_again(&self) -> bool {
        let again = PHONE_NUMBER_UTIL.parse(self.e164(), None).ok().as_ref().and_then(Self::of);
        again.as_ref() == Some(self)
    }
}
