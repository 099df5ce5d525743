//! Telephone numbers of every country, in the spellings people use: read, shown, stored and recognised without a digit lost.

use std::collections::{BTreeMap, HashMap};

use caller_popup::customer::Match;
use caller_popup::phone::{PhoneNumber, Region};
use caller_popup::store::Store;
use mongodb::bson::{Document, doc};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use rlibphonenumber::{
    PHONE_NUMBER_UTIL, PhoneNumber as Parsed, PhoneNumberFormat as Format, PhoneNumberType, Region as Country,
};
use rusqlite::{Connection, params};

use crate::support::{self, Setup, eventually, own_store};

/// Countries whose people set `DEFAULT_REGION`: one with 1, one with 00 and zeros, one with 8 and 8~10, one that keeps its zeros,
/// one with long national numbers, one without a trunk prefix.
const REGIONS: [&str; 6] = ["US", "DE", "RU", "IT", "GB", "ES"];
/// Numbers that are stored and called on each store. `NUMBERS=100000` is the long run.
const NUMBERS: usize = 1_500;
/// Customers in the collection at a time: the lookup reads them all.
const BLOCK: usize = 250;

on_both_stores! {
    whoever_calls_is_found_under_the_number_that_was_written_down,
    a_renumbered_line_is_a_possible_match,
    several_numbers_of_one_field_are_all_found,
}

const TYPES: [PhoneNumberType; 11] = [
    PhoneNumberType::FixedLine,
    PhoneNumberType::Mobile,
    PhoneNumberType::FixedLineOrMobile,
    PhoneNumberType::TollFree,
    PhoneNumberType::PremiumRate,
    PhoneNumberType::SharedCost,
    PhoneNumberType::VoIP,
    PhoneNumberType::PersonalNumber,
    PhoneNumberType::Pager,
    PhoneNumberType::UAN,
    PhoneNumberType::VoiceMail,
];

fn examples() -> Vec<(Country, Parsed)> {
    let mut examples = Vec::new();
    for country in PHONE_NUMBER_UTIL.get_supported_regions() {
        let of_types = TYPES.into_iter().filter_map(|kind| {
            PHONE_NUMBER_UTIL.get_example_number_for_type_and_region(country, kind).ok().filter(Parsed::is_valid)
        });
        examples.extend(of_types.map(|number| (country, number)));
    }
    examples
}

fn code(country: Country) -> String {
    format!("{country:?}")
}

/// The spellings that do not depend on where the reader is.
fn international(number: &Parsed) -> Vec<String> {
    let e164 = number.format_as(Format::E164).into_owned();
    let shown = number.format_as(Format::International).into_owned();
    let mut spellings = vec![
        shown.replace([' ', '-'], "."),
        shown.replace(' ', "-"),
        format!("{shown} x12"),
        format!("{shown} ext. 1234"),
        format!("{e164}*104"),
        format!("Mobile: {shown}"),
        format!("{shown} (work)"),
        format!("sip:{e164}@pbx.example.com"),
        number.format_as(Format::RFC3966).into_owned(),
        format!("{};ext=12", number.format_as(Format::RFC3966)),
    ];
    // What the national form has in front of the number is dialled inside the country only.
    let digits: String = number.format_as(Format::National).chars().filter(char::is_ascii_digit).collect();
    let national = rlibphonenumber::get_national_significant_number_owned(number);
    let trunk = digits.strip_suffix(&national).filter(|trunk| (1..=2).contains(&trunk.len()));
    if let Some((trunk, (code, rest))) = trunk.zip(shown.split_once(' ')) {
        spellings.push(format!("{code} ({trunk}) {rest}"));
        spellings.push(format!("{code} ({trunk}){rest}"));
    }
    spellings.extend([e164, shown]);
    spellings
}

