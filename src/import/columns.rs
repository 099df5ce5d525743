//! Which column of a table means what, by its header, as Google Contacts, Outlook, HubSpot, Salesforce and people write it.
//!
//! Case, spaces, punctuation, accents and digits do not count: `Phone 1 - Value` is `phonevalue`. Names and ids are known by
//! their whole header. Numbers and emails come with too many qualifiers for a list, so their headers are cut into words:
//! every word must be known, and one must mean a number. `Phone 1 - Label`, `Mobile opt-in` and `Phone type` are none.

/// What is in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Column {
    /// The host application's id. The rank tells which one to take if there are several: 0 before 1.
    Id(u8),
    Name,
    FirstName,
    LastName,
    Company,
    Email,
    Number,
    /// Nothing that is imported.
    Unknown,
}

/// The best first: a person's own id, then what is an id of an account with several persons (see [`Columns::of`]).
const IDS: [&str; 4] = [
    "id uuid guid uid",
    "contactid leadid personid userid memberid recordid recordidcontact internalid",
    "customerid customernumber customerno customernr accountnumber custid clientid clientnumber externalid kundenid \
     kundennummer kundennr kdnr idclient numeroclient numclient idcliente numerocliente codigocliente",
    "accountid companyid organizationid recordidcompany",
];
/// The rank of an account's ids.
const OF_ACCOUNTS: u8 = 3;
const NAMES: &str = "\
    name fullname displayname contactname customername clientname contactfullname fileas contact customer client \
    kunde kundenname vollername anzeigename nom nomcomplet nomclient nombre nombrecompleto nombrecliente cliente";
const FIRST_NAMES: &str = "\
    firstname givenname forename first contactfirstname vorname prenom primernombre nombres nombredepila nome \
    voornaam";
const LAST_NAMES: &str = "\
    lastname familyname surname last contactlastname nachname familienname zuname nomdefamille apellido apellidos \
    apellidopaterno cognome sobrenome achternaam";
const COMPANIES: &str = "\
    company companyname organization organisation organizationname organisationname account accountname business \
    businessname associatedcompany employer firma firmenname unternehmen firmaname societe entreprise \
    raisonsociale nomentreprise empresa nombreempresa razonsocial azienda bedrijf";
/// Headers of numbers without a word that means one.
const NUMBERS: &str = "\
    callerid number numbers numero numeros nummer nummern contactnumber contactno primarynumber";

const NUMBER_WORDS: &str = "\
    phone phones telephone telephones tel mobile mobiles cell cellular landline whatsapp msisdn isdn pager \
    callback gsm telefon telefone telefonnummer rufnummer mobil mobilfunk mobiltelefon handy festnetz durchwahl \
    telefono telefonos movil celular telemovel telefoon mobiel portable";
const EMAIL_WORDS: &str = "\
    email emails mail mails courriel correo";
/// Words that change neither.
const QUALIFIERS: &str = "\
    number numbers no nr num value values line primary main home house work office business other company \
    organization account assistant assistants asst direct private personal contact customer client billing \
    shipping default preferred alternate alternative alt secondary second additional car radio tty tdd ttytdd day \
    daytime evening night emergency the and or full international address addresses adresse nummer nummern n \
    privat geschaftlich geschaeftlich dienstlich buro buero firma zentrale numero de du del d travail domicile \
    bureau professionnel personnel fixe principal trabajo casa oficina fijo particular electronico direccion";

impl Column {
    /// What this header names.
    pub fn of(header: &str) -> Self {
        let name = squashed(header);
        let is = |known: &str| known.split(' ').any(|word| word == name);
        if let Some(rank) = IDS.iter().position(|ids| is(ids)) {
            return Self::Id(rank as u8);
        }
        if is(NAMES) {
            Self::Name
        } else if is(FIRST_NAMES) {
            Self::FirstName
        } else if is(LAST_NAMES) {
            Self::LastName
        } else if is(COMPANIES) {
            Self::Company
        } else if is(NUMBERS) || is_made_of(&name, NUMBER_WORDS) {
            Self::Number
        } else if is_made_of(&name, EMAIL_WORDS) {
            Self::Email
        } else {
            Self::Unknown
        }
    }
}

