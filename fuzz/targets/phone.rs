//! A number that is read is read again as itself.
#![no_main]

use caller_popup::phone::{PhoneNumber, Region};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|raw: &str| {
    for code in ["US", "GB", "DE", "IT"] {
        let region: Region = code.parse().expect("a country");
        if let Some(number) = PhoneNumber::parse(raw, region) {
            assert_eq!(PhoneNumber::parse(&number.e164(), region), Some(number.clone()));
            let _ = number.display(region);
        }
    }
});
