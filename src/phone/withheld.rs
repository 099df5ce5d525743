//! Callers who hide their number, in the words that networks, telephone systems and programs put in its place.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::spelling::{clean, fold, out_of_address};

/// Words that alone say that there is no number, without accents: English, French, German, Spanish, Italian, Portuguese, Dutch,
/// the Nordic and Slavic languages of RingCentral's countries, Russian.
const WORDS: &[&str] = &[
    "anonymous",
    "anonym",
    "anonyme",
    "anonymes",
    "anonimo",
    "anonima",
    "anoniem",
    "anonymus",
    "anonyymi",
    "private",
    "privat",
    "privatnummer",
    "privatnumber",
    "prive",
    "privee",
    "privado",
    "privada",
    "privato",
    "privata",
    "prywatny",
    "soukrome",
    "restricted",
    "restreint",
    "restreinte",
    "restringido",
    "restringida",
    "restrito",
    "restrita",
    "limitato",
    "blocked",
    "bloque",
    "bloquee",
    "bloqueado",
    "bloqueada",
    "bloccato",
    "blockiert",
    "geblokkeerd",
    "gesperrt",
    "blokeret",
    "blockerat",
    "barred",
    "withheld",
    "unknown",
    "inconnu",
    "inconnue",
    "unbekannt",
    "unbekannte",
    "unbekannter",
    "desconocido",
    "desconocida",
    "desconhecido",
    "desconhecida",
    "sconosciuto",
    "sconosciuta",
    "onbekend",
    "ukendt",
    "okant",
    "ukjent",
    "tuntematon",
    "nieznany",
    "nieznane",
    "nezname",
    "neznamy",
    "neznamo",
    "unavailable",
    "unavail",
    "indisponible",
    "indisponivel",
    "unidentified",
    "unspecified",
    "undisclosed",
    "unlisted",
    "unpublished",
    "nonpublished",
    "suppressed",
    "hidden",
    "masked",
    "masque",
    "masquee",
    "cache",
    "oculto",
    "oculta",
    "ocultado",
    "nascosto",
    "nascosta",
    "riservato",
    "verborgen",
    "versteckt",
    "verdeckt",
    "unterdruckt",
    "unterdruckte",
    "afgeschermd",
    "geheim",
    "secret",
    "secreto",
    "confidential",
    "confidentiel",
    "hemligt",
    "dolt",
    "skjult",
    "hemmelig",
    "hemmeligt",
    "salainen",
    "zastrzezony",
    "ukryty",
    "skryte",
    "skryty",
    "none",
    "null",
    "undefined",
    "неизвестный",
    "неизвестно",
    "скрытый",
    "анонимный",
];
/// Words that may stand beside them and say nothing more.
const FILLERS: &[&str] = &[
    "number",
    "numbers",
    "num",
    "no",
    "nr",
    "numero",
    "numeros",
    "numer",
    "nummer",
    "rufnummer",
    "telefonnummer",
    "telefoonnummer",
    "cislo",
    "phone",
    "telephone",
    "telefon",
    "telefono",
    "telefone",
    "caller",
    "callers",
    "call",
    "calls",
    "calling",
    "callerid",
    "id",
    "cid",
    "cli",
    "clid",
    "name",
    "nom",
    "nome",
    "nombre",
    "user",
    "party",
    "person",
    "line",
    "the",
    "a",
    "by",
    "of",
    "is",
    "de",
    "da",
    "do",
    "du",
    "des",
    "l",
    "le",
    "la",
    "el",
    "il",
    "appel",
    "appelant",
    "llamada",
    "llamante",
    "chiamata",
    "chiamante",
    "anrufer",
    "anruf",
    "beller",
    "oproeper",
    "chamada",
    "numere",
    "номер",
    "абонент",
    "sip",
];
/// Several words that say it together, written as one.
const PHRASES: &[&str] = &[
    "outofarea",
    "outofservicearea",
    "nocallerid",
    "nocli",
    "noid",
    "nonumber",
    "numberless",
    "notavailable",
    "notprovided",
    "notdisclosed",
    "notknown",
    "idnotavailable",
    "na",
    "nichtverfugbar",
    "nichtverfuegbar",
    "nichtubermittelt",
    "nichtuebermittelt",
    "nichtbekannt",
    "nichtangezeigt",
    "nichtidentifiziert",
    "keinenummer",
    "keinerufnummer",
    "ohnenummer",
    "ohnerufnummer",
    "unterdrueckt",
    "unterdruecktenummer",
    "unterdruecktrufnummer",
    "nodisponible",
    "noidentificado",
    "noidentificada",
    "sinnumero",
    "sinidentificar",
    "fueradearea",
    "naodisponivel",
    "naoidentificado",
    "naoidentificada",
    "semnumero",
    "foradearea",
    "nondisponibile",
    "nondisponible",
    "nonidentificato",
    "nonidentifie",
    "nonindentifie",
    "numerononidentificato",
    "fuoriarea",
    "senzanumero",
    "sansnumero",
    "pasdenumero",
    "horszone",
    "nietbeschikbaar",
    "geennummer",
    "geennummerweergave",
    "buitenbereik",
    "kinnummer",
    "utannummer",
    "eitiedossa",
    "номерскрыт",
    "номернеопределен",
    "номернеопределён",
    "скрыт",
];
/// The same in scripts that do not divide words.
const SIGNS: &[&str] = &[
    "匿名",
    "未知",
    "私人号码",
    "私人號碼",
    "隐藏",
    "隱藏",
    "无号码",
    "無號碼",
    "不明",
    "沒有來電顯示",
    "非通知",
    "通知不可能",
    "表示圏外",
    "公衆電話",
    "발신번호표시제한",
    "발신번호없음",
    "번호없음",
];

