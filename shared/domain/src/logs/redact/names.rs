//! Names of fields whose value is a secret or personal, whatever it looks like. Spelling does not matter:
//! `firstName`, `first-name` and `FIRST_NAME` are one name.

use super::kind::Kind;

/// What the name of a field tells of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// Nothing.
    Plain,
    /// That it gives access to something.
    Secret,
    /// That it is personal, and what it is.
    Personal(Kind),
}

/// Names of secrets, folded: in lower case and without `_` and `-`.
const SECRETS: [&str; 29] = [
    "accesstoken",
    "apikey",
    "authorization",
    "authtoken",
    "bearertoken",
    "clientsecret",
    "cookie",
    "cookies",
    "passwords",
    "secrets",
    "csrftoken",
    "cvc",
    "cvv",
    "cvv2",
    "idtoken",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "proxyauthorization",
    "pwd",
    "refreshtoken",
    "secret",
    "secretaccesskey",
    "secretkey",
    "sessiontoken",
    "setcookie",
    "token",
    "пароль",
];

/// Endings that leave no doubt: `x-api-key`, `new_password`, `awsSecretAccessKey`.
const SECRET_ENDINGS: [&str; 8] =
    ["accesskey", "accesstoken", "apikey", "authtoken", "clientsecret", "passwd", "password", "privatekey"];

/// Names of what belongs to a person.
const PERSONAL: [(Kind, &[&str]); 10] = [
    (Kind::Email, &["email", "emailaddress", "useremail", "почта", "электроннаяпочта"]),
    (
        Kind::Phone,
        &["phone", "phonenumber", "telephone", "telephonenumber", "mobilephone", "mobilenumber", "cellphone"],
    ),
    (Kind::Phone, &["homephone", "workphone", "userphone", "userphonenumber", "msisdn", "телефон", "номертелефона"]),
    (
        Kind::Passport,
        &["passport", "passportnumber", "passportno", "passportseries", "passportdata", "паспорт", "номерпаспорта"],
    ),
    (Kind::Inn, &["inn", "innnumber", "taxid", "taxpayerid", "инн"]),
    (Kind::Snils, &["snils", "snilsnumber", "снилс"]),
    (Kind::Card, &["cardnumber", "cardno", "pan", "номеркарты"]),
    (Kind::Account, &["accountnumber", "accountno", "bankaccount", "bankaccountnumber", "iban", "номерсчета"]),
    (
        Kind::Name,
        &[
            "firstname",
            "lastname",
            "middlename",
            "givenname",
            "familyname",
            "maidenname",
            "patronymic",
            "surname",
            "fullname",
            "fio",
            "cardholder",
            "фио",
            "имя",
            "фамилия",
            "отчество",
        ],
    ),
    (Kind::BirthDate, &["birthdate", "dateofbirth", "birthday", "dob", "датарождения", "деньрождения"]),
];

/// Whose field it may be: `buyer_name`, `clientInn`.
const PERSONS: [&str; 19] = [
    "applicant",
    "beneficiary",
    "borrower",
    "buyer",
    "cardholder",
    "client",
    "contact",
    "customer",
    "employee",
    "guarantor",
    "landlord",
    "owner",
    "payee",
    "payer",
    "person",
    "recipient",
    "seller",
    "signer",
    "tenant",
];

/// Whether a field called `name` is one of [`PERSONS`], or several, or a user.
pub(super) fn is_person(name: &str) -> bool {
    let one = name.strip_suffix('s').unwrap_or(name);
    PERSONS.iter().chain(&["user"]).any(|person| person.eq_ignore_ascii_case(one))
}

/// What a person may have, and where `name` is the person's, which alone it is not.
const OF_PERSONS: [(Kind, &[&str]); 8] = [
    (Kind::Name, &["name", "fullname", "firstname", "lastname", "middlename", "surname", "patronymic", "fio"]),
    (Kind::Email, &["email", "emailaddress"]),
    (Kind::Phone, &["phone", "phonenumber"]),
    (Kind::Passport, &["passport", "passportnumber", "passportseries"]),
    (Kind::Inn, &["inn"]),
    (Kind::Snils, &["snils"]),
    (Kind::BirthDate, &["birthdate", "dateofbirth"]),
    (Kind::Address, &["address"]),
];

/// Postal addresses. One that looks like a host's is told apart by its value.
const ADDRESSES: [&str; 15] = [
    "address",
    "postaladdress",
    "homeaddress",
    "streetaddress",
    "mailingaddress",
    "deliveryaddress",
    "shippingaddress",
    "billingaddress",
    "legaladdress",
    "registrationaddress",
    "residenceaddress",
    "адрес",
    "адресдоставки",
    "адреспроживания",
    "адресрегистрации",
];

