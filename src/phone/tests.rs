//! Single spellings; what holds for every region stands in `tests/it/phone_numbers.rs`.

use super::*;

fn region(code: &str) -> Region {
    code.parse().unwrap()
}

fn read(raw: &str, code: &str) -> Option<String> {
    PhoneNumber::parse(raw, region(code)).map(|number| number.e164())
}

fn parse(raw: &str) -> Option<String> {
    read(raw, "US")
}

fn all(text: &str, code: &str) -> Vec<String> {
    PhoneNumber::parse_all(text, region(code)).iter().map(PhoneNumber::e164).collect()
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
        "*67 416 555 1234",
        "416\u{a0}555\u{2011}1234",
        "\u{202a}+1 416 555 1234\u{202c}",
        "\u{ff0b}\u{ff11}\u{ff14}\u{ff11}\u{ff16}5551234",
        "%2B14165551234",
        "011 1 416 555 1234",
        "00 1 416 555 1234",
    ] {
        assert_eq!(parse(raw).as_deref(), Some("+14165551234"), "{raw}");
    }
}

#[test]
fn an_extension_is_cut_off_however_it_is_announced() {
    for rest in [
        " x 9",
        " ext. 12",
        "*12",
        ";ext=12",
        " #12",
        " poste 12",
        " xtn 12",
        " int. 12",
        " p12",
        ",,12#",
        " ~12",
        "x12345",
        ",12",
        ";12",
        " Ext: 4321",
        " extension 12",
        " (ext 12)",
        " ramal 12",
        " anexo 12",
        " DW 12",
        " toestel 12",
        " w12",
        " доб. 12",
        " ext 123456789",
        "x12 (work)",
        " Durchwahl: 12",
    ] {
        assert_eq!(parse(&format!("416-555-1234{rest}")).as_deref(), Some("+14165551234"), "{rest}");
    }
    assert_eq!(parse("ext 4165551234"), None, "the extension alone");
}

#[test]
fn a_label_is_no_part_of_a_number() {
    for raw in [
        "416-555-1234 (cell)",
        "Cell: 416-555-1234",
        "416-555-1234 cell",
        "Tel. (416) 555-1234",
        "mobile 416-555-1234",
        "416-555-1234 - ask for Bob",
        "[home] 416-555-1234",
        "4165551234m",
        "T: +1 416 555 1234",
    ] {
        assert_eq!(parse(raw).as_deref(), Some("+14165551234"), "{raw}");
    }
}

#[test]
fn addresses_hold_a_number() {
    for raw in [
        "tel:+1-416-555-1234",
        "tel:+14165551234;phone-context=+1",
        "tel:416-555-1234;phone-context=+1",
        "tel:4165551234;phone-context=example.com",
        "sip:+14165551234@pbx.example.com",
        "sips:4165551234@pbx.example.com:5061;transport=tls",
        "sip:+14165551234;ext=12@pbx.example.com;user=phone",
        "\"Ann Lee\" <sip:+14165551234@pbx.example.com>",
        "+14165551234@pbx.example.com",
        "callto:+14165551234",
        "TEL:+14165551234",
        "tel:%2B14165551234",
        "sip:14165551234:secret@pbx.example.com",
    ] {
        assert_eq!(parse(raw).as_deref(), Some("+14165551234"), "{raw}");
    }
    assert_eq!(parse("sip:101@pbx.example.com"), None);
}

#[test]
fn what_a_spreadsheet_made_of_a_number_is_read_where_no_digit_is_lost() {
    assert_eq!(parse("4165551234.0").as_deref(), Some("+14165551234"));
    assert_eq!(parse("14165551234.00").as_deref(), Some("+14165551234"));
    assert_eq!(parse("4.165551234E9").as_deref(), Some("+14165551234"));
    assert_eq!(parse("4.16555123e+09").as_deref(), Some("+14165551230"));
    assert_eq!(parse("4.16555E+09"), None, "rounded");
    assert_eq!(read("4.42079E+11", "GB"), None, "rounded");
}

#[test]
fn what_is_no_public_number_is_none() {
    for raw in [
        "",
        "anonymous",
        "Private",
        "101",
        "11104",
        "+1855201XXXX",
        "94165551234",
        "941655512345",
        "not a number",
        "416-555-****",
        "416-555-####",
        "+1416555123?",
        "+1 416 555 XX12",
        "416-555-XXXX",
        "1-800-FLOWERS",
        "416-555-CALL",
        "GB4165551234",
        "4165551234 4165551235",
        "+1416555123 +14165551235",
        "order 4165551234-77",
        "5551234",
        ".*",
    ] {
        assert_eq!(parse(raw), None, "{raw}");
    }
    assert_eq!(parse("1111020102121"), None, "no area begins with 1");
    assert_eq!(read("0000121 6", "GB"), None, "zeros too many");
    assert_eq!(read("06 1234 5678", "IT").as_deref(), Some("+390612345678"), "a zero that belongs to it");
}