/// Bytes of the longest name that says so.
const LONGEST_NAME: usize = 160;

/// The lists above for looking a word up: each name of each notification is compared with them.
static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(|| Vocabulary {
    words: WORDS.iter().copied().collect(),
    fillers: FILLERS.iter().copied().collect(),
    phrases: PHRASES.iter().copied().collect(),
});

struct Vocabulary {
    words: HashSet<&'static str>,
    fillers: HashSet<&'static str>,
    phrases: HashSet<&'static str>,
}

/// Whether a text in a number's place says that there is none: nothing, zeros, a word, an address such as `sip:anonymous@…`.
pub(super) fn number(text: &str) -> bool {
    let clean = clean(text);
    let text = out_of_address(&clean);
    let text = text.trim().trim_matches('"');
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    if !text.contains(char::is_alphabetic) {
        // -1, +0, a row of zeros, with or without North America's 1.
        let zeros = digits.strip_prefix('1').filter(|zeros| zeros.len() > 2).unwrap_or(&digits);
        return zeros.bytes().all(|b| b == b'0') || text == "-1";
    }
    digits.is_empty() && name(text)
}

/// Whether a name says that the caller is hidden. A queue announces such a caller as "Sales - Anonymous".
pub(super) fn name(text: &str) -> bool {
    let earliest = text.len().saturating_sub(LONGEST_NAME);
    let begin = (earliest..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    let end = fold(&clean(&text[begin..]));
    (begin == 0 && says_hidden(&end)) || end.rsplit_once(" - ").is_some_and(|(_, last)| says_hidden(last))
}

fn says_hidden(text: &str) -> bool {
    let Vocabulary { words, fillers, phrases } = &*VOCABULARY;
    let written: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let known = written.iter().any(|word| words.contains(word));
    if known && written.iter().all(|word| words.contains(word) || fillers.contains(word)) {
        return true;
    }
    let as_one = written.concat();
    phrases.contains(as_one.as_str())
        || (!as_one.is_ascii() && SIGNS.iter().any(|sign| as_one.contains(sign)))
        || without_filler(&as_one).is_some_and(|word| words.contains(word) || phrases.contains(word))
}

/// `privatenumber` is two words without a space.
fn without_filler(word: &str) -> Option<&str> {
    ["number", "caller", "callerid", "name", "nummer", "numero", "call"]
        .into_iter()
        .find_map(|end| word.strip_suffix(end))
}

/// Whether digits are what a keypad makes of such a word: 266696687 is ANONYMOUS.
pub(super) fn keypad(number: &str) -> bool {
    let digits: String = clean(number).chars().filter(char::is_ascii_digit).collect();
    let national = digits.strip_prefix('1').unwrap_or(&digits);
    // Whole words only: a number that ends in 7748283 is not "Private".
    let spelled = |word: &&str| is_spelled(word, &digits) || is_spelled(word, national);
    digits.len() > 4 && (WORDS.iter().any(spelled) || PHRASES.iter().any(spelled))
}

/// Whether `digits` are this word, alone or with a filler behind it.
fn is_spelled(word: &str, digits: &str) -> bool {
    let Some(rest) = word.chars().try_fold(digits, |rest, letter| rest.strip_prefix(key(letter)?)) else {
        return false;
    };
    rest.is_empty()
        || ["number", "caller", "name", "call", "id", "callerid"].iter().any(|filler| {
            filler.chars().try_fold(rest, |rest, letter| rest.strip_prefix(key(letter)?)).is_some_and(str::is_empty)
        })
}

/// The key with a letter.
fn key(letter: char) -> Option<char> {
    Some(match letter {
        'a'..='c' => '2',
        'd'..='f' => '3',
        'g'..='i' => '4',
        'j'..='l' => '5',
        'm'..='o' => '6',
        'p'..='s' => '7',
        't'..='v' => '8',
        'w'..='z' => '9',
        _ => return None,
    })
}
