//! What the minutes that a rule looks at say together: M of N, with missing data, as CloudWatch does it.
//!
//! A rule with `datapoints: {m, n}` looks at `n + 2` minutes, the evaluation range. Where at least `n` of them have a
//! value, the newest `n` values decide and the policy for missing data is of no account. Where there are fewer, the
//! policy fills up to `n`: each value of the range counts, and no more is filled than has to be. A rule without
//! `datapoints` (`n` = 1) looks at its one minute only, as Prometheus does.
//!
//! Two things CloudWatch does not have. *Hysteresis*: while an alert fires, a value breaches until `clear` holds; so
//! M of N decides about the end as it does about the beginning. *Unknown minutes* (a query error, minutes before the
//! history): they say something only where it is the same whatever they were; so they neither fire nor resolve.

use super::rules::Missing;

/// What one minute says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Datapoint {
    /// The condition holds.
    Breaching,
    /// It does not.
    Fine,
    /// There is no value.
    Missing,
    /// Nobody knows.
    Unknown,
}

/// What the minutes say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The rule's condition holds.
    Breaching,
    /// It does not.
    Fine,
    /// Nobody can say: the alert stays what it is.
    Open,
    /// There are no data, and the policy says that the alert stays what it is.
    Kept,
    /// There are no data, and the policy calls that a fault: the alert stays what it is, and its health says so.
    NoData,
}

/// How many minutes a rule of `n` datapoints looks at.
pub fn range(n: usize) -> usize {
    if n == 1 { 1 } else { n.saturating_add(2) }
}

/// What the evaluation range says, the oldest minute first, where `m` of `n` have to breach.
pub fn judge(range: &[Datapoint], m: usize, n: usize, missing: Missing) -> Verdict {
    if !range.contains(&Datapoint::Unknown) {
        return judge_known(range, m, n, missing);
    }
    // Whatever mixture the unknown ones are, it lies between these: a further breach never ends an alert, and a
    // further fine minute never begins one.
    let assumed = [Datapoint::Fine, Datapoint::Missing, Datapoint::Breaching].map(|assumed| {
        let replaced: Vec<Datapoint> =
            range.iter().map(|&point| if point == Datapoint::Unknown { assumed } else { point }).collect();
        judge_known(&replaced, m, n, missing)
    });
    if assumed.iter().all(|verdict| *verdict == assumed[0]) { assumed[0] } else { Verdict::Open }
}

fn judge_known(range: &[Datapoint], m: usize, n: usize, missing: Missing) -> Verdict {
    let real = || range.iter().rev().filter(|&&point| point != Datapoint::Missing);
    let decisive = real().take(n);
    let breaching = decisive.filter(|&&point| point == Datapoint::Breaching).count();
    if breaching >= m {
        return Verdict::Breaching;
    }
    let count = real().count();
    let filled = n.saturating_sub(count);
    if filled == 0 {
        return Verdict::Fine;
    }
    match missing {
        Missing::NotBreaching => Verdict::Fine,
        Missing::Breaching if breaching + filled >= m => Verdict::Breaching,
        Missing::Breaching => Verdict::Fine,
        _ if breaching < count => Verdict::Fine,
        Missing::Missing if count == 0 => Verdict::NoData,
        // Too few values, all of them breaching. CloudWatch does not wait for more once the oldest is as old as M.
        Missing::Missing if oldest_value_is(m, range) => Verdict::Breaching,
        Missing::NoData if range.last() == Some(&Datapoint::Missing) => Verdict::NoData,
        Missing::Missing | Missing::Ignore | Missing::NoData => Verdict::Kept,
    }
}

