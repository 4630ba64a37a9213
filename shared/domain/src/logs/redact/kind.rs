//! What a personal or secret value is, and the form in which two spellings of it are the same.

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// E-mail address.
    Email,
    /// Phone number.
    Phone,
    /// Number of a passport.
    Passport,
    /// Russian tax number.
    Inn,
    /// Russian number of pension insurance.
    Snils,
    /// Number of a bank card.
    Card,
    /// Number of a bank account, an IBAN included.
    Account,
    /// Bearer token or JSON web token.
    Token,
    /// Id of an AWS access key.
    AwsKey,
    /// Name of a person.
    Name,
    /// Postal address.
    Address,
    /// Date of birth.
    BirthDate,
    /// Whatever else is personal by its name.
    Personal,
    /// What gives access: a password, a key.
    Secret,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 14] = [
        Kind::Email,
        Kind::Phone,
        Kind::Passport,
        Kind::Inn,
        Kind::Snils,
        Kind::Card,
        Kind::Account,
        Kind::Token,
        Kind::AwsKey,
        Kind::Name,
        Kind::Address,
        Kind::BirthDate,
        Kind::Personal,
        Kind::Secret,
    ];

    /// Its name in what stands for a value, and in configuration.
    pub fn label(self) -> &'static str {
        match self {
            Kind::Email => "email",
            Kind::Phone => "phone",
            Kind::Passport => "passport",
            Kind::Inn => "inn",
            Kind::Snils => "snils",
            Kind::Card => "card",
            Kind::Account => "account",
            Kind::Token => "token",
            Kind::AwsKey => "aws_key",
            Kind::Name => "name",
            Kind::Address => "address",
            Kind::BirthDate => "birth_date",
            Kind::Personal => "personal",
            Kind::Secret => "secret",
        }
    }

    /// The kind with this label.
    pub fn of_label(label: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.label() == label)
    }

    /// Gives `eat` the canonical form of `value`, piece by piece: equal for every spelling of one value.
    ///
    /// E-mail addresses are URL-decoded and lower-cased; of numbers only the digits count, and a Russian
    /// phone number begins with 7; names and addresses are lower-cased, URL-decoded, with one space
    /// between words and no ё; of dates day, month and year count; tokens are as they are.
    pub(super) fn canonical(self, value: &str, eat: impl FnMut(&[u8])) {
        match self {
            Kind::Phone if has_digit(value) => phone(value, eat),
            Kind::Passport | Kind::Inn | Kind::Snils | Kind::Card if has_digit(value) => digits(value, eat),
            Kind::Account if has_digit(value) => account(value, eat),
            Kind::BirthDate => date(value, eat),
            Kind::Token | Kind::AwsKey | Kind::Secret => exact(value, eat),
            Kind::Email => text(value, false, eat),
            _ => text(value, true, eat),
        }
    }
}

fn has_digit(value: &str) -> bool {
    value.bytes().any(|byte| byte.is_ascii_digit())
}

fn exact(value: &str, mut eat: impl FnMut(&[u8])) {
    eat(value.trim().as_bytes());
}

/// The digits of `value`; those of URL escapes are none of its own.
fn digits_of(value: &str) -> impl Iterator<Item = u8> {
    let mut escape = 0;
    value.bytes().filter(move |&byte| {
        if escape > 0 {
            escape -= 1;
            return false;
        }
        escape = if byte == b'%' { 2 } else { 0 };
        byte.is_ascii_digit()
    })
}

fn digits(value: &str, mut eat: impl FnMut(&[u8])) {
    digits_of(value).for_each(|digit| eat(&[digit]));
}

/// Letters count too, for an IBAN has some.
fn account(value: &str, mut eat: impl FnMut(&[u8])) {
    let kept = value.bytes().filter(u8::is_ascii_alphanumeric);
    kept.for_each(|byte| eat(&[byte.to_ascii_uppercase()]));
}

/// 8 912..., 912... and +7 912... are one number.
fn phone(value: &str, mut eat: impl FnMut(&[u8])) {
    let (count, first) = (digits_of(value).count(), digits_of(value).next());
    let skipped = match (count, first) {
        (11, Some(b'8')) => {
            eat(b"7");
            1
        }
        (10, Some(b'9')) => {
            eat(b"7");
            0
        }
        _ => 0,
    };
    digits_of(value).skip(skipped).for_each(|digit| eat(&[digit]));
}

