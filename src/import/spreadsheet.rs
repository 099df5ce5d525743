//! What spreadsheets do to ids and telephone numbers: `4165550301.0`, `4.165550302E9`, `="0416"`, `'+1416`.

/// The decimals of what Excel shows of a long number in a narrow column.
const SHOWN_DECIMALS: usize = 5;
/// No id or telephone number has more digits.
const MOST_DIGITS: usize = 40;

/// A field that a spreadsheet wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// As it is, or the digits of a whole number that was written as a fraction.
    Text(String),
    /// A whole number of which some digits are not in the file any more, such as `4.16555E+09`.
    Shortened,
}

/// Reads a field; `text` without the marks that keep a spreadsheet from reading it as a number.
pub fn cell(text: &str) -> Cell {
    let text = text.trim();
    let text = text.strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    let text = text.strip_prefix('\'').unwrap_or(text).trim();
    whole_number(text).unwrap_or_else(|| Cell::Text(text.to_owned()))
}

/// `None` when the text is no number with a decimal point or comma.
fn whole_number(text: &str) -> Option<Cell> {
    let (sign, rest) = text.strip_prefix('+').map_or(("", text), |rest| ("+", rest));
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, ""));
    let (whole, decimals) = mantissa.split_once(['.', ','])?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(decimals) {
        return None;
    }
    if exponent.is_empty() {
        // 416.555 is a number with a dot in it, and 555.0100 too; nothing but zeros is a fraction that is none.
        let is_float = !rest.contains(['e', 'E']) && matches!(decimals, "0" | "00");
        return is_float.then(|| Cell::Text(format!("{sign}{whole}")));
    }
    let power: usize = exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?;
    if whole.len() != 1 || power > MOST_DIGITS || decimals.trim_end_matches('0').len() > power {
        return None;
    }
    if decimals.len() <= SHOWN_DECIMALS && exponent.starts_with('+') && power > SHOWN_DECIMALS {
        return Some(Cell::Shortened);
    }
    let decimals = decimals.trim_end_matches('0');
    Some(Cell::Text(format!("{sign}{whole}{decimals:0<power$}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_written_as_fractions_get_their_digits_back() {
        for (written, digits) in [
            ("1.0", "1"),
            ("4165550301.0", "4165550301"),
            ("4165550301,00", "4165550301"),
            ("4.165550302E9", "4165550302"),
            ("1.4165550302e+10", "14165550302"),
            ("4.16555E9", "4165550000"),
            ("1.0E0", "1"),
            ("=\"0416555\"", "0416555"),
            ("'+14165550301", "+14165550301"),
        ] {
            assert_eq!(cell(written), Cell::Text(digits.into()), "{written}");
        }
    }

    #[test]
    fn what_is_no_such_number_stays_as_it_is() {
        for text in
            ["", "1", "416.555.0301", "416.555", "555.0100", "68e8929ff0f6", "12e5", "1.5", "c1.0x", "1.5E0", "Ann"]
        {
            assert_eq!(cell(text), Cell::Text(text.into()), "{text}");
        }
    }

    #[test]
    fn digits_that_are_lost_are_not_guessed() {
        for text in ["4.16555E+09", "4,16555E+09", "1.2E+11"] {
            assert_eq!(cell(text), Cell::Shortened, "{text}");
        }
    }
}
