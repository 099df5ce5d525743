//! How people, programs and spreadsheets write one telephone number: the digits to dial, without what stands around them.
//!
//! A text is first cleaned (digits of other scripts, invisible marks, escapes of addresses), then taken out of an address
//! (`tel:`, `sip:`), then read from left to right: a label, the digits with their separators, an extension, a label. A text in
//! which anything else remains is no single number. Digits are never invented: a masked number, a vanity number and a number
//! that a spreadsheet has rounded are unreadable.

/// Digits in front of which `;` or `,` announce an extension; more of them are another number.
const LONGEST_PAUSED_EXTENSION: usize = 7;
/// Digits of the longest extension that a word or a sign announces.
const LONGEST_EXTENSION: usize = 15;
/// Fewer digits than this are no number that an extension could stand behind.
const SHORTEST_DIALLED: usize = 6;
/// Digits after the point from which a number in scientific notation is taken to be written in full. Spreadsheets round to five.
const FULL_PRECISION: usize = 7;
/// E.164 allows 15 digits; an international prefix and a trunk prefix may stand in front of them.
const MOST_DIGITS: usize = 20;

/// Words that announce an extension, without accents.
const EXTENSIONS: &[&str] = &[
    "x",
    "ex",
    "ext",
    "exts",
    "extn",
    "xtn",
    "xt",
    "extension",
    "extensao",
    "extensie",
    "poste",
    "post",
    "pst",
    "p",
    "w",
    "int",
    "inter",
    "interno",
    "interne",
    "intern",
    "internal",
    "anexo",
    "ramal",
    "durchwahl",
    "dw",
    "apparat",
    "nebenstelle",
    "klappe",
    "toestel",
    "tst",
    "lokal",
    "anknytning",
    "wew",
    "wewn",
    "доб",
    "добавочный",
    "вн",
];
/// Words that may follow a number without a space.
const LABELS: &[&str] = &[
    "cell", "cellular", "mobile", "mobil", "mob", "handy", "portable", "movil", "home", "work", "office", "buro",
    "bureau", "fax", "main", "direct", "private", "privat", "tel", "phone", "c", "m",
];

/// The dialled digits of one number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spelling {
    /// A plus stands in front: the country code follows.
    pub international: bool,
    /// ASCII digits.
    pub digits: String,
    /// One or two digits in brackets behind the country code, as in `+44 (0) 20`: where they begin and end in `digits`.
    pub bracketed: Option<(usize, usize)>,
}

impl Spelling {
    /// Reads a text that holds one number and nothing else but labels and an extension.
    pub fn of(text: &str) -> Option<Self> {
        // As RingCentral writes nearly all.
        let plain = text.strip_prefix('+').filter(|digits| (SHORTEST_DIALLED..=MOST_DIGITS).contains(&digits.len()));
        if let Some(digits) = plain.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit())) {
            return Some(Self { international: true, digits: digits.to_owned(), bracketed: None });
        }
        let clean = clean(text);
        let number = spreadsheet(out_of_address(&clean));
        Self::read(&number)
    }

    fn read(text: &str) -> Option<Self> {
        let text = without_service_code(text.trim());
        let begin = text.find(|c: char| c.is_ascii_digit() || c == '+')?;
        is_label_in_front(&text[..begin]).then_some(())?;
        let text = &text[begin..];
        let (international, text) = text.strip_prefix('+').map_or((false, text), |rest| (true, rest));
        let mut spelling = Self { international, digits: String::new(), bracketed: None };
        let end = spelling.take_digits(text);
        if spelling.digits.len() > MOST_DIGITS || has_second_number(&text[..end]) {
            return None;
        }
        let attached = text[..end].ends_with(|c: char| c.is_ascii_digit());
        let rest = without_extension(&text[end..], spelling.digits.len());
        is_label_behind(rest, attached).then_some(spelling)
    }

    /// Takes digits and what separates them; where they end.
    fn take_digits(&mut self, text: &str) -> usize {
        let mut opened = None;
        for (place, c) in text.char_indices() {
            match c {
                '0'..='9' => self.digits.push(c),
                '(' => opened = Some(self.digits.len()),
                ')' => self.note_bracketed(opened.take()),
                ' ' | '-' | '.' | '[' | ']' | '/' | '\'' | '\u{b7}' => {}
                // A second dial tone: 8~10 in Russia.
                '~' if self.digits.len() < 3 => {}
                _ => return place,
            }
        }
        text.len()
    }

    fn note_bracketed(&mut self, opened: Option<usize>) {
        let Some(begin) = opened else { return };
        let length = self.digits.len() - begin;
        if self.international && self.bracketed.is_none() && (1..=3).contains(&begin) && (1..=2).contains(&length) {
            self.bracketed = Some((begin, self.digits.len()));
        }
    }

    /// The digits without those in brackets.
    pub fn without_bracketed(&self) -> Option<String> {
        let (begin, end) = self.bracketed?;
        Some([&self.digits[..begin], &self.digits[end..]].concat())
    }
}

