//! Made-up personal data and secrets, with check digits where the real ones have them. Nobody's: the
//! addresses are in domains kept for examples, the tax numbers of a region that there is not.

use super::chance::Chance;

const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const WORD: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const CAPITALS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// What kind of personal data or secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An e-mail address.
    Email,
    /// A Russian phone number.
    Phone,
    /// Series and number of a passport.
    Passport,
    /// A tax number, of a person (12 digits) or a company (10).
    Inn,
    /// A pension insurance number.
    Snils,
    /// The number of a bank card.
    Card,
    /// The number of a bank account.
    Account,
    /// Credentials after `Bearer`.
    Bearer,
    /// A JSON web token.
    WebToken,
    /// The id of an AWS access key.
    AwsKey,
    /// A password, by the name before it.
    Password,
    /// A value of a user's in a statement or in what the database server says of one.
    Literal,
}

impl Kind {
    /// Those that services log by mistake.
    pub(super) const OF_SERVICES: [Kind; 11] = [
        Kind::Email,
        Kind::Phone,
        Kind::Passport,
        Kind::Inn,
        Kind::Snils,
        Kind::Card,
        Kind::Account,
        Kind::Bearer,
        Kind::WebToken,
        Kind::AwsKey,
        Kind::Password,
    ];

    /// One of this kind.
    pub(super) fn draw(self, chance: &mut Chance) -> Planted {
        let text = match self {
            Kind::Email => email(chance),
            Kind::Phone => phone(chance),
            Kind::Passport => format!("45{} {}", chance.between(10, 24), chance.digits(6)),
            Kind::Inn if chance.one_in(3) => inn_of_company(chance),
            Kind::Inn => inn_of_person(chance),
            Kind::Snils => snils(chance),
            Kind::Card => card(chance),
            Kind::Account => format!("40817810{}", chance.digits(12)),
            Kind::Bearer => chance.word(WORD, 32),
            Kind::WebToken => {
                format!("eyJhbGciOiJub25lIn0.eyJ{}.{}", chance.word(WORD, 40), chance.word(WORD, 27))
            }
            Kind::AwsKey => format!("AKIA{}", chance.word(CAPITALS, 16)),
            Kind::Password => format!("pw-{}", chance.word(WORD, 12)),
            Kind::Literal => format!("Выдуманная-{}", chance.word(LETTERS, 8)),
        };
        Planted { kind: self, text }
    }

    /// The words that a service puts before it in a message.
    pub(super) fn introduced(self, english: bool) -> &'static str {
        match (self, english) {
            (Kind::Email, true) => "letter bounced for ",
            (Kind::Email, false) => "Письмо не доставлено: ",
            (Kind::Phone, true) => "call back: ",
            (Kind::Phone, false) => "Перезвонить по номеру ",
            (Kind::Passport, true) => "client identified, passport ",
            (Kind::Passport, false) => "Клиент установлен, паспорт ",
            (Kind::Inn, true) => "tax status requested, INN ",
            (Kind::Inn, false) => "Запрошен статус налогоплательщика, ИНН ",
            (Kind::Snils, true) => "pension fund asked, SNILS ",
            (Kind::Snils, false) => "Отправлен запрос в СФР, СНИЛС ",
            (Kind::Card, true) => "fee paid with card ",
            (Kind::Card, false) => "Пошлина оплачена картой ",
            (Kind::Account, true) => "refund to account ",
            (Kind::Account, false) => "Возврат на счёт ",
            (Kind::Bearer | Kind::WebToken, true) => "upstream refused Authorization: Bearer ",
            (Kind::Bearer | Kind::WebToken, false) => "Отказ шлюза, заголовок Authorization: Bearer ",
            (Kind::AwsKey, true) => "signed with ",
            (Kind::AwsKey, false) => "Подписано ключом ",
            (Kind::Password, true) => "retrying with login=app password=",
            (Kind::Password, false) => "Повтор подключения: login=app password=",
            (Kind::Literal, _) => "",
        }
    }

    /// The field that a service puts it in.
    pub(super) fn field(self) -> &'static str {
        match self {
            Kind::Email => "recipient",
            Kind::Phone => "phone",
            Kind::Passport => "passport",
            Kind::Inn => "inn",
            Kind::Snils => "snils",
            Kind::Card => "card_number",
            Kind::Account => "account_number",
            Kind::Bearer => "access_token",
            Kind::WebToken => "id_token",
            Kind::AwsKey => "key_id",
            Kind::Password => "password",
            Kind::Literal => "value",
        }
    }
}