/// The columns of one table.
#[derive(Clone, Debug)]
pub struct Columns {
    of: Vec<Column>,
    /// The column whose id is taken.
    pub id: Option<usize>,
}

impl Columns {
    /// Reads a header. In a table of persons the id of their account is no id of a person: two of one account would be one.
    pub fn of(header: &[String]) -> Self {
        let of: Vec<Column> = header.iter().map(|name| Column::of(name)).collect();
        let persons = of.contains(&Column::FirstName) || of.contains(&Column::LastName);
        let fits = |rank: u8| !persons || rank < OF_ACCOUNTS;
        let ids = of.iter().enumerate().filter(|(_, column)| matches!(column, Column::Id(rank) if fits(*rank)));
        let id = ids.min_by_key(|(_, column)| **column).map(|(at, _)| at);
        Self { of, id }
    }

    /// How many headers are known; a table is read with the delimiter that makes most of them known.
    pub fn known(&self) -> usize {
        self.of.iter().filter(|column| **column != Column::Unknown).count()
    }

    pub fn len(&self) -> usize {
        self.of.len()
    }

    pub fn has(&self, column: Column) -> bool {
        self.of.contains(&column)
    }

    /// Whether any column holds names, of persons or companies.
    pub fn has_names(&self) -> bool {
        [Column::Name, Column::FirstName, Column::LastName, Column::Company].iter().any(|column| self.has(*column))
    }

    /// The fields of these columns that are not empty.
    pub fn texts<'a>(&'a self, column: Column, row: &'a [String]) -> impl Iterator<Item = &'a str> {
        let fields = self.of.iter().zip(row).filter(move |(of, _)| **of == column);
        fields.map(|(_, field)| field.trim()).filter(|field| !field.is_empty())
    }

    /// Headers that are not imported.
    pub fn unknown<'a>(&'a self, header: &'a [String]) -> impl Iterator<Item = &'a str> {
        self.of.iter().zip(header).filter(|(of, _)| **of == Column::Unknown).map(|(_, name)| name.trim())
    }
}

/// Letters only, in lower case and without accents.
fn squashed(header: &str) -> String {
    let lower = header.to_lowercase().replace("e164", "");
    lower.chars().filter(|c| c.is_alphabetic()).map(without_accent).collect()
}

fn without_accent(letter: char) -> char {
    match letter {
        'à'..='å' => 'a',
        'ç' => 'c',
        'è'..='ë' => 'e',
        'ì'..='ï' => 'i',
        'ñ' => 'n',
        'ò'..='ö' | 'ø' => 'o',
        'ù'..='ü' => 'u',
        other => other,
    }
}