/// Last words of names that are written with spaces: `date of birth: ...`.
const TAILS: [&str; 12] = [
    "name",
    "number",
    "birth",
    "date",
    "key",
    "рождения",
    "проживания",
    "регистрации",
    "доставки",
    "телефона",
    "карты",
    "счета",
];

/// Longer names are none.
pub(super) const MAX_BYTES: usize = 64;

/// The names that tell something.
#[derive(Debug, Clone)]
pub struct FieldNames {
    /// Open addressing; its length is a power of two, and more than half of it is empty.
    table: Vec<Option<Entry>>,
    /// How the names end: most names are told plain by their last letters.
    ends: Ends,
    /// The same of endings of names.
    ending_ends: Ends,
    /// By the last letter, a bit for every first one.
    firsts: [u32; LETTERS],
}

#[derive(Debug, Clone)]
struct Entry {
    hash: u64,
    name: Box<str>,
    naming: Naming,
    is_tail: bool,
}

impl Default for FieldNames {
    fn default() -> Self {
        FieldNames::new([])
    }
}

impl FieldNames {
    /// The names that are known without being told, and `extra` ones, which win.
    pub fn new(extra: impl IntoIterator<Item = (String, Kind)>) -> FieldNames {
        let mut entries: Vec<(String, Naming)> = Vec::new();
        let mut add = |name: String, kind| {
            let naming = if kind == Kind::Secret { Naming::Secret } else { Naming::Personal(kind) };
            entries.push((name, naming));
        };
        extra.into_iter().for_each(|(name, kind)| add(name, kind));
        SECRETS.iter().for_each(|name| add((*name).to_owned(), Kind::Secret));
        ADDRESSES.iter().for_each(|name| add((*name).to_owned(), Kind::Address));
        PERSONAL.iter().for_each(|(kind, names)| names.iter().for_each(|name| add((*name).to_owned(), *kind)));
        for person in PERSONS {
            OF_PERSONS.iter().for_each(|(kind, names)| {
                names.iter().for_each(|name| add(format!("{person}{name}"), *kind));
            });
        }
        let mut names = FieldNames {
            table: vec![None; (2 * (entries.len() + TAILS.len())).next_power_of_two()],
            ends: Ends::default(),
            ending_ends: Ends::default(),
            firsts: [0; LETTERS],
        };
        entries.iter().for_each(|(name, naming)| names.insert(name, *naming, false));
        TAILS.iter().for_each(|name| names.insert(name, Naming::Plain, true));
        SECRET_ENDINGS.iter().for_each(|ending| names.ending_ends.add(ending.as_bytes()));
        names
    }

    fn insert(&mut self, name: &str, naming: Naming, is_tail: bool) {
        let Some(folded) = Folded::of(&[name]) else { return };
        let name = folded.as_str();
        if name.is_empty() {
            return;
        }
        for spelling in [name.to_owned(), name.to_uppercase()] {
            let bytes = spelling.as_bytes();
            self.ends.add(bytes);
            self.ends.add_separated(bytes);
            self.firsts[letter(bytes[bytes.len() - 1])] |= 1 << letter(bytes[0]);
        }
        let slot = self.slot(&folded);
        match &mut self.table[slot] {
            Some(known) => known.is_tail |= is_tail,
            empty => *empty = Some(Entry { hash: folded.hash(), name: name.into(), naming, is_tail }),
        }
    }

    /// What `name` tells of its value. It takes a few nanoseconds for most names, and allocates nothing.
    pub fn of(&self, name: &str) -> Naming {
        if self.is_plain_by_its_ends(name.as_bytes()) {
            return Naming::Plain;
        }
        Folded::of(&[name]).map_or(Naming::Plain, |folded| self.naming(&folded))
    }

    /// The same of the words of a name that is written with spaces.
    pub(super) fn of_words(&self, words: &[&str]) -> Naming {
        Folded::of(words).map_or(Naming::Plain, |folded| self.naming(&folded))
    }

    /// Whether `name` may be the last word of a name that is written with spaces.
    pub(super) fn is_tail(&self, name: &str) -> bool {
        !self.is_plain_by_its_ends(name.as_bytes())
            && Folded::of(&[name]).and_then(|folded| self.entry(&folded)).is_some_and(|entry| entry.is_tail)
    }

