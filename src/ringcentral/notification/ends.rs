//! Who calls and who is called: the two ends of a leg.

use serde_json::Value;

use super::Envelope;
use super::codes::{extension_id, text};
use crate::call::Endpoint;
use crate::phone::{PhoneNumber, is_withheld, is_withheld_caller, is_withheld_name};

impl Envelope<'_> {
    /// One end of a call. It is an object, a plain text with its name beside it, or a list of either.
    pub(super) fn end_of(&self, call: &Value, field: &str, name_field: &str) -> Endpoint {
        let end = match &call[field] {
            Value::Array(ends) => ends.first().unwrap_or(&Value::Null),
            end => end,
        };
        let name = text(&end["name"]).or_else(|| text(&call[name_field]));
        let number = [end, &end["phoneNumber"], &end["extensionNumber"]].into_iter().find_map(text);
        Endpoint { extension_id: extension_id(end), ..self.end(number, name) }
    }

    fn end(&self, number: Option<String>, name: Option<String>) -> Endpoint {
        // "Sales - Anonymous" is how a queue announces a caller who hides the number.
        let named_withheld = name.as_deref().is_some_and(is_withheld_name);
        if number.as_deref().is_some_and(|number| is_withheld_caller(number, named_withheld)) {
            return Endpoint::default();
        }
        let name = name.filter(|name| !named_withheld && !is_withheld(name));
        let Some(raw) = number else { return Endpoint { name, ..Endpoint::default() } };
        if name.is_none() && !raw.contains(|c: char| c.is_ascii_digit() || matches!(c, '@' | ':')) {
            return Endpoint { name: Some(raw), ..Endpoint::default() };
        }
        let parsed = PhoneNumber::parse(&raw, self.region);
        // A number stays as RingCentral wrote it, but a URI ("tel:+1416…", "sip:+1416…@pbx") is an address of one.
        let written = parsed.as_ref().filter(|_| raw.contains([':', '@'])).map(PhoneNumber::e164);
        let display = parsed.map(|number| number.display(self.region));
        Endpoint { number: Some(written.unwrap_or(raw)), display, name, extension_id: None }
    }
}
