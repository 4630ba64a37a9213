//! Numbers of persons: phones, passports, tax and pension numbers, cards and accounts.

use super::checksum;
use super::groups::{self, Group, Groups, Joint};
use super::kind::Kind;
use super::labels;
use super::patterns::found;
use super::scan::{Finding, Findings, Look};

/// Fewest digits of a number of a person; only a foreign passport has so few.
const MIN_DIGITS: usize = 9;

/// Fewest digits without anything between that may be a number by themselves.
const MIN_SOLID: usize = MIN_DIGITS;

/// Most digits behind a colon that are looked at.
const MAX_JOINED: usize = 20;

/// Bytes of a date behind the year.
const DATE_END: usize = 6;

/// A number that begins at a group: how many bytes up to its end, and what it is.
type Match = (usize, Kind);

/// What stands behind a number.
enum After {
    /// Nothing that it is a part of.
    Free,
    /// The rest of a longer number or word, up to here.
    Joined(usize),
}

impl Findings<'_> {
    /// What begins with the digits around `at`.
    pub(super) fn digits(&mut self, at: usize) -> Look {
        let (mut start, mut end) = (at, at + 1);
        // Digits before where the pass went on are an escape's.
        while start > self.at && self.bytes[start - 1].is_ascii_digit() {
            start -= 1;
        }
        while self.bytes.get(end).is_some_and(u8::is_ascii_digit) {
            end += 1;
        }
        self.step(end - start);
        // Nearly all digits in a log end here.
        if end - start < MIN_SOLID && !self.goes_on(end, end - start) || !self.starts_number(start) {
            return Look::Nothing(end);
        }
        if self.is_date(start, end) {
            return Look::Nothing(end + DATE_END);
        }
        self.number(start)
    }

    /// Whether the year at `start..end` begins a date of this time: `2026-11-21`. No number of a person is
    /// written so, and most lines have one.
    fn is_date(&self, start: usize, end: usize) -> bool {
        end - start == 4
            && matches!(&self.bytes[start..], [b'1' | b'2', b'9' | b'0', _, _, b'-', a, b, b'-', c, d, ..]
                if [a, b, c, d].iter().all(|byte| byte.is_ascii_digit()))
            && !self.bytes.get(end + DATE_END).is_some_and(u8::is_ascii_digit)
    }

    /// Whether a number of several groups may go on at `end`, after `length` digits.
    fn goes_on(&self, end: usize, length: usize) -> bool {
        let Some(&[next, second]) = self.bytes.get(end..end + 2) else { return false };
        let is_digit = second.is_ascii_digit();
        match next {
            // `№`, `номер`, and No. come after the four digits of a passport's series.
            b' ' => {
                is_digit
                    || matches!(second, b'(' | b'-' | 0xc2 | 0xe2)
                    || length <= 4 && matches!(second, 0xd0 | b'n' | b'N')
            }
            b'-' => is_digit || second == b'(',
            b'(' | b')' => is_digit || matches!(second, b' ' | b'-' | b'(' | 0xc2 | 0xe2),
            b'%' => second == b'2',
            0xc2 => second == 0xa0,
            0xe2 => second == 0x80 || second == 0x84,
            _ => false,
        }
    }

    /// Whether the digit at `at` is no part of a word or of a longer number that began before.
    fn starts_number(&self, at: usize) -> bool {
        if !self.starts_word(at) {
            return false;
        }
        match self.before(at) {
            [.., b'_' | b'-'] | [b'.'] | [.., b':', b':'] => false,
            // `тел.8912...`, but not `0.8912...`.
            [.., before, b'.'] => before.is_ascii_alphabetic() || *before >= 0x80,
            // `77:01:0001:...` and `21/11/2026`, but not `tel:` and `/by-phone/`.
            [.., before, b':' | b'/'] => !before.is_ascii_digit(),
            _ => true,
        }
    }

    /// What stands behind a number that ends at `end`. Where it is the rest of a word, the pass goes on
    /// behind that word: nothing in it may be found, or the number would stand free in the next pass.
    fn after(&mut self, end: usize) -> After {
        let next = |offset: usize| self.bytes.get(end + offset).copied().unwrap_or(b' ');
        let is_joined = match (next(0), next(1)) {
            (byte, _) if byte.is_ascii_alphanumeric() || byte == b'_' => true,
            (b'-', byte) => byte.is_ascii_alphanumeric(),
            (b'.', byte) => byte.is_ascii_digit(),
            (b':', byte) => byte.is_ascii_digit() && self.ends_with_digits(end + 1),
            _ => false,
        };
        if !is_joined {
            return After::Free;
        }
        After::Joined(end + self.length(end, |byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'))
    }

    /// Whether nothing but digits stands at `start`: what goes on may be an e-mail address, behind which the
    /// colon joins nothing.
    fn ends_with_digits(&mut self, start: usize) -> bool {
        let rest = &self.bytes[start..];
        let length = rest.iter().take(MAX_JOINED).take_while(|byte| byte.is_ascii_digit()).count();
        let next = rest.get(length).copied().unwrap_or(b' ');
        self.step(length);
        !(next.is_ascii_alphanumeric() || b"._%+-@".contains(&next) || next >= 0x80)
    }

    /// The first number among the groups that begin at `at`.
    fn number(&mut self, at: usize) -> Look {
        let groups = Groups::read(self, at);
        for (index, group) in groups.from(0).iter().enumerate() {
            if index > 0 && group.joint == Joint::Hyphen {
                continue;
            }
            let Some((end, kind)) = self.number_of(groups.from(index), None) else { continue };
            return match self.after(end) {
                After::Joined(to) => Look::Nothing(to),
                After::Free => Look::Found(self.address_or(found(group.start..end, kind))),
            };
        }
        Look::Nothing(groups.end())
    }

    /// `number`, unless it is the local part of an e-mail address.
    fn address_or(&mut self, number: Finding) -> Finding {
        let at = number.range.end;
        let sign = match &self.bytes[at..] {
            [b'@', ..] => 1,
            [b'%', b'4', b'0', ..] => 3,
            _ => return number,
        };
        match self.email(at, sign) {
            // The address may begin within the number: both go.
            Some(email) => Finding { range: number.range.start.min(email.range.start)..email.range.end, ..email },
            None => number,
        }
    }

    /// The number that the first of `groups` begins; `label` is what a field's name says that it is.
    fn number_of(&mut self, groups: &[Group], label: Option<Kind>) -> Option<Match> {
        let first = groups.first()?;
        let rest: usize = groups.iter().map(Group::length).sum();
        if rest < MIN_DIGITS {
            return self.numbered_passport(groups);
        }
        if first.length() > groups::digits(self.bytes, groups).len() {
            return None;
        }
        let mobile = self.mobile(groups);
        if mobile.is_some() {
            return mobile;
        }
        let label = label.or_else(|| self.label_of(groups));
        label
            .and_then(|label| self.labelled(groups, label))
            .or_else(|| self.account(groups))
            .or_else(|| self.card(groups))
            .or_else(|| self.snils(groups))
            .or_else(|| self.inn(groups, label))
            .or_else(|| self.passport(groups))
            .or_else(|| self.numbered_passport(groups))
    }

    /// What the words before say that the number is; looked for only where its length can be that.
    fn label_of(&mut self, groups: &[Group]) -> Option<Kind> {
        let may_be = [9, 10, 11].iter().any(|count| groups::with_digits(groups, *count).is_some());
        if may_be { labels::before(self, groups[0].start) } else { None }
    }

    /// A Russian mobile number: 7 or 8, then 9, then nine digits, but not `79 123 456 789`, an amount.
    fn mobile(&self, groups: &[Group]) -> Option<Match> {
        let count = groups::with_digits(groups, 11)?;
        let groups = &groups[..count];
        let digits = groups::digits(self.bytes, groups);
        let is_amount = count == 4 && groups[1..].iter().all(|g| g.length() == 3 && g.joint == Joint::Space);
        let is_mobile = matches!(digits[0], b'7' | b'8') && digits[1] == b'9';
        (is_mobile && !is_amount).then(|| (groups[count - 1].end, Kind::Phone))
    }

    /// What a label makes sure of.
    fn labelled(&self, groups: &[Group], label: Kind) -> Option<Match> {
        let shapes: &[&[usize]] = match label {
            Kind::Passport => &[&[10], &[4, 6], &[2, 2, 6], &[9], &[2, 7]],
            Kind::Phone if matches!(self.bytes[groups[0].start], b'9') => &[&[10], &[3, 7], &[3, 3, 4], &[3, 3, 2, 2]],
            _ => return None,
        };
        shapes.iter().find_map(|shape| Some((end_of_shape(groups, shape)?, label)))
    }

    fn account(&self, groups: &[Group]) -> Option<Match> {
        let count = groups::with_digits(groups, 20)?;
        let digits = groups::digits(self.bytes, &groups[..count]);
        let is_account = checksum::is_account(&digits) && are_joined(&groups[..count], Joint::Space);
        is_account.then(|| (groups[count - 1].end, Kind::Account))
    }

    /// In one piece, or in groups from four to six digits with the same separator between; the last may be
    /// shorter. The longest that fits.
    fn card(&self, groups: &[Group]) -> Option<Match> {
        if groups[0].length() < 4 {
            return None;
        }
        (13..=19).rev().find_map(|total| {
            let count = groups::with_digits(groups, total)?;
            let groups = &groups[..count];
            let (last, others) = groups.split_last()?;
            let is_grouped = count == 1
                || (others.iter().all(|group| (4..=6).contains(&group.length()))
                    && last.length() <= 6
                    && [Joint::Space, Joint::Hyphen].iter().any(|joint| are_joined(groups, *joint)));
            let is_card = is_grouped && checksum::is_card(&groups::digits(self.bytes, groups));
            is_card.then_some((last.end, Kind::Card))
        })
    }

    fn snils(&self, groups: &[Group]) -> Option<Match> {
        let shapes: [&[usize]; 3] = [&[11], &[3, 3, 3, 2], &[9, 2]];
        let end = shapes.iter().find_map(|shape| end_of_shape(groups, shape))?;
        let count = groups::with_digits(groups, 11)?;
        checksum::is_snils(&groups::digits(self.bytes, &groups[..count])).then_some((end, Kind::Snils))
    }

    fn inn(&self, groups: &[Group], label: Option<Kind>) -> Option<Match> {
        let digits = &self.bytes[groups[0].start..groups[0].end];
        let is_inn = checksum::is_inn(digits) && (label == Some(Kind::Inn) || !may_be_epoch(digits));
        is_inn.then(|| (groups[0].end, Kind::Inn))
    }

    /// `4509 123456` and `45 09 123456`, where region and year can be.
    fn passport(&self, groups: &[Group]) -> Option<Match> {
        let shapes: [&[usize]; 2] = [&[4, 6], &[2, 2, 6]];
        let shape = shapes.iter().find(|shape| end_of_shape(groups, shape).is_some())?;
        let groups = &groups[..shape.len()];
        let is_passport = are_joined(groups, Joint::Space) && is_series(&groups::digits(self.bytes, groups)[..4]);
        is_passport.then(|| (groups[shape.len() - 1].end, Kind::Passport))
    }

    /// `4509 № 123456` and `4509 номер 123456`.
    fn numbered_passport(&mut self, groups: &[Group]) -> Option<Match> {
        let series = match groups {
            [series] if series.length() == 4 => groups,
            [region, year] if region.length() == 2 && year.length() == 2 && year.joint == Joint::Space => groups,
            _ => return None,
        };
        let end = series[series.len() - 1].end;
        let rest = &self.bytes[end..];
        let spaces = usize::from(rest.first() == Some(&b' '));
        let sign = labels::number_sign(&rest[spaces..])?;
        let start = end + spaces + sign + usize::from(rest.get(spaces + sign) == Some(&b' '));
        let digits = self.bytes[start..].iter().take(7).take_while(|byte| byte.is_ascii_digit()).count();
        self.step(digits + sign);
        (digits == 6 && is_series(&groups::digits(self.bytes, series))).then_some((start + 6, Kind::Passport))
    }

    /// An international number: `+` (`sign` bytes long: a URL writes `%2B`) and 10 to 15 digits.
    pub(super) fn international(&mut self, at: usize, sign: usize) -> Look {
        let start = at + sign + usize::from(self.bytes.get(at + sign) == Some(&b'('));
        if !self.bytes.get(start).is_some_and(u8::is_ascii_digit) || !self.starts_word(at) {
            return Look::Nothing(at + sign);
        }
        let groups = Groups::read(self, start);
        let (mut digits, mut end) = (0, start);
        // A number has 11 digits as a rule; what follows a space behind them may be another.
        for group in groups.from(0) {
            if digits >= 11 || digits + group.length() > 15 {
                break;
            }
            digits += group.length();
            end = group.end;
        }
        if digits < 10 {
            return Look::Nothing(at + sign);
        }
        match self.after(end) {
            After::Joined(to) => Look::Nothing(to),
            After::Free => Look::Found(self.address_or(found(at..end, Kind::Phone))),
        }
    }

    /// The number of `kind` that begins at `start`, where the name of its field has said what it is.
    pub(super) fn number_after_name(&mut self, start: usize, kind: Kind) -> Option<Finding> {
        let sign = match self.bytes[start..] {
            [b'+', ..] => 1,
            [b'%', b'2', b'B' | b'b', ..] => 3,
            [b'0'..=b'9', ..] => 0,
            _ => return None,
        };
        if sign > 0 {
            let Look::Found(phone) = self.international(start, sign) else { return None };
            return (kind == Kind::Phone).then_some(phone);
        }
        let groups = Groups::read(self, start);
        let (end, found_kind) = self.number_of(groups.from(0), Some(kind))?;
        // What has no separators may be anything that the name says.
        let kind = if groups.from(0)[0].end == end { kind } else { found_kind };
        matches!(self.after(end), After::Free).then(|| found(start..end, kind))
    }
}

/// Where the groups end that have these numbers of digits.
fn end_of_shape(groups: &[Group], shape: &[usize]) -> Option<usize> {
    let fits = groups.len() >= shape.len() && groups.iter().zip(shape).all(|(group, length)| group.length() == *length);
    fits.then(|| groups[shape.len() - 1].end)
}

fn are_joined(groups: &[Group], joint: Joint) -> bool {
    groups[1..].iter().all(|group| group.joint == joint)
}

/// Whether four digits can be a passport's series: a region, and the year of the form, from 1997 on.
fn is_series(digits: &[u8]) -> bool {
    let number = |high: u8, low: u8| (high - b'0') * 10 + low - b'0';
    matches!(digits, [a, b, c, d] if number(*a, *b) > 0 && matches!(number(*c, *d), 0..=35 | 97..=99))
}

/// Whether ten digits may be seconds since 1970, of the years from 2001 to 2039.
fn may_be_epoch(digits: &[u8]) -> bool {
    digits.len() == 10 && digits >= b"1000000000".as_slice() && digits < b"2200000000".as_slice()
}

/// What a JSON number is without a name that says so: a phone number or a card's.
pub(super) fn of_json(text: &str) -> Option<Kind> {
    let digits = text.as_bytes();
    if !(11..=19).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let is_mobile = digits.len() == 11 && matches!(digits, [b'7' | b'8', b'9', ..]);
    match is_mobile {
        true => Some(Kind::Phone),
        false => checksum::is_card(digits).then_some(Kind::Card),
    }
}