    fn is_plain_by_its_ends(&self, name: &[u8]) -> bool {
        let (third, before, last) = match name {
            [.., third, before, last] => (*third, *before, *last),
            [before, last] => (b' ', *before, *last),
            _ => return true,
        };
        let may_be_exact =
            || self.firsts[letter(last)] >> letter(name[0]) & 1 == 1 && self.ends.has(third, before, last);
        !self.ending_ends.has(third, before, last) && !may_be_exact()
    }

    /// Whether a name with these last bytes tells nothing, whatever it is.
    #[inline]
    pub(super) fn is_plain_end(&self, third: u8, before: u8, last: u8) -> bool {
        !self.ends.has(third, before, last) && !self.ending_ends.has(third, before, last)
    }

    fn naming(&self, folded: &Folded) -> Naming {
        match self.entry(folded) {
            Some(entry) if entry.naming != Naming::Plain => entry.naming,
            _ if folded.has_secret_ending() => Naming::Secret,
            _ => Naming::Plain,
        }
    }

    fn entry(&self, folded: &Folded) -> Option<&Entry> {
        self.table[self.slot(folded)].as_ref()
    }

    /// Where the name stands in the table, or where it may be put.
    fn slot(&self, folded: &Folded) -> usize {
        let (hash, mask) = (folded.hash(), self.table.len() - 1);
        let mut slot = (hash >> 32) as usize & mask;
        while let Some(entry) = &self.table[slot]
            && (entry.hash != hash || entry.name.as_bytes() != folded.bytes())
        {
            slot = (slot + 1) & mask;
        }
        slot
    }
}

/// How many letters are told apart.
const LETTERS: usize = 32;

/// What stands for separators, and for whatever is no letter.
const SEPARATOR: usize = 31;

/// A number for a letter, the same in both cases. Bytes that are no ASCII share the numbers of letters.
const fn letter(byte: u8) -> usize {
    if byte.is_ascii_alphabetic() || byte >= 0x80 { byte as usize % LETTERS } else { SEPARATOR }
}

const LETTER: [u8; 256] = {
    let mut letters = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        letters[byte] = letter(byte as u8) as u8;
        byte += 1;
    }
    letters
};

/// The last three letters of names: by the last two, a bit for every one before them.
#[derive(Debug, Clone)]
struct Ends(Box<[u32; LETTERS * LETTERS]>);

impl Default for Ends {
    fn default() -> Self {
        Ends(Box::new([0; LETTERS * LETTERS]))
    }
}

impl Ends {
    /// Notes a name's end. One of two letters may have anything before it.
    fn add(&mut self, name: &[u8]) {
        match name {
            [.., third, before, last] => self.0[letter(*before) * LETTERS + letter(*last)] |= 1 << letter(*third),
            [before, last] => self.0[letter(*before) * LETTERS + letter(*last)] = u32::MAX,
            _ => {}
        }
    }

    /// Notes the ends of a name that has a separator among its last letters.
    fn add_separated(&mut self, name: &[u8]) {
        if let [.., before, last] = name {
            self.0[letter(*before) * LETTERS + letter(*last)] |= 1 << SEPARATOR;
            self.0[SEPARATOR * LETTERS + letter(*last)] = u32::MAX;
        }
    }

    #[inline]
    fn has(&self, third: u8, before: u8, last: u8) -> bool {
        let code = |byte: u8| usize::from(LETTER[usize::from(byte)]);
        self.0[(code(before) * LETTERS + code(last)) % (LETTERS * LETTERS)] >> (code(third) % LETTERS) & 1 == 1
    }
}

/// A name in lower case without separators.
struct Folded {
    bytes: [u8; ROOM],
    length: usize,
}

/// Bytes of a folded name, with a few that lower case may add, and eight to read words from.
const ROOM: usize = MAX_BYTES + 16;

impl Folded {
    /// `None` for what is too long to be a name.
    fn of(words: &[&str]) -> Option<Folded> {
        if words.iter().map(|word| word.len()).sum::<usize>() > MAX_BYTES {
            return None;
        }
        let mut folded = Folded { bytes: [0; ROOM], length: 0 };
        for word in words {
            if word.is_ascii() { folded.push_ascii(word.as_bytes()) } else { folded.push(word) }
        }
        Some(folded)
    }

    fn push_ascii(&mut self, word: &[u8]) {
        for byte in word {
            // Letters are lowered by a bit; digits have it, and what else there is makes no name of ours.
            self.bytes[self.length] = byte | 0x20;
            self.length += usize::from(!matches!(byte, b'_' | b'-' | b' '));
        }
        // A separator at the end was written and not counted.
        self.bytes[self.length] = 0;
    }