#[test]
fn a_number_with_a_plus_is_read_by_its_own_country() {
    for number in [
        "+4915112345678",
        "+441632960001",
        "+5511987654321",
        "+541123456701",
        "+35312345678",
        "+442079460103",
        "+393471234567",
        "+14165550101",
        "+393921234567",
        "+4747161746",
        "+78121234567",
        "+78001234567",
        "+390612345678",
        "+29022222",
        "+6834002",
    ] {
        for code in ["US", "DE", "RU", "IT", "NO", "GB", "AR", "BR"] {
            assert_eq!(read(number, code).as_deref(), Some(number), "{number} from {code}");
            let shown = PhoneNumber::parse(number, region(code)).unwrap().display(region(code));
            assert_eq!(read(&shown, code).as_deref(), Some(number), "{shown} from {code}");
        }
    }
}

#[test]
fn trunk_prefixes_go_and_zeros_that_belong_stay() {
    for (raw, code, number) in [
        ("+44 (0) 20 7946 0958", "US", "+442079460958"),
        ("+49 (0)151 12345678", "US", "+4915112345678"),
        ("+34 (0) 912 345 678", "US", "+34912345678"),
        ("+39 (0)6 1234 5678", "US", "+390612345678"),
        ("+7 8 495 123-45-67", "US", "+74951234567"),
        ("+7 (8) 495 123-45-67", "DE", "+74951234567"),
        ("8 (812) 123-45-67", "RU", "+78121234567"),
        ("8 10 49 151 12345678", "RU", "+4915112345678"),
        ("8~10 49 151 12345678", "RU", "+4915112345678"),
        ("8 800 123-45-67", "RU", "+78001234567"),
        ("392 123 4567", "IT", "+393921234567"),
        ("47 16 17 46", "NO", "+4747161746"),
        ("011 49 151 12345678", "US", "+4915112345678"),
        ("0049 151 12345678", "DE", "+4915112345678"),
        ("0049 151 12345678", "US", "+4915112345678"),
        ("4915112345678", "US", "+4915112345678"),
        ("0151 12345678", "DE", "+4915112345678"),
        ("030 / 1234567", "DE", "+49301234567"),
        ("030/1234567", "DE", "+49301234567"),
    ] {
        assert_eq!(read(raw, code).as_deref(), Some(number), "{raw} in {code}");
    }
}

#[test]
fn several_numbers_in_one_text_are_all_read() {
    let both = ["+14165550311", "+14165550911"];
    for divider in
        [" ::: ", "; ", ";", " / ", "/", ", ", ",", "\n", "\r\n", " or ", " | ", " oder ", " & ", " (home) / "]
    {
        assert_eq!(all(&format!("416-555-0311{divider}416-555-0911"), "US"), both, "{divider:?}");
        assert_eq!(all(&format!("4165550311{divider}+14165550911"), "US"), both, "{divider:?}");
    }
    assert_eq!(all("Home: 416-555-0311, Cell: 416-555-0911 x12", "US"), both);
    assert_eq!(all("call 416-555-0311 before 5, later 416-555-0911", "US"), both);
    assert_eq!(all("416/555-0311 / 416/555-0911", "US"), both);
    assert_eq!(all("030/1234567", "DE"), ["+49301234567"], "a slash inside a number");
    assert_eq!(all("030 1234567 / 030 2345678", "DE"), ["+49301234567", "+49302345678"]);
    assert_eq!(all("030 1234567, 030 2345678", "DE"), ["+49301234567", "+49302345678"]);
    assert_eq!(all("416-555-0311; 416-555-0311", "US"), ["+14165550311"], "each once");
    assert_eq!(all("416-555-0311; anonymous; 101", "US"), ["+14165550311"]);
    for none in ["order 4165551234-77", "+1855201XXXX", "", "Ann Lee", "416-555-XXXX; 416-555-****", "4.16555E+09"] {
        assert_eq!(all(none, "US"), Vec::<String>::new(), "{none}");
    }
}

