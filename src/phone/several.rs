//! Several numbers in one text: `416-555-0311 ::: 416-555-0911`, a cell of an address book, a sentence.

use rlibphonenumber::phonenumber_matcher::FindNumberExt;

use super::spelling::clean;
use super::{PhoneNumber, Region};

/// A longer text is no field for telephone numbers.
const LONGEST_TEXT: usize = 2_048;
/// What divides numbers, the surest first. What stands between two of the first is divided by the next only if it is no number.
const DIVIDERS: [&[&str]; 4] = [
    &[":::", "\n", ";", "|"],
    &[" or ", " oder ", " ou ", " o ", " and ", " und ", " et ", " y ", " e ", " & "],
    &[",", " / "],
    &["/"],
];

/// Every number in a text, in its order and each once.
pub(super) fn read(text: &str, region: Region) -> Vec<PhoneNumber> {
    let mut numbers = Vec::new();
    if text.len() <= LONGEST_TEXT {
        collect(&clean(text), region, &DIVIDERS, &mut numbers);
    }
    numbers
}

fn collect(text: &str, region: Region, dividers: &[&[&str]], numbers: &mut Vec<PhoneNumber>) {
    if !text.bytes().any(|b| b.is_ascii_digit()) {
        return;
    }
    if let Some(number) = PhoneNumber::read(text, region) {
        add(numbers, number);
        return;
    }
    match dividers.split_first() {
        Some((these, finer)) => divided(text, these).into_iter().for_each(|part| collect(part, region, finer, numbers)),
        None => find(text, region, numbers),
    }
}

fn divided<'a>(text: &'a str, dividers: &[&str]) -> Vec<&'a str> {
    dividers.iter().fold(vec![text], |parts, divider| parts.into_iter().flat_map(|part| part.split(divider)).collect())
}

/// Numbers among words, as the library finds them: only whole and valid ones.
fn find(text: &str, region: Region, numbers: &mut Vec<PhoneNumber>) {
    if !text.contains(char::is_alphabetic) || text.contains(['*', '?', '\u{2022}', '@']) {
        return;
    }
    let found = text.find_phone_numbers_with_preferred_region(region.0);
    found.filter_map(|found| PhoneNumber::valid(&found.number)).for_each(|number| add(numbers, number));
}

fn add(numbers: &mut Vec<PhoneNumber>, number: PhoneNumber) {
    if !numbers.contains(&number) {
        numbers.push(number);
    }
}