/// The spellings of people in the number's own country.
fn national(number: &Parsed) -> Vec<String> {
    let shown = number.format_as(Format::National).into_owned();
    vec![
        shown.replace(' ', "-"),
        shown.replace([' ', '-', '(', ')'], ""),
        format!("{shown} x12"),
        format!("Tel. {shown}"),
        shown,
    ]
}

fn is_read_as(e164: &str, written: &str, region: &str) -> Result<(), String> {
    let region: Region = region.parse().unwrap();
    let read = PhoneNumber::parse(written, region);
    let found = read.as_ref().map(PhoneNumber::e164);
    if found.as_deref() != Some(e164) {
        return Err(format!("{written:?} in {region} is {found:?} and not {e164}"));
    }
    let shown = read.expect("it was read").display(region);
    let again = PhoneNumber::parse(&shown, region).map(|number| number.e164());
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let national = PhoneNumber::parse(e164, region).expect("it was read").national().to_owned();
    if again.as_deref() != Some(e164) || !digits(&shown).ends_with(&national) {
        return Err(format!("{e164} is shown as {shown:?} in {region}, and that is {again:?}"));
    }
    Ok(())
}

#[test]
fn every_spelling_of_every_regions_examples_is_the_same_number_and_loses_no_digit() {
    let mut wrong = Vec::new();
    let mut checked = 0;
    for (country, number) in examples() {
        let e164 = number.format_as(Format::E164).into_owned();
        for region in REGIONS {
            let home = number.country_code
                == PHONE_NUMBER_UTIL.get_country_code_for_region(region.parse().unwrap()).expect("it has a code");
            let at_home = home && number.format_as(Format::E164).len() > 8;
            let spellings =
                international(&number).into_iter().chain(at_home.then(|| national(&number)).into_iter().flatten());
            for written in spellings {
                checked += 1;
                wrong.extend(is_read_as(&e164, &written, region).err());
            }
        }
        let own = PHONE_NUMBER_UTIL.get_country_code_for_region(country) == Some(number.country_code);
        let long = PhoneNumber::parse(&e164, Region::default()).is_some_and(|number| number.national().len() >= 6);
        if own && long {
            wrong.extend(
                national(&number).iter().filter_map(|written| is_read_as(&e164, written, &code(country)).err()),
            );
        }
    }
    assert!(wrong.is_empty(), "{} of {checked}: {:#?}", wrong.len(), &wrong[..wrong.len().min(40)]);
}

#[test]
fn two_numbers_never_share_a_key() {
    let mut random = StdRng::seed_from_u64(7);
    let numbers = valid_numbers(&mut random, 5_000);
    let mut keys: HashMap<String, String> = HashMap::new();
    for number in &numbers {
        for region in REGIONS {
            let key = PhoneNumber::parse(number, region.parse().unwrap()).map(|number| number.e164());
            assert_eq!(key.as_ref(), Some(number), "in {region}");
            assert_eq!(keys.entry(key.expect("it was read")).or_insert(number.clone()), number);
        }
    }
}

/// Valid numbers of all regions and types, each once: examples with other last digits.
fn valid_numbers(random: &mut impl Rng, count: usize) -> Vec<String> {
    let examples = examples();
    let mut numbers = BTreeMap::new();
    while numbers.len() < count {
        let (_, example) = &examples[random.random_range(0..examples.len())];
        let mut other = example.clone();
        let digits = other.national_number.to_string().len() as u32;
        let part = 10_u64.pow(random.random_range(1..digits.max(2)));
        other.national_number = other.national_number / part * part + random.random_range(0..part);
        if other.is_valid() {
            numbers.insert(other.format_as(Format::E164).into_owned(), ());
        }
    }
    numbers.into_keys().collect()
}

fn written_somehow(random: &mut impl Rng, number: &str, region: &str) -> String {
    let parsed = PHONE_NUMBER_UTIL.parse(number, None).unwrap();
    let mut spellings = international(&parsed);
    let home = PHONE_NUMBER_UTIL.get_country_code_for_region(region.parse().unwrap()) == Some(parsed.country_code);
    if home && parsed.national_number > 99_999 {
        spellings.extend(national(&parsed));
    }
    let one = spellings.swap_remove(random.random_range(0..spellings.len()));
    // The two that only a webhook holds are no field of a customer.
    if one.starts_with("sip:") { number.to_owned() } else { one }
}