/// Whether the oldest value of the range is at least `m` minutes old, the newest minute being 1.
fn oldest_value_is(m: usize, range: &[Datapoint]) -> bool {
    range.iter().position(|&point| point != Datapoint::Missing).is_some_and(|at| range.len() - at >= m)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// CloudWatch's notation, the newest last: `0` is fine, `X` breaches, `-` is missing; and `?` is unknown.
    fn points(text: &str) -> Vec<Datapoint> {
        let point = |letter| match letter {
            'X' => Datapoint::Breaching,
            '0' => Datapoint::Fine,
            '-' => Datapoint::Missing,
            _ => Datapoint::Unknown,
        };
        text.chars().filter(|letter| *letter != ' ').map(point).collect()
    }

    const POLICIES: [Missing; 4] = [Missing::Missing, Missing::Ignore, Missing::Breaching, Missing::NotBreaching];

    #[test]
    fn missing_data_are_treated_as_cloudwatch_documents_it() {
        use Verdict::{Breaching as Alarm, Fine as Ok, Kept as Retain, NoData as Insufficient};
        // "Configuring how CloudWatch alarms treat missing data", both tables; a range of 5, N = 3. The columns are
        // missing, ignore, breaching, not breaching.
        for (data, m, expected) in [
            ("0 - X - X", 3, [Ok, Ok, Ok, Ok]),
            ("0 - - - -", 3, [Ok, Ok, Ok, Ok]),
            ("- - - - -", 3, [Insufficient, Retain, Alarm, Ok]),
            ("0 X X - X", 3, [Alarm, Alarm, Alarm, Alarm]),
            ("- - X - -", 3, [Alarm, Retain, Alarm, Ok]),
            ("0 - X - X", 2, [Alarm, Alarm, Alarm, Alarm]),
            ("0 0 X 0 X", 2, [Alarm, Alarm, Alarm, Alarm]),
            ("0 - X - -", 2, [Ok, Ok, Alarm, Ok]),
            ("- - - - 0", 2, [Ok, Ok, Alarm, Ok]),
            ("- - - X -", 2, [Alarm, Retain, Alarm, Ok]),
        ] {
            let found = POLICIES.map(|policy| judge(&points(data), m, 3, policy));
            assert_eq!(found, expected, "{m} of 3 in {data}");
        }
    }

    #[test]
    fn an_alarm_is_not_raised_before_its_time() {
        // The same page, "Avoiding premature transitions to alarm state", 3 of 3.
        for (data, expected) in [
            ("- - - - X", Verdict::Kept),
            ("- - - X -", Verdict::Kept),
            ("- - - X 0", Verdict::Fine),
            ("- - X - 0", Verdict::Fine),
            ("- - X - -", Verdict::Breaching),
            ("- X - - -", Verdict::Breaching),
        ] {
            assert_eq!(judge(&points(data), 3, 3, Missing::Missing), expected, "{data}");
        }
    }

    #[test]
    fn a_rule_without_datapoints_looks_at_its_one_minute() {
        for (data, expected) in [
            ("X", [Verdict::Breaching; 5]),
            ("0", [Verdict::Fine; 5]),
            ("?", [Verdict::Open; 5]),
            ("-", [Verdict::NoData, Verdict::Kept, Verdict::Breaching, Verdict::Fine, Verdict::NoData]),
        ] {
            let [missing, ignore, breaching, not_breaching] = POLICIES;
            let policies = [missing, ignore, breaching, not_breaching, Missing::NoData];
            assert_eq!(policies.map(|policy| judge(&points(data), 1, 1, policy)), expected, "{data}");
        }
        assert_eq!((range(1), range(3), range(5)), (1, 5, 7));
    }

    #[test]
    fn the_unknown_says_only_what_is_so_whatever_it_was() {
        for (data, m, expected) in [
            ("? ? X X X", 3, Verdict::Breaching),
            ("? ? X X 0", 3, Verdict::Fine), // of the newest three at most two
            ("0 0 ? X X", 3, Verdict::Open),
            ("0 0 0 ? 0", 3, Verdict::Fine),
            ("X X X ? 0", 3, Verdict::Fine),
            ("X X X X ?", 3, Verdict::Open),
            ("? ? ? ? ?", 3, Verdict::Open),
            ("0 0 0 0 ?", 1, Verdict::Open),
        ] {
            assert_eq!(judge(&points(data), m, 3, Missing::Ignore), expected, "{m} of 3 in {data}");
        }
    }

    proptest! {
        /// Against every mixture that the unknown minutes could be.
        #[test]
        fn the_unknown_neither_fires_nor_resolves(
            letters in prop::collection::vec(prop::sample::select(vec!['X', '0', '-', '?']), 1..8),
            m in 1..6usize,
            policy in prop::sample::select(vec![
                Missing::Missing, Missing::Ignore, Missing::Breaching, Missing::NotBreaching, Missing::NoData,
            ]),
        ) {
            let n = if letters.len() < 3 { 1 } else { letters.len() - 2 };
            let m = m.min(n);
            let data = points(&letters.iter().collect::<String>());
            let data = &data[data.len() - range(n).min(data.len())..];
            let verdict = judge(data, m, n, policy);
            for mixture in mixtures(data) {
                let known = judge_known(&mixture, m, n, policy);
                if matches!(verdict, Verdict::Breaching | Verdict::Fine) {
                    prop_assert_eq!(verdict, known, "{} of {} in {:?}", m, n, mixture);
                }
            }
        }
    }

    fn mixtures(data: &[Datapoint]) -> Vec<Vec<Datapoint>> {
        let Some((first, rest)) = data.split_first() else { return vec![Vec::new()] };
        let firsts = match first {
            Datapoint::Unknown => vec![Datapoint::Fine, Datapoint::Breaching, Datapoint::Missing],
            known => vec![*known],
        };
        let rest = mixtures(rest);
        let joined = |first: Datapoint| rest.iter().map(move |rest| [&[first], rest.as_slice()].concat());
        firsts.into_iter().flat_map(joined).collect()
    }
}