/// Whether `name` can be cut into known words, at least one of them of these.
fn is_made_of(name: &str, words: &str) -> bool {
    // For each length that is a cut: whether one of `words` was among those before.
    let mut cuts: Vec<Option<bool>> = vec![None; name.len() + 1];
    cuts[0] = Some(false);
    for start in 0..name.len() {
        let Some(found) = cuts[start] else { continue };
        let rest = &name[start..];
        let known = words.split(' ').map(|word| (word, true)).chain(QUALIFIERS.split(' ').map(|word| (word, found)));
        for (word, found) in known.filter(|(word, _)| rest.starts_with(*word)) {
            let cut = &mut cuts[start + word.len()];
            *cut = Some(cut.unwrap_or(false) || found);
        }
    }
    cuts[name.len()] == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(headers: &str) -> Vec<Column> {
        headers.split(',').map(Column::of).collect()
    }

    #[test]
    fn exports_of_the_usual_programs_are_known() {
        use Column::*;
        let google = "Name,Given Name,Family Name,Additional Name,Name Prefix,Organization 1 - Name,E-mail 1 - Type,\
                      E-mail 1 - Value,Phone 1 - Type,Phone 1 - Value,Phone 2 - Label,Phone 2 - Value,Address 1 - City,Notes";
        let of = [
            Name, FirstName, LastName, Unknown, Unknown, Company, Unknown, Email, Unknown, Number, Unknown, Number,
            Unknown, Unknown,
        ];
        assert_eq!(all(google), of);
        let outlook = "First Name,Middle Name,Last Name,Company,Business Phone,Business Phone 2,Home Phone,Mobile Phone,\
                       Company Main Phone,Assistant's Phone,Car Phone,TTY/TDD Phone,Business Fax,E-mail Address,\
                       E-mail Display Name,E-mail 2 Address,Business Street,Birthday,Assistant's Name";
        let of = [
            FirstName, Unknown, LastName, Company, Number, Number, Number, Number, Number, Number, Number, Number,
            Unknown, Email, Unknown, Email, Unknown, Unknown, Unknown,
        ];
        assert_eq!(all(outlook), of);
        let hubspot = "Record ID,First Name,Last Name,Email,Phone Number,Mobile Phone Number,Company Name,Lead Status,\
                       Number of times contacted,Last Activity Date,Email Domain,WhatsApp Phone Number";
        let of =
            [Id(1), FirstName, LastName, Email, Number, Number, Company, Unknown, Unknown, Unknown, Unknown, Number];
        assert_eq!(all(hubspot), of);
        let salesforce = "Account ID,Contact ID,First Name,Last Name,Account Name,Phone,Mobile,Other Phone,Home Phone,Email,\
                          Email Opt Out,Do Not Call,Mailing Street,Phone_Ext__c";
        let of = [
            Id(3),
            Id(1),
            FirstName,
            LastName,
            Company,
            Number,
            Number,
            Number,
            Number,
            Email,
            Unknown,
            Unknown,
            Unknown,
            Unknown,
        ];
        assert_eq!(all(salesforce), of);
    }

    #[test]
    fn neither_case_nor_spelling_nor_language_counts() {
        for number in [
            "PHONE",
            " phone_number ",
            "phoneNumber",
            "Mobile-Phone",
            "Tel.",
            "Tel. (Büro)",
            "Telefon geschäftlich",
            "TELEFONNUMMER",
            "Handynummer",
            "Rufnummer",
            "Téléphone portable",
            "Téléphone du domicile",
            "Teléfono móvil",
            "Número de teléfono",
            "phone_e164",
            "telephone 2",
            "Cell",
            "contact_number",
            "phones",
            "Número",
        ] {
            assert_eq!(Column::of(number), Column::Number, "{number}");
        }
        for email in ["E-Mail", "EMAIL_ADDRESS", "e-mail-adresse", "Adresse e-mail", "Correo electrónico", "Work Email"]
        {
            assert_eq!(Column::of(email), Column::Email, "{email}");
        }
        assert_eq!(all("Vorname,Nachname,Prénom,Nom,Apellidos,Firma,Kunden-Nr.,_id,ID"), {
            use Column::*;
            [FirstName, LastName, FirstName, Name, LastName, Company, Id(2), Id(0), Id(0)]
        });
        for other in
            ["", "1", "Phonetic Name", "Phone extension", "Cancelled", "Fax", "Hotel", "Address", "Number of calls"]
        {
            assert_eq!(Column::of(other), Column::Unknown, "{other}");
        }
    }

    #[test]
    fn of_several_ids_a_contacts_own_is_taken() {
        let id = |header: &str| Columns::of(&header.split(',').map(str::to_owned).collect::<Vec<_>>()).id;
        assert_eq!(id("Account ID,Contact ID,Phone"), Some(1));
        assert_eq!(id("Account ID,Account Name,Phone"), Some(0));
        assert_eq!(id("Account ID,First Name,Last Name,Phone"), None);
    }
}