/// Digits of every script as ASCII, one kind of space, bracket and dash, no invisible marks and no escapes.
pub(super) fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        // Nearly all are, and none of those is looked for below.
        if matches!(c, ' '..='~') {
            clean.push(c);
            continue;
        }
        match c {
            '\u{ff0b}' | '\u{fe62}' | '\u{207a}' => clean.push('+'),
            '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ff0d}' | '\u{fe63}' | '\u{ad}' => clean.push('-'),
            '\u{ff08}' => clean.push('('),
            '\u{ff09}' => clean.push(')'),
            '\u{ff0f}' => clean.push('/'),
            '\u{ff0e}' => clean.push('.'),
            '\u{ff1a}' => clean.push(':'),
            '\u{ff1b}' => clean.push(';'),
            '\u{ff0c}' | '\u{3001}' => clean.push(','),
            '\u{ff03}' => clean.push('#'),
            '\u{ff0a}' => clean.push('*'),
            '\u{ff5e}' | '\u{301c}' | '\u{223c}' => clean.push('~'),
            '\r' | '\u{2028}' | '\u{2029}' | '\u{85}' => clean.push('\n'),
            '\n' => clean.push('\n'),
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => {}
            c if c.is_whitespace() => clean.push(' '),
            c if c.is_control() => {}
            c => clean.push(digit(c).unwrap_or(c)),
        }
    }
    if clean.contains('%') {
        for (escaped, plain) in [("%2B", "+"), ("%2b", "+"), ("%20", " "), ("%28", "("), ("%29", ")"), ("%2D", "-")] {
            clean = clean.replace(escaped, plain);
        }
    }
    clean
}

/// A decimal digit of another script.
pub(super) fn digit(c: char) -> Option<char> {
    const ZEROS: [u32; 14] =
        [0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xe50, 0xff10];
    let zero = ZEROS.into_iter().find(|zero| (*zero..zero + 10).contains(&u32::from(c)))?;
    char::from_digit(u32::from(c) - zero, 10)
}

/// The number in `tel:`, `sip:` and their like, in `"Name" <sip:…>` and in `user@host`; any other text as it is.
pub(super) fn out_of_address(text: &str) -> String {
    let text = text.trim();
    let inside =
        text.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or(text, |(inside, _)| inside.trim());
    let lower = inside.to_ascii_lowercase();
    let scheme =
        ["tel:", "sip:", "sips:", "callto:", "im:", "h323:"].into_iter().find(|scheme| lower.starts_with(scheme));
    let Some(rest) = scheme.map(|scheme| inside[scheme.len()..].trim_start_matches('/')) else {
        return match inside.split_once('@') {
            Some((user, _)) => user.to_owned(),
            None => text.to_owned(),
        };
    };
    let user = rest.split('@').next().unwrap_or(rest);
    let user = user.split(['?', '>']).next().unwrap_or(user);
    let mut parts = user.split(';');
    let number = parts.next().unwrap_or_default();
    // A password may follow a colon in a SIP address.
    let number = number.split(':').next().unwrap_or(number);
    let context = parts.find_map(|part| part.strip_prefix("phone-context=")).filter(|context| context.starts_with('+'));
    match context {
        Some(context) if !number.starts_with('+') => format!("{context}{number}"),
        _ => number.to_owned(),
    }
}

/// `4165550301.0` and `4.165550302E9` are what spreadsheets make of numbers.
fn spreadsheet(text: String) -> String {
    let bare = text.trim();
    if let Some((whole, zeros)) = bare.split_once('.')
        && whole.trim_start_matches('+').len() >= SHORTEST_DIALLED
        && whole.trim_start_matches('+').bytes().all(|b| b.is_ascii_digit())
        && (1..=2).contains(&zeros.len())
        && zeros.bytes().all(|b| b == b'0')
    {
        return whole.to_owned();
    }
    scientific(bare).unwrap_or(text)
}

