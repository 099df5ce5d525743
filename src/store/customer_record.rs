//! A customer on the way into the embedded store.

/// A customer to be imported into the embedded store.
#[derive(Clone, Debug)]
pub struct CustomerRecord {
    /// The host's id; importing it again replaces the customer.
    pub id: String,
    /// The whole name.
    pub name: Option<String>,
    /// The email address.
    pub email: Option<String>,
    /// The company, where the name is another.
    pub company: Option<String>,
    /// Their numbers, each once.
    pub numbers: Vec<WrittenNumber>,
    /// Texts in places of numbers without a readable one, each once.
    pub unreadable: Vec<String>,
    /// A further part of a customer of the same import: numbers are added, name, email and company replaced where there is one.
    pub adds: bool,
}

/// A number as it is matched and as it was written.
#[derive(Clone, Debug)]
pub struct WrittenNumber {
    /// The key.
    pub e164: String,
    /// The text that the key was read from, which may hold several numbers: keys can be derived from it again.
    pub written: String,
}
