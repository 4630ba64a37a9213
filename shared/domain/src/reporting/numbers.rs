//! Numbers as people read them.

/// With a comma between thousands: `1,234,567`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// An amount that has a fraction, to `places` decimal places: `1,234,567.80`.
pub fn amount(number: f64, places: usize) -> String {
    let fixed = format!("{:.places$}", number.abs());
    let (whole, fraction) = fixed.split_at(fixed.find('.').unwrap_or(fixed.len()));
    let sign = if number < 0.0 && fixed.bytes().any(|byte| (b'1'..=b'9').contains(&byte)) { "-" } else { "" };
    match whole.parse() {
        Ok(whole) => format!("{sign}{}{fraction}", thousands(whole)),
        // Beyond 64 bits, or no number at all.
        Err(_) => format!("{sign}{fixed}"),
    }
}

/// Three significant digits and a letter, for axes and tiles: `950`, `12.5k`, `1.24M`, `48.1bn`.
pub fn compact(number: f64) -> String {
    let (scaled, letter) = match number.abs() {
        n if n >= 999_500_000.0 => (number / 1e9, "bn"),
        n if n >= 999_500.0 => (number / 1e6, "M"),
        n if n >= 10_000.0 => (number / 1e3, "k"),
        _ => (number, ""),
    };
    format!("{}{letter}", significant(scaled))
}

/// Three significant digits without trailing zeros, of what is below ten thousand.
fn significant(number: f64) -> String {
    let places = match number.abs() {
        n if n >= 99.95 => 0,
        n if n >= 9.995 => 1,
        _ => 2,
    };
    let text = amount(number, places);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A duration in milliseconds: `0.4 ms`, `412 ms`, `5.24 s`, `2 min 5 s`.
pub fn millis(duration: f64) -> String {
    match duration {
        ms if ms < 999.5 => format!("{} ms", significant(ms)),
        ms if ms < 59_950.0 => format!("{} s", significant(ms / 1000.0)),
        ms => {
            let seconds = (ms / 1000.0).round() as u64;
            format!("{} min {} s", thousands(seconds / 60), seconds % 60)
        }
    }
}

/// A duration in minutes: `25 min`, `3 h`, `1 h 25 min`, `2 d 3 h`.
pub fn minutes(duration: u64) -> String {
    let parts = match duration {
        0..60 => return format!("{duration} min"),
        60..1440 => [(duration / 60, "h"), (duration % 60, "min")],
        _ => [(duration / 1440, "d"), (duration % 1440 / 60, "h")],
    };
    let parts: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{} {unit}", thousands(*count)))
        .collect();
    parts.join(" ")
}

/// A share in percent: `0 %`, `0.40 %`, `12.3 %`, `100 %`. What is neither nothing nor all does not show
/// as nothing or all.
pub fn percent(share: f64) -> String {
    match share {
        share if share <= 0.0 => "0 %".to_owned(),
        share if share < 0.01 => "< 0.01 %".to_owned(),
        share if share < 9.995 => format!("{share:.2} %"),
        share if share >= 100.0 => format!("{share:.0} %"),
        share if share > 99.9 => "> 99.9 %".to_owned(),
        share => format!("{share:.1} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        for (given, expected) in [
            (thousands(0), "0"),
            (thousands(999), "999"),
            (thousands(1_000), "1,000"),
            (thousands(u64::MAX), "18,446,744,073,709,551,615"),
            (amount(1_234_567.8, 2), "1,234,567.80"),
            (amount(-1_234.56, 1), "-1,234.6"),
            (amount(-0.001, 1), "0.0"),
            (amount(1e30, 0), "1000000000000000019884624838656"),
            (compact(0.0), "0"),
            (compact(950.0), "950"),
            (compact(9_500.0), "9,500"),
            (compact(12_500.0), "12.5k"),
            (compact(999_400.0), "999k"),
            (compact(999_600.0), "1M"),
            (compact(1_240_000.0), "1.24M"),
            (compact(48_123_456_789.0), "48.1bn"),
            (millis(0.0), "0 ms"),
            (millis(0.42), "0.42 ms"),
            (millis(412.3), "412 ms"),
            (millis(999.9), "1 s"),
            (millis(5_240.0), "5.24 s"),
            (millis(125_000.0), "2 min 5 s"),
            (minutes(0), "0 min"),
            (minutes(59), "59 min"),
            (minutes(180), "3 h"),
            (minutes(85), "1 h 25 min"),
            (minutes(3_065), "2 d 3 h"),
            (percent(0.0), "0 %"),
            (percent(0.001), "< 0.01 %"),
            (percent(0.423), "0.42 %"),
            (percent(0.4), "0.40 %"),
            (percent(12.34), "12.3 %"),
            (percent(99.96), "> 99.9 %"),
            (percent(100.0), "100 %"),
        ] {
            assert_eq!(given, expected);
        }
    }
}