fn scientific(text: &str) -> Option<String> {
    let (mantissa, exponent) = text.split_once(['e', 'E'])?;
    let (first, rest) = mantissa.trim_start_matches('+').split_once('.')?;
    let exponent: usize = exponent.trim_start_matches('+').parse().ok().filter(|exponent| *exponent <= 15)?;
    let digits = first.len() == 1 && [first, rest].iter().all(|part| part.bytes().all(|b| b.is_ascii_digit()));
    let full = rest.len() == exponent || (rest.len() >= FULL_PRECISION && rest.len() < exponent);
    (digits && full).then(|| format!("{first}{rest}{}", "0".repeat(exponent - rest.len())))
}

/// `*67` and `#31#` in front are dialled to hide one's own number.
fn without_service_code(text: &str) -> &str {
    let Some(rest) = text.strip_prefix(['*', '#']) else { return text };
    match rest.get(..2) {
        Some(code) if code.bytes().all(|b| b.is_ascii_digit()) => rest[2..].trim_start_matches(['#', '*']),
        _ => text,
    }
}

/// Whether one slash divides two numbers, as in `030 123456 / 030 234567`, and not the area from the line.
fn has_second_number(text: &str) -> bool {
    let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).count();
    text.match_indices('/').any(|(place, _)| {
        let (before, after) = (&text[..place], &text[place + 1..]);
        let apart = before.ends_with(' ') || after.starts_with(' ') || after.starts_with(['0', '(']);
        apart && digits(before) > SHORTEST_DIALLED && digits(after) > SHORTEST_DIALLED
    })
}

/// What stands in front of a number: nothing, punctuation, or a label that something divides from it. A word that announces an
/// extension makes the digits behind it one.
fn is_label_in_front(text: &str) -> bool {
    let words = words(text);
    let Some(last) = words.last() else { return !text.contains(['*', '#', '?']) };
    let divided = !text.ends_with(char::is_alphanumeric) || LABELS.contains(&last.as_str());
    divided && !text.contains(MASKS) && !EXTENSIONS[..8].contains(&last.as_str())
}

/// Cuts an extension in one of its many spellings off what follows `dialled` digits.
fn without_extension(rest: &str, dialled: usize) -> &str {
    let begin = rest.find(|c: char| c.is_ascii_digit());
    let Some(begin) = begin.filter(|_| dialled >= SHORTEST_DIALLED) else { return rest };
    let (announced, tail) = rest.split_at(begin);
    let end = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
    let words = words(announced);
    let longest = match &words[..] {
        [] if announced.contains(['#', '*', '~']) => LONGEST_EXTENSION,
        [] if announced.contains([',', ';']) => LONGEST_PAUSED_EXTENSION,
        [word] if EXTENSIONS.contains(&word.as_str()) => LONGEST_EXTENSION,
        _ => 0,
    };
    if end > longest { rest } else { tail[end..].trim_start_matches(['#', ')', ']']) }
}

/// Signs that stand for hidden digits.
const MASKS: [char; 7] = ['*', '#', '?', '\u{2022}', '\u{25cf}', '\u{2026}', '_'];

/// What stands behind a number: nothing, punctuation, or a label without digits.
fn is_label_behind(text: &str, attached: bool) -> bool {
    let words = words(text);
    let masked = |word: &String| word.len() > 1 && word.bytes().all(|b| b == b'x');
    if text.contains(MASKS)
        || text.contains('+')
        || text.contains(|c: char| c.is_ascii_digit())
        || words.iter().any(masked)
    {
        return false;
    }
    let glued = attached && text.starts_with(char::is_alphabetic);
    !glued || words.first().is_some_and(|word| LABELS.contains(&word.as_str()))
}

/// The words of a text, folded.
fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()).map(fold).collect()
}

/// Lower case without accents.
pub(super) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let plain = |c: char| match c {
        'à'..='å' | 'ą' | 'ă' | 'ā' => 'a',
        'ç' | 'č' | 'ć' => 'c',
        'è'..='ë' | 'ę' | 'ě' | 'ē' => 'e',
        'ì'..='ï' | 'ī' => 'i',
        'ł' => 'l',
        'ñ' | 'ń' | 'ň' => 'n',
        'ò'..='ö' | 'ø' | 'ő' => 'o',
        'ř' => 'r',
        'š' | 'ś' => 's',
        'ù'..='ü' | 'ů' | 'ű' | 'ū' => 'u',
        'ý' | 'ÿ' => 'y',
        'ž' | 'ż' | 'ź' => 'z',
        other => other,
    };
    text.chars().flat_map(char::to_lowercase).map(plain).collect()
}