/// Something that may stand in no archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planted {
    /// What it is.
    pub kind: Kind,
    /// As it stands in the line, without anything that JSON would escape.
    pub text: String,
}

fn email(chance: &mut Chance) -> String {
    let domain = chance.pick(&["example.com", "example.org", "mail.example.net"]);
    format!("{}.{}@{domain}", chance.word(LETTERS, 6), chance.word(LETTERS, 9))
}

fn phone(chance: &mut Chance) -> String {
    let (a, b, c) = (chance.between(100, 1_000), chance.between(10, 100), chance.between(10, 100));
    match chance.between(0, 3) {
        0 => format!("+7 (912) {a}-{b}-{c}"),
        1 => format!("8 912 {a}-{b}-{c}"),
        _ => format!("+7912{a}{b}{c}"),
    }
}

fn values(digits: &str) -> impl DoubleEndedIterator<Item = u64> + '_ {
    digits.bytes().map(|digit| u64::from(digit - b'0'))
}

fn weighed(digits: &str, weights: &[u64]) -> u64 {
    values(digits).zip(weights).map(|(digit, weight)| digit * weight).sum()
}

// There is no region 98.
fn inn_of_company(chance: &mut Chance) -> String {
    let digits = format!("98{}", chance.digits(7));
    let check = weighed(&digits, &[2, 4, 10, 3, 5, 9, 4, 6, 8]) % 11 % 10;
    format!("{digits}{check}")
}

fn inn_of_person(chance: &mut Chance) -> String {
    let digits = format!("98{}", chance.digits(8));
    let first = weighed(&digits, &[7, 2, 4, 10, 3, 5, 9, 4, 6, 8]) % 11 % 10;
    let digits = format!("{digits}{first}");
    let second = weighed(&digits, &[3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8]) % 11 % 10;
    format!("{digits}{second}")
}

fn snils(chance: &mut Chance) -> String {
    let digits = format!("99{}", chance.digits(7));
    let check = weighed(&digits, &[9, 8, 7, 6, 5, 4, 3, 2, 1]) % 101 % 100;
    format!("{}-{}-{} {check:02}", &digits[..3], &digits[3..6], &digits[6..])
}

// 4000 00 is a range that payment systems keep for tests.
fn card(chance: &mut Chance) -> String {
    let digits = format!("400000{}", chance.digits(9));
    let doubled = |(at, digit): (usize, u64)| match digit * (2 - at as u64 % 2) {
        sum @ 10.. => sum - 9,
        sum => sum,
    };
    let sum: u64 = values(&digits).rev().enumerate().map(doubled).sum();
    let digits = format!("{digits}{}", (10 - sum % 10) % 10);
    if chance.one_in(2) {
        return digits;
    }
    format!("{} {} {} {}", &digits[..4], &digits[4..8], &digits[8..12], &digits[12..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_check_digits_of_real_ones() {
        // Published examples of the rules: the sums over all digits, check digits included.
        let mut chance = Chance::new(3);
        for _ in 0..200 {
            let card: String = card(&mut chance).split(' ').collect();
            let luhn: u64 = values(&card)
                .rev()
                .enumerate()
                .map(|(at, digit)| if at % 2 == 1 { digit / 5 + digit * 2 % 10 } else { digit })
                .sum();
            assert!(card.len() == 16 && luhn.is_multiple_of(10), "{card}");
            let company = inn_of_company(&mut chance);
            let sum = weighed(&company, &[2, 4, 10, 3, 5, 9, 4, 6, 8]);
            assert_eq!((company.len(), sum % 11 % 10), (10, values(&company).next_back().unwrap()), "{company}");
            assert_eq!(inn_of_person(&mut chance).len(), 12);
            assert_eq!(snils(&mut chance).len(), 14);
        }
        assert_eq!(weighed("112233445", &[9, 8, 7, 6, 5, 4, 3, 2, 1]) % 101 % 100, 95, "112-233-445 95");
    }
}
