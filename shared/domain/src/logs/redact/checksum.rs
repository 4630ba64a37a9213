//! Check digits: what tells a person's number from any other of its length.

/// Whether `digits` (ASCII, 10 or 12) are a Russian tax number.
pub(super) fn is_inn(digits: &[u8]) -> bool {
    const WEIGHTS: [u32; 11] = [3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8];
    let check = |count: usize| {
        let weights = &WEIGHTS[WEIGHTS.len() - count..];
        let sum: u32 = digits.iter().zip(weights).map(|(digit, weight)| value(*digit) * weight).sum();
        sum % 11 % 10 == value(digits[count])
    };
    // No tax office has the number 00, and a row of noughts is none either.
    let has_office = !digits.starts_with(b"00");
    match digits.len() {
        10 => has_office && check(9),
        12 => has_office && check(10) && check(11),
        _ => false,
    }
}

/// Whether `digits` (ASCII, 11) are a number of pension insurance. Up to 001-001-998 there were no check
/// digits: such numbers are as good as none.
pub(super) fn is_snils(digits: &[u8]) -> bool {
    let Ok(digits) = <&[u8; 11]>::try_from(digits) else { return false };
    let (number, check) = digits.split_at(9);
    let sum: u32 = number.iter().zip((1..=9).rev()).map(|(digit, weight)| value(*digit) * weight).sum();
    // 100 and, as the remainder of more, 100 again are written as 00.
    let expected = sum % 101 % 100;
    number > &b"001001998"[..] && expected == value(check[0]) * 10 + value(check[1])
}

/// Whether `digits` (ASCII) are the number of a bank card: an issuer's prefix, its length, and Luhn's sum.
pub(super) fn is_card(digits: &[u8]) -> bool {
    has_issuer(digits) && luhn(digits)
}

/// Prefixes and lengths of the issuers whose cards are met.
fn has_issuer(digits: &[u8]) -> bool {
    if !(13..=19).contains(&digits.len()) {
        return false;
    }
    let prefix = digits[..4].iter().fold(0, |number, digit| number * 10 + value(*digit));
    match (prefix, digits.len()) {
        (2200..=2204, 16..=19) => true,                                                  // Mir
        (2221..=2720 | 5100..=5599, 16) => true,                                         // Mastercard
        (4000..=4999, 13 | 16 | 19) => true,                                             // Visa
        (3400..=3499 | 3700..=3799, 15) => true,                                         // American Express
        (3000..=3059 | 3095 | 3600..=3699 | 3800..=3999, 14) => true,                    // Diners Club
        (3528..=3589, 16..=19) => true,                                                  // JCB
        (6011 | 6200..=6299 | 6440..=6599, 16..=19) => true,                             // Discover, UnionPay
        (5018 | 5020 | 5038 | 5893 | 6304 | 6390 | 6759 | 6761..=6763, 13..=19) => true, // Maestro
        _ => false,
    }
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match (at % 2, value(*digit)) {
            (0, digit) => digit,
            (_, digit) => digit * 2 / 10 + digit * 2 % 10,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Whether `digits` (ASCII, 20) are a bank account: a balance account that clients or banks have, and a
/// currency. The key digit can be checked with the bank's code only.
pub(super) fn is_account(digits: &[u8]) -> bool {
    const CURRENCIES: [&[u8]; 12] =
        [b"810", b"643", b"840", b"978", b"156", b"826", b"756", b"392", b"398", b"933", b"949", b"784"];
    let is_balance_account = matches!(
        digits,
        [b'3', b'0', b'1' | b'2' | b'3', ..] | [b'4', b'0'..=b'2', ..] | [b'4', b'5'..=b'7', ..] | [b'4', b'4', ..]
    );
    digits.len() == 20 && is_balance_account && CURRENCIES.contains(&&digits[5..8])
}

/// Whether the letters and digits of `text` are an IBAN: ISO 7064's remainder by 97 is 1.
pub(super) fn is_iban(text: &[u8]) -> bool {
    let kept = || text.iter().filter(|byte| byte.is_ascii_alphanumeric());
    let turned = kept().skip(4).chain(kept().take(4));
    let remainder = turned.fold(0, |remainder: u32, &byte| match byte {
        b'0'..=b'9' => (remainder * 10 + value(byte)) % 97,
        _ => (remainder * 100 + u32::from(byte.to_ascii_uppercase() - b'A') + 10) % 97,
    });
    (15..=34).contains(&kept().count()) && remainder == 1
}

fn value(digit: u8) -> u32 {
    u32::from(digit.wrapping_sub(b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_right_check_digits_are_taken() {
        for inn in ["7707083893", "1795000003", "500100732259"] {
            assert!(is_inn(inn.as_bytes()), "{inn}");
        }
        // The sums of the last four are 100, 101, 201 and 202.
        for snils in ["11223344595", "00100199965", "00132667900", "00150881600", "01799617400", "08765430300"] {
            assert!(is_snils(snils.as_bytes()), "{snils}");
        }
        for card in ["4242424242424242", "378282246310005", "30569309025904", "5555555555554444", "2200150023456780"] {
            assert!(is_card(card.as_bytes()), "{card}");
        }
        for account in ["40817810099910004312", "30101810400000000225", "42301978000000000001"] {
            assert!(is_account(account.as_bytes()), "{account}");
        }
        for iban in ["GB82WEST12345698765432", "DE89 3704 0044 0532 0130 00"] {
            assert!(is_iban(iban.as_bytes()), "{iban}");
        }
    }

    #[test]
    fn one_other_digit_is_no_number() {
        type Check = fn(&[u8]) -> bool;
        let checks: [(&str, Check); 5] = [
            ("7707083893", is_inn),
            ("500100732259", is_inn),
            ("11223344595", is_snils),
            ("4242424242424242", is_card),
            ("GB82WEST12345698765432", is_iban),
        ];
        for (number, check) in checks {
            let last = number.as_bytes()[number.len() - 1];
            for other in (b'0'..=b'9').filter(|other| *other != last) {
                let wrong = [&number.as_bytes()[..number.len() - 1], &[other]].concat();
                assert!(!check(&wrong), "{}", String::from_utf8_lossy(&wrong));
            }
        }
    }

    #[test]
    fn ids_of_the_same_length_are_none() {
        assert!(!is_card(b"1795000000123456") && !is_card(b"1234567812345670") && !is_card(b"0000000000000000"));
        assert!(!is_account(b"12345678901234567890") && !is_account(b"40817123000000000001"));
        assert!(!is_inn(b"0000000000") && !is_inn(b"12345") && !is_snils(b"00000000000") && !is_snils(b"1"));
        assert!(!is_snils(b"00100199800"), "older numbers have no check digits");
    }
}