/// `1990-01-02...` and `02.01.1990` are one date.
fn date(value: &str, mut eat: impl FnMut(&[u8])) {
    let value = value.trim();
    let bytes = value.as_bytes();
    let is_year = |range: std::ops::Range<usize>| bytes.get(range).is_some_and(|y| y.iter().all(u8::is_ascii_digit));
    if bytes.len() >= 10 && is_year(0..4) && bytes[4] == b'-' && bytes[7] == b'-' {
        [0..4, 5..7, 8..10].into_iter().for_each(|part| eat(&bytes[part]));
    } else if bytes.len() == 10 && is_year(6..10) && matches!(bytes[2], b'.' | b'/' | b'-') {
        [6..10, 3..5, 0..2].into_iter().for_each(|part| eat(&bytes[part]));
    } else {
        text(value, true, eat);
    }
}

/// Lower-cased and URL-decoded; with `words`, white space and `+` between words are one space.
fn text(value: &str, words: bool, mut eat: impl FnMut(&[u8])) {
    let mut bytes = Decoded { bytes: value.trim().as_bytes() };
    let mut space = false;
    let mut any = false;
    while let Some(letter) = bytes.next_char() {
        if words && (letter.is_whitespace() || letter == '+') {
            space = any;
            continue;
        }
        if std::mem::take(&mut space) {
            eat(b" ");
        }
        any = true;
        for lower in letter.to_lowercase() {
            let lower = if words && lower == 'ё' { 'е' } else { lower };
            eat(lower.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

/// Text whose `%XX` are bytes.
struct Decoded<'a> {
    bytes: &'a [u8],
}

impl Decoded<'_> {
    fn next_byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.bytes.split_first()?;
        let escaped = match rest {
            [high, low, ..] if first == b'%' => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        self.bytes = if escaped.is_some() { &rest[2..] } else { rest };
        Some(escaped.unwrap_or(first))
    }

    /// The next character; what is no UTF-8 once decoded is one that stands for a mistake.
    fn next_char(&mut self) -> Option<char> {
        let first = self.next_byte()?;
        let length = match first {
            0..0x80 => return Some(char::from(first)),
            0xc0..0xe0 => 2,
            0xe0..0xf0 => 3,
            0xf0..=0xff => 4,
            _ => 1,
        };
        let mut buffer = [first, 0, 0, 0];
        for byte in &mut buffer[1..length] {
            *byte = self.next_byte()?;
        }
        let text = std::str::from_utf8(&buffer[..length]).ok();
        Some(text.and_then(|text| text.chars().next()).unwrap_or(char::REPLACEMENT_CHARACTER))
    }
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(kind: Kind, value: &str) -> String {
        let mut bytes = Vec::new();
        kind.canonical(value, |piece| bytes.extend_from_slice(piece));
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn spellings_of_one_value_are_the_same() {
        for (kind, form, spellings) in [
            (
                Kind::Email,
                "anna+x@example.com",
                &["Anna+x@Example.com", "anna%2Bx%40example.com", " anna+x@example.com"][..],
            ),
            (Kind::Email, "анна@пример.рф", &["АННА@пример.рф", "%D0%90нна@пример.рф"]),
            (
                Kind::Phone,
                "79123456789",
                &["+7 (912) 345-67-89", "89123456789", "%2B7%20912%20345-67-89", "9123456789"],
            ),
            (Kind::Phone, "442071838750", &["+44 20 7183 8750"]),
            (Kind::Phone, "нет", &["НЕТ"]),
            (Kind::Passport, "4509123456", &["45 09 123456", "4509 № 123456", "4509 номер 123456"]),
            (Kind::Snils, "11223344595", &["112-233-445 95"]),
            (Kind::Account, "DE89370400440532013000", &["DE89 3704 0044 0532 0130 00", "de89370400440532013000"]),
            (
                Kind::Name,
                "анна семенова",
                &["Анна  Семёнова ", "анна\u{a0}семенова", "%D0%90нна+Семенова", "АННА СЕМЕНОВА"],
            ),
            (Kind::BirthDate, "19900102", &["1990-01-02", "02.01.1990", "1990-01-02T00:00:00Z"]),
            (Kind::BirthDate, "2 january 1990", &["2 January  1990"]),
            (Kind::Token, "AbC", &["AbC"]),
        ] {
            for spelling in spellings {
                assert_eq!(canonical(kind, spelling), form, "{spelling}");
            }
        }
    }

    #[test]
    fn a_label_names_its_kind() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of_label(kind.label()), Some(kind));
        }
        assert_eq!(Kind::of_label("gossip"), None);
    }

    #[test]
    fn what_is_no_text_once_decoded_is_taken_as_it_is() {
        for value in ["%", "%4", "%zz", "%D0", "%FF%FE", "a%D0b"] {
            let _ = canonical(Kind::Name, value);
        }
        assert_ne!(canonical(Kind::Name, "%zz"), canonical(Kind::Name, "%zy"));
    }
}