async fn whoever_calls_is_found_under_the_number_that_was_written_down(kind: support::Store) {
    let count = std::env::var("NUMBERS").map_or(NUMBERS, |count| count.parse().unwrap());
    let mut random = StdRng::seed_from_u64(15);
    for region in ["US", "DE", "RU"] {
        let numbers = valid_numbers(&mut random, count / 3);
        for block in numbers.chunks(BLOCK) {
            let written: Vec<_> = block.iter().map(|number| written_somehow(&mut random, number, region)).collect();
            let (config, _folder) = own_store(kind);
            let config = caller_popup::config::Config { region: region.parse().unwrap(), ..config };
            let store = Store::open(&config).await.unwrap();
            put_customers(&config, &store, &written).await;
            for (index, number) in block.iter().enumerate() {
                let caller =
                    PhoneNumber::parse(number, config.region).unwrap_or_else(|| panic!("{number} cannot be read"));
                let found = store.customers_by_phone(&caller).await.unwrap();
                let exact: Vec<_> =
                    found.iter().filter(|it| it.matched != Match::Possible).map(|it| it.id.clone()).collect();
                assert_eq!(exact, [format!("c{index}")], "{number} is stored as {:?}, region {region}", written[index]);
            }
        }
    }
}

/// Customers `c0`, `c1`, … with one text each.
async fn put_customers(config: &caller_popup::config::Config, store: &Store, written: &[String]) {
    match (store, &config.mongodb) {
        (Store::Sqlite(_), _) => {
            let db = Connection::open(config.data_dir.join("caller-popup.sqlite")).unwrap();
            db.execute_batch("BEGIN").unwrap();
            for (index, text) in written.iter().enumerate() {
                let id = format!("c{index}");
                db.execute("INSERT INTO customers (id, name) VALUES (?1, ?1)", [&id]).unwrap();
                // As another version may have read them.
                let key = format!("+0{index}");
                db.execute("INSERT INTO customer_phones VALUES (?1, ?2, ?3)", params![key, id, text]).unwrap();
            }
            db.execute_batch("COMMIT").unwrap();
            store.rebuild_phone_keys().await.unwrap();
        }
        (Store::Mongo(_), Some(mongodb)) => {
            let client = mongodb::Client::with_uri_str(&mongodb.uri).await.unwrap();
            let customers = client.database(&mongodb.database).collection::<Document>("customers");
            let documents =
                written.iter().enumerate().map(|(index, text)| doc! { "_id": format!("c{index}"), "phone": text });
            customers.insert_many(documents).await.unwrap();
        }
        (Store::Mongo(_), None) => unreachable!("the settings name a database"),
    }
}

async fn a_renumbered_line_is_a_possible_match(kind: support::Store) {
    for (region, written, caller) in [
        ("AR", "+54 11 2345-6702", "+5491123456702"),
        ("AR", "11 2345-6706", "+5491123456706"),
        ("MX", "+52 1 55 1234 5601", "+525512345601"),
        ("MX", "044 55 1234 5603", "+525512345603"),
        ("BR", "+55 11 8765-4303", "+5511987654303"),
        ("CI", "+225 07 12 34 01", "+2250707123401"),
        ("US", "+229 97 12 34 56", "+2290197123456"),
    ] {
        let (config, _folder) = own_store(kind);
        let config = caller_popup::config::Config { region: region.parse().unwrap(), ..config };
        let store = Store::open(&config).await.unwrap();
        put_customers(&config, &store, &[written.to_owned()]).await;
        let caller = PhoneNumber::parse(caller, config.region).unwrap();
        let found = store.customers_by_phone(&caller).await.unwrap();
        assert_eq!(found.iter().map(|it| it.matched).collect::<Vec<_>>(), [Match::Possible], "{written} in {region}");
        let other = format!("{}9", &caller.e164()[..caller.e164().len() - 1]);
        let other = PhoneNumber::parse(&other, config.region).unwrap();
        assert!(store.customers_by_phone(&other).await.unwrap().is_empty(), "{} is another line", other.e164());
    }
}

