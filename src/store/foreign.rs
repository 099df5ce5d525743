//! What other programs write into a call, read for what it says. Knows texts and numbers only; each store turns its own
//! types into these.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Utc};

use crate::call::millis;

/// A longer id or session is no id: it would be a key in every map and in every frame.
pub(super) const LONGEST_ID: usize = 1_024;
/// Names and numbers are shorter; the rest would be sent to every viewer.
pub(super) const LONGEST_TEXT: usize = 256;
/// A `rev` up to here is a whole number to every reader, JavaScript included.
pub(super) const MOST_REV: i64 = 1 << 53;
/// Numbers below are no time: a counter, a date as `20261127`, or 0 for none. As seconds since 1970 this is 1973.
const FIRST_SECOND: f64 = 1e8;
/// What is larger than this many seconds (the year 5138) is milliseconds, and so on by thousands.
const LAST_SECOND: f64 = 1e11;
/// The same time in nanoseconds; beyond is no time.
const LAST_NANOSECOND: f64 = LAST_SECOND * 1e9;

/// A text that says something, cut to what can be shown.
pub(super) fn text(text: &str) -> Option<String> {
    Some(text.chars().take(LONGEST_TEXT).collect()).filter(|text: &String| !text.trim().is_empty())
}

/// An id as it is; half of one would be another's.
pub(super) fn id(id: &str) -> Option<String> {
    (id.len() <= LONGEST_ID && !id.trim().is_empty()).then(|| id.to_owned())
}

/// A number without exponent and without a fraction of zeros: `1.4165550101E+10` is `14165550101`. `None` for what is not
/// finite or longer than any id or phone number.
pub(super) fn plain_number(written: &str) -> Option<String> {
    const MOST_DIGITS: i64 = 40;
    let (sign, rest) = written.strip_prefix('-').map_or(("", written), |rest| ("-", rest));
    let (mantissa, exponent) = rest.split_once(['E', 'e']).unwrap_or((rest, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let point = whole.len() as i64 + exponent.parse::<i64>().ok().filter(|by| by.abs() <= MOST_DIGITS)?;
    if point > MOST_DIGITS || digits.len() as i64 - point > MOST_DIGITS {
        return None;
    }
    let padded = format!("{}{digits}", "0".repeat((1 - point).max(0) as usize));
    let point = point.max(1) as usize;
    let padded = format!("{padded:0<point$}");
    let (whole, fraction) = padded.split_at(point);
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

/// A time as text: RFC 3339, with a space instead of the T, without a zone (UTC), without seconds, a date alone, or a number
/// since 1970.
pub(super) fn time(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if text.len() > LONGEST_TEXT || !text.is_ascii() {
        return None;
    }
    if let Ok(number) = text.parse::<f64>() {
        return since_1970(number);
    }
    // Python's logging writes a comma before the fraction.
    let mut iso = text.replacen(' ', "T", 1).replace(',', ".").replace("TT", "T");
    for zone in [" UTC", " GMT", "UTC", "GMT", " Z", " z"] {
        if let Some(bare) = iso.strip_suffix(zone) {
            iso = format!("{bare}Z");
        }
    }
    let iso = iso.replace(' ', "");
    let naive = |form: &str| NaiveDateTime::parse_from_str(&iso, form).ok().map(|time| time.and_utc());
    let zoned = |form: &str| DateTime::parse_from_str(&iso, form).ok().map(|time| time.to_utc());
    let forms = ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z", "%Y/%m/%dT%H:%M:%S%.f%#z"];
    millis::parse(&iso)
        .or_else(|| forms.into_iter().find_map(zoned))
        .or_else(|| ["%Y-%m-%dT%H:%MZ", "%Y-%m-%dT%H:%M", "%Y/%m/%dT%H:%M:%S%.f"].into_iter().find_map(naive))
        .or_else(|| Some(iso.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0)?.and_utc()))
        .or_else(|| DateTime::parse_from_rfc2822(text).ok().map(|time| time.to_utc()))
        .and_then(presentable)
}

/// A time as a number of seconds, milliseconds, microseconds or nanoseconds since 1970.
pub(super) fn since_1970(number: f64) -> Option<DateTime<Utc>> {
    if !(FIRST_SECOND..LAST_NANOSECOND).contains(&number) {
        return None;
    }
    let mut seconds = number;
    while seconds >= LAST_SECOND {
        seconds /= 1_000.0;
    }
    presentable(DateTime::from_timestamp_millis((seconds * 1_000.0).round() as i64)?)
}

/// A time that RFC 3339 can write, with its four digits for the year, in whole milliseconds.
pub(super) fn presentable(time: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let time = DateTime::from_timestamp_millis(time.timestamp_millis())?;
    (1..=9_999).contains(&time.year()).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_with_all_digits_and_nothing_else() {
        for (written, plain) in [
            ("1.4165550101E+10", Some("14165550101")),
            ("14165550101.0", Some("14165550101")),
            ("14165550101", Some("14165550101")),
            ("1E2", Some("100")),
            ("-1", Some("-1")),
            ("0.50", Some("0.5")),
            ("5E-1", Some("0.5")),
            ("0E-6176", None),
            ("0", Some("0")),
            ("NaN", None),
            ("Infinity", None),
            ("1E+6000", None),
            ("", None),
            (".", None),
            ("1e99999999999999999999", None),
        ] {
            assert_eq!(plain_number(written).as_deref(), plain, "{written}");
        }
    }

    #[test]
    fn times_are_read_in_the_forms_programs_write_them() {
        let noon = "2026-11-27T12:00:00Z".parse::<DateTime<Utc>>().unwrap();
        for written in [
            "2026-11-27T12:00:00Z",
            "2026-11-27 12:00:00",
            "2026-11-27 12:00:00.000000",
            "2026-11-27 12:00:00,000",
            "2026-11-27 12:00:00 UTC",
            "2026-11-27 12:00:00Z",
            "2026-11-27 13:00:00+01:00",
            "2026-11-27 13:00:00 +0100",
            "2026-11-27 13:00:00+01",
            "2026-11-27T12:00",
            "2026-11-27T12:00Z",
            " 2026-11-27T12:00:00.000Z ",
            "2026/11/27 12:00:00",
            "Fri, 27 Nov 2026 12:00:00 +0000",
            "1795780800",
            "1795780800000",
            "1795780800.0",
        ] {
            assert_eq!(time(written), Some(noon), "{written}");
        }
        assert_eq!(time("2026-11-27").unwrap().to_rfc3339(), "2026-11-27T00:00:00+00:00");
        for nothing in ["", "yesterday", "0", "20261127", "NaN", "-1e300", "99999-01-01T00:00:00Z", "\u{ff11}"] {
            assert_eq!(time(nothing), None, "{nothing}");
        }
        assert_eq!(since_1970(1_795_780_800_000_000.0), Some(noon));
        assert_eq!(since_1970(f64::MAX), None);
    }
}