/// Hidden callers, in every language.
const HIDDEN: &[&str] = &[
    "",
    " ",
    "anonymous",
    "Anonymous",
    "Restricted",
    "Private Number",
    "PRIVATE",
    "Out of Area",
    "Out Of Area",
    "-1",
    "+0",
    "0",
    "0000000000",
    "+10000000000",
    "Unknown",
    "Unknown Caller",
    "unavailable",
    "UNAVAILABLE",
    "Blocked",
    "Caller ID Blocked",
    "No Caller ID",
    "withheld",
    "Number Withheld",
    "Anonyme",
    "Num\u{e9}ro masqu\u{e9}",
    "Appel masqu\u{e9}",
    "Num\u{e9}ro priv\u{e9}",
    "Inconnu",
    "Unterdr\u{fc}ckt",
    "Unbekannt",
    "Rufnummer unterdr\u{fc}ckt",
    "Anonym",
    "N\u{fa}mero oculto",
    "N\u{fa}mero desconocido",
    "Privado",
    "An\u{f3}nimo",
    "Numero sconosciuto",
    "Numero privato",
    "Anonimo",
    "N\u{fa}mero desconhecido",
    "An\u{f4}nimo",
    "Anoniem",
    "Onbekend nummer",
    "Afgeschermd",
    "Skjult nummer",
    "Dolt nummer",
    "Numer zastrze\u{17c}ony",
    "sip:anonymous@anonymous.invalid",
    "anonymous@anonymous.invalid",
    "sip:unknown@pbx.example.com",
    "\"Anonymous\" <sip:anonymous@anonymous.invalid>",
    "tel:anonymous",
    "sip:restricted@10.0.0.1",
    "Not Available",
    "N/A",
    "\u{533f}\u{540d}",
    "\u{975e}\u{901a}\u{77e5}",
    "PrivateNumber",
    "null",
    "+",
    "-",
];
/// Callers who are not, although they are no public numbers or hold such a word.
const NOT_HIDDEN: &[&str] = &[
    "+14165551234",
    "101",
    "411",
    "100",
    "Private Bank",
    "Unknown Union",
    "sip:101@pbx.example.com",
    "+1855201XXXX",
    "Ann",
];

#[test]
fn a_hidden_caller_is_known_in_every_language() {
    for raw in HIDDEN {
        assert!(is_withheld(raw), "{raw}");
    }
    for raw in NOT_HIDDEN {
        assert!(!is_withheld(raw), "{raw}");
    }
}

#[test]
fn a_word_on_a_keypad_is_no_number_where_the_name_says_so_too() {
    for (number, name) in [
        ("266696687", "Anonymous"),
        ("2562533", "BLOCKED"),
        ("+17378742833", "Restricted"),
        ("7378742833", "RESTRICTED"),
        ("8656696", "Unknown"),
        ("7748283", "Private"),
        ("86282452253", "Unavailable"),
        ("266696687", "Sales - Anonymous"),
    ] {
        assert!(is_withheld_caller(number, is_withheld_name(name)), "{number} {name}");
        assert!(!is_withheld_caller(number, false) && !is_withheld_name("Ann Lee"), "{number}");
    }
    assert!(!is_withheld_caller("+14165551234", is_withheld_name("Anonymous")), "the number is there all the same");
    assert!(
        is_withheld_name("Sales - Anonymous")
            && !is_withheld_name("Sales - Ann")
            && !is_withheld_name("Anonymous Sales")
    );
}

#[test]
fn a_renumbered_line_is_a_counterpart() {
    for (old, new, code) in [
        ("+54 11 2345-6702", "+5491123456702", "US"),
        ("11 2345-6706", "+5491123456706", "AR"),
        ("+52 1 55 1234 5601", "+525512345601", "US"),
        ("044 55 1234 5603", "+525512345603", "MX"),
        ("045 55 1234 5603", "+525512345603", "MX"),
        ("01 55 1234 5603", "+525512345603", "MX"),
        ("+55 11 8765-4303", "+5511987654303", "US"),
        ("(11) 8765-4303", "+5511987654303", "BR"),
        ("+225 07 12 34 01", "+2250707123401", "US"),
        ("07 12 34 01", "+2250707123401", "CI"),
        ("+229 97 12 34 56", "+2290197123456", "US"),
        ("+57 1 234 5678", "+576012345678", "US"),
    ] {
        let [old, new] = [old, new].map(|raw| PhoneNumber::parse(raw, region(code)).unwrap_or_else(|| panic!("{raw}")));
        assert_ne!(old, new);
        assert!(
            new.counterparts().contains(&old) && old.counterparts().contains(&new),
            "{} {}",
            old.e164(),
            new.e164()
        );
    }
    for number in ["+14165551234", "+4915112345678", "+551133334444"] {
        assert_eq!(PhoneNumber::parse(number, region("US")).unwrap().counterparts(), Vec::new(), "{number}");
    }
}

#[test]
fn numbers_are_shown_national_at_home_and_international_abroad() {
    let show = |raw: &str, code: &str| PhoneNumber::parse(raw, Region::default()).unwrap().display(region(code));
    assert_eq!(show("+14165551234", "US"), "(416) 555-1234");
    assert_eq!(show("+442079460958", "US"), "+44 20 7946 0958");
    assert_eq!(show("+14165551234", "GB"), "+1 416-555-1234");
    assert_eq!(show("+5491123456702", "AR"), "+54 9 11 2345-6702", "the national form has 15 instead of 9");
}

#[test]
fn a_number_never_shows_in_debug_output() {
    let number = PhoneNumber::parse("+14165551234", Region::default()).unwrap();
    assert!(!format!("{number:?}").contains("416555"));
}

#[test]
fn a_region_is_a_country_with_telephones() {
    for code in ["US", "us", "Gb", "DE"] {
        assert!(code.parse::<Region>().is_ok(), "{code}");
    }
    for code in ["", "UK", "USA", "ZZ", "1", "XX"] {
        assert!(code.parse::<Region>().is_err(), "{code}");
    }
}