async fn several_numbers_of_one_field_are_all_found(kind: support::Store) {
    let dividers = [" ::: ", "; ", " / ", ", ", "\n", " or "];
    let texts: Vec<String> =
        (0..).zip(dividers).map(|(row, divider)| format!("416-555-031{row}{divider}416-555-091{row}")).collect();
    let (config, _folder) = own_store(kind);
    let store = Store::open(&config).await.unwrap();
    put_customers(&config, &store, &texts).await;
    for (row, text) in texts.iter().enumerate() {
        for number in [format!("+1416555031{row}"), format!("+1416555091{row}")] {
            let caller = PhoneNumber::parse(&number, config.region).unwrap();
            let found = store.customers_by_phone(&caller).await.unwrap();
            let found: Vec<_> = found.iter().map(|it| (it.id.as_str(), it.matched)).collect();
            assert_eq!(found, [(format!("c{row}").as_str(), Match::Exact)], "{number} in {text:?}");
        }
    }
}

/// A file as the version before this one left it: +49 151 … stands under the key of another number.
#[tokio::test]
async fn keys_of_an_older_version_are_rebuilt_once() {
    let mut app = Setup::on(support::Store::Sqlite).start().await;
    app.kill().await;
    let path = app.data_dir().join("caller-popup.sqlite");
    let db = Connection::open(&path).unwrap();
    db.execute("DELETE FROM settings WHERE key = 'phone_keys'", []).unwrap();
    for (id, key, written) in [
        ("ann", "+495112345678", "+49 151 12345678"),
        ("bob", "+495111111111", "0511 1111111"),
        ("cat", "+14165550100", "416-555-0100"),
    ] {
        db.execute("INSERT INTO customers (id, name) VALUES (?1, ?1)", [id]).unwrap();
        db.execute("INSERT INTO customer_phones VALUES (?1, ?2, ?3)", params![key, id, written]).unwrap();
    }
    app.restart().await;
    eventually("the keys", async || {
        let keys = "SELECT group_concat(e164, ' ') FROM (SELECT e164 FROM customer_phones ORDER BY customer_id)";
        let keys: String = db.query_row(keys, [], |row| row.get(0)).unwrap();
        keys.starts_with("+4915112345678 ").then_some(())
    })
    .await;
    app.ring("foreign", "+4915112345678").await;
    let found = async |session: &str| {
        let call = app.active_call(session).await.expect("it rings");
        call["customer_name"].as_str().map(str::to_owned).map(|name| (name, call["from_display"].clone()))
    };
    let call = eventually("the caller's name", async || found("foreign").await).await;
    assert_eq!(call, ("ann".into(), "+49 1511 2345678".into()));
    app.ring("stranger", "+495112345678").await;
    app.ring("last", "+14165550100").await;
    eventually("the name of who called last", async || found("last").await).await;
    assert_eq!(found("stranger").await, None, "another line");
}

#[tokio::test]
async fn a_file_without_the_written_numbers_is_refused_with_a_sentence() {
    let setup = Setup::on(support::Store::Sqlite);
    let folder = setup.write_file("x", "").with_file_name("data");
    std::fs::create_dir_all(&folder).unwrap();
    let db = Connection::open(folder.join("caller-popup.sqlite")).unwrap();
    db.execute_batch("CREATE TABLE customer_phones (e164 TEXT NOT NULL, customer_id TEXT NOT NULL)").unwrap();
    let (status, output) = setup.run(&["serve"]).await;
    assert!(!status.success());
    assert!(output.contains("customer_phones") && output.contains("written"), "{output}");
}
