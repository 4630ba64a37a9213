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
const SECRETS: [&str; 27] = [
    "accesstoken",
    "apikey",
    "authorization",
    "authtoken",
    "bearertoken",
    "clientsecret",
    "cookie",
    "cookies",
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
    /// By the last byte, a bit for every byte before it: most names are told plain by these two.
    pairs: [u32; 32],
    /// The same of endings.
    ending_pairs: [u32; 32],
    /// By the last byte, a bit for every first one.
    firsts: [u32; 32],
}

#[derive(Debug, Clone)]
struct Entry {
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
            pairs: [0; 32],
            ending_pairs: [0; 32],
            firsts: [0; 32],
        };
        entries.iter().for_each(|(name, naming)| names.insert(name, *naming, false));
        TAILS.iter().for_each(|name| names.insert(name, Naming::Plain, true));
        SECRET_ENDINGS.iter().for_each(|ending| add_pair(&mut names.ending_pairs, ending.as_bytes()));
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
            let (first, last) = (bytes[0] & 31, bytes[bytes.len() - 1] & 31);
            add_pair(&mut self.pairs, bytes);
            self.firsts[usize::from(last)] |= 1 << first;
            // Before the last letter a separator may stand.
            self.pairs[usize::from(last)] |= 1 << (b'_' & 31) | 1 << (b'-' & 31);
        }
        let slot = self.slot(name);
        match &mut self.table[slot] {
            Some(known) => known.is_tail |= is_tail,
            empty => *empty = Some(Entry { name: name.into(), naming, is_tail }),
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
            && Folded::of(&[name]).and_then(|folded| self.entry(folded.as_str())).is_some_and(|entry| entry.is_tail)
    }

    fn is_plain_by_its_ends(&self, name: &[u8]) -> bool {
        let [first, .., before, last] = name else { return name.len() < 2 };
        let (last, before) = (usize::from(last & 31), before & 31);
        let may_be_exact = self.pairs[last] >> before & 1 & (self.firsts[last] >> (first & 31));
        (may_be_exact | self.ending_pairs[last] >> before) & 1 == 0
    }

    fn naming(&self, folded: &Folded) -> Naming {
        let name = folded.as_str();
        match self.entry(name) {
            Some(entry) if entry.naming != Naming::Plain => entry.naming,
            _ if SECRET_ENDINGS.iter().any(|ending| name.ends_with(ending)) => Naming::Secret,
            _ => Naming::Plain,
        }
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        self.table[self.slot(name)].as_ref()
    }

    /// Where `name` stands in the table, or where it may be put.
    fn slot(&self, name: &str) -> usize {
        let mask = self.table.len() - 1;
        let mut slot = hash(name.as_bytes()) as usize & mask;
        while self.table[slot].as_ref().is_some_and(|entry| *entry.name != *name) {
            slot = (slot + 1) & mask;
        }
        slot
    }
}

/// Notes the last two bytes. The low five bits of a letter are the same in both cases.
fn add_pair(pairs: &mut [u32; 32], name: &[u8]) {
    if let [.., before, last] = name {
        pairs[usize::from(last & 31)] |= 1 << (before & 31);
    }
}

/// FNV-1a: the names are short, and those in the table are ours.
fn hash(bytes: &[u8]) -> u64 {
    let mixed = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3_u64));
    mixed ^ mixed >> 32
}

/// A name in lower case without separators.
struct Folded {
    bytes: [u8; 2 * MAX_BYTES],
    length: usize,
}

impl Folded {
    /// `None` for what is too long to be a name.
    fn of(words: &[&str]) -> Option<Folded> {
        let mut folded = Folded { bytes: [0; 2 * MAX_BYTES], length: 0 };
        for word in words {
            if word.len() > MAX_BYTES || folded.length + 2 * word.len() > folded.bytes.len() {
                return None;
            }
            if word.is_ascii() { folded.push_ascii(word) } else { folded.push(word) }
        }
        Some(folded)
    }

    fn push_ascii(&mut self, word: &str) {
        for byte in word.bytes() {
            self.bytes[self.length] = byte.to_ascii_lowercase();
            self.length += usize::from(!matches!(byte, b'_' | b'-' | b' '));
        }
    }

    fn push(&mut self, word: &str) {
        let letters = word.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase);
        for letter in letters {
            let letter = if letter == 'ё' { 'е' } else { letter };
            let mut buffer = [0; 4];
            let bytes = letter.encode_utf8(&mut buffer).as_bytes();
            // Twice the room is enough for every letter but a few that are in no name of ours.
            if let Some(room) = self.bytes.get_mut(self.length..self.length + bytes.len()) {
                room.copy_from_slice(bytes);
                self.length += bytes.len();
            }
        }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

/// Whether such a field holds pairs with spaces between, so that in a text it goes to the end of the line.
pub(super) fn is_cookie(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.len() >= 6 && bytes[bytes.len() - 6..].eq_ignore_ascii_case(b"cookie")
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