    fn push(&mut self, word: &str) {
        let letters = word.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase);
        for letter in letters {
            let letter = if letter == 'ё' { 'е' } else { letter };
            // Lower case is longer for a few letters only, which are in no name of ours.
            if self.length + letter.len_utf8() <= MAX_BYTES {
                self.length += letter.encode_utf8(&mut self.bytes[self.length..]).len();
            }
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(self.bytes()).unwrap_or_default()
    }

    fn has_secret_ending(&self) -> bool {
        SECRET_ENDINGS.iter().any(|ending| self.bytes().ends_with(ending.as_bytes()))
    }

    /// Of the first and the last eight bytes and the length: good enough to keep a few hundred names apart.
    fn hash(&self) -> u64 {
        let word = |at: usize| self.bytes[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let (first, last) = (word(0), word(self.length.saturating_sub(8)));
        let mixed = (first ^ last.rotate_left(29) ^ self.length as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ mixed >> 32
    }
}

/// Whether such a field holds pairs with spaces between, so that in a text it goes to the end of the line.
pub(super) fn is_cookie(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.len() >= 6 && bytes[bytes.len() - 6..].eq_ignore_ascii_case(b"cookie")
}

/// A list of field names that can not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no field name; names are separated by commas, and have no spaces and no quotes in them")]
pub struct NotAFieldName(String);

/// The names in `full_name, nick_name`; none in the empty text.
///
/// # Errors
///
/// Where one of them can not be the name of a field.
pub fn field_names(list: &str) -> Result<Vec<String>, NotAFieldName> {
    let is_name = |name: &str| !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '"' || c == '\'');
    let names = list.split(',').map(str::trim).filter(|_| !list.trim().is_empty());
    names.map(|name| if is_name(name) { Ok(name.to_owned()) } else { Err(NotAFieldName(name.to_owned())) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_does_not_matter() {
        let names = FieldNames::default();
        for name in [
            "accessToken",
            "x-api-key",
            "privateKey",
            "set-cookie",
            "clientSecret",
            "PASSWORD",
            "DB_PASSWORD",
            "Пароль",
            "ПАРОЛЬ",
        ] {
            assert_eq!(names.of(name), Naming::Secret, "{name}");
        }
        for (name, kind) in [
            ("firstName", Kind::Name),
            ("FIRST_NAME", Kind::Name),
            ("f-i-o", Kind::Name),
            ("ФИО", Kind::Name),
            ("buyer_name", Kind::Name),
            ("clientFullName", Kind::Name),
            ("sellerInn", Kind::Inn),
            ("passport_number", Kind::Passport),
            ("Phone", Kind::Phone),
            ("e-mail", Kind::Email),
            ("dob", Kind::BirthDate),
            ("Дата_рождения", Kind::BirthDate),
            ("номер_счёта", Kind::Account),
            ("postal-address", Kind::Address),
            ("CARD_NUMBER", Kind::Card),
        ] {
            assert_eq!(names.of(name), Naming::Personal(kind), "{name}");
        }
    }

    #[test]
    fn names_that_only_look_alike_are_plain() {
        let names = FieldNames::default();
        for name in [
            "token_count",
            "token_type",
            "passwords_changed",
            "author",
            "key",
            "secretary",
            "",
            "n",
            "name",
            "username",
            "user_name",
            "service_name",
            "file_name",
            "hostname",
            "passport_id",
            "phone_id",
            "email_sent",
            "status",
            "ip_address",
            "mac_address",
            "birth",
            "number",
            "address_id",
            "имя_файла",
            "___",
            &"x".repeat(65),
        ] {
            assert_eq!(names.of(name), Naming::Plain, "{name}");
        }
    }

    #[test]
    fn configured_names_win_and_may_be_secret() {
        let extra = [("Tenant-Label", Kind::Personal), ("pin", Kind::Secret), ("token", Kind::Token), ("", Kind::Name)];
        let names = FieldNames::new(extra.map(|(name, kind)| (name.to_owned(), kind)));
        assert_eq!(names.of("tenant_label"), Naming::Personal(Kind::Personal));
        assert_eq!(names.of("PIN"), Naming::Secret);
        assert_eq!(names.of("token"), Naming::Personal(Kind::Token));
        assert_eq!(names.of("surname"), Naming::Personal(Kind::Name));
        assert_eq!(names.of(""), Naming::Plain);
    }

    #[test]
    fn every_name_passes_the_filter_in_any_case() {
        let names = FieldNames::default();
        for entry in names.table.iter().flatten().filter(|entry| entry.naming != Naming::Plain) {
            for spelling in [entry.name.to_string(), entry.name.to_uppercase()] {
                assert_eq!(names.of(&spelling), entry.naming, "{spelling}");
            }
        }
    }
}
