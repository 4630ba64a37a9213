//! Laws of all kinds of rules, whatever the values and whenever the ticks come.

use super::*;

/// One rule of each kind (but events, which do not wait for metrics), with waits so short that an hour shows them.
const ALL_KINDS: &str = "
- id: availability
  kind: slo
  class: sla
  objective: 90
  bad: {metric: api_requests, where: {status_code: 5xx}}
  total: {metric: api_requests}
  burn:
  - {severity: critical, factor: 4, long: 10m, short: 2m}
  - {severity: warning, factor: 2, long: 2h, short: 10m}
  group_by: [service]
  annotations: {summary: '{{value}}'}
- {id: silent, kind: absence, class: availability, severity: warning, metric: api_requests, for: 4m, forget_after: 20m,
   group_by: [service], annotations: {summary: '{{value}}'}}
- {id: backup, kind: heartbeat, class: system, severity: error, metric: active_users, every: 5m, grace: 2m,
   annotations: {summary: '{{value}}'}}
- {id: both, kind: composite, class: availability, severity: critical, for: 1m, group_by: [service],
   expr: availability and not backup, annotations: {summary: '{{value}}'}}
- id: ratio
  class: performance
  severity: warning
  queries:
    errors: {metric: api_requests, stat: Sum, where: {status_code: 5xx}, fill: zero}
    requests: {metric: api_requests, stat: Sum}
  expr: 100 * errors / requests
  window: {over: 3m}
  when: {gt: 50}
  clear: {lte: 20}
  missing: missing
  datapoints: {m: 2, n: 3}
  group_by: [service]
  annotations: {summary: '{{value}}'}
";

/// What comes in a minute: good and bad requests of two services, and whether there are users.
type Minutely = ([Option<(u8, u8)>; 2], bool);

fn minutes() -> impl Strategy<Value = Vec<Minutely>> {
    // Stretches, so that things last.
    let requests = || prop::option::weighted(0.6, (0..20u8, 0..20u8));
    let stretch = ((requests(), requests(), any::<bool>()), 1..12usize);
    let stretches = prop::collection::vec(stretch, 4..12);
    stretches.prop_map(|stretches| {
        let minutes = stretches.into_iter();
        minutes.flat_map(|((api, web, users), minutes)| std::iter::repeat_n(([api, web], users), minutes)).collect()
    })
}

/// Plays the minutes, with a tick after those that `ticks` names, and answers what has changed and the state. The state
/// goes through JSON between the ticks.
fn play(rules: &str, minutes: &[Minutely], ticks: impl Fn(i64) -> bool) -> (Vec<Episode>, AlertState) {
    let mut story = Story::of(rules);
    let last = minutes.len() as i64 - 1;
    for (at, (requests, users)) in (0..).zip(minutes) {
        for (service, counts) in ["api", "web"].into_iter().zip(requests) {
            let Some((good, bad)) = counts else { continue };
            for (status_code, count) in [("200", good), ("500", bad)].into_iter().filter(|(_, count)| **count > 0) {
                let dimensions = [("service", service), ("status_code", status_code)];
                story.put_with(at, "api_requests", &dimensions, f64::from(*count) / 3.0);
            }
        }
        if *users {
            story.put(at, "active_users", "", 90.0);
        }
        // The first tick decides where the history begins, and the last one that all is evaluated.
        if at == 0 || at == last || ticks(at) {
            story.tick(at);
            let stored = story.state.take().map(|state| state.to_object().body);
            story.state = stored.map(|body| AlertState::parse(&body).unwrap());
        }
    }
    (story.changes, story.state.unwrap())
}

proptest! {
    // A case is two hours of ticks.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn ticks_that_are_missed_and_made_up_for_come_to_the_same_as_one_a_minute(
        minutes in minutes(),
        ticks in prop::collection::btree_set(0..110i64, 0..20),
    ) {
        let minutes = &minutes[..minutes.len().min(110)];
        let (every, state) = play(ALL_KINDS, minutes, |_| true);
        let (some, made_up) = play(ALL_KINDS, minutes, |at| ticks.contains(&at));
        prop_assert_eq!(&every, &some);
        prop_assert_eq!(state.alerts, made_up.alerts);
        prop_assert_eq!(state.budgets, made_up.budgets);
        prop_assert_eq!(state.heard, made_up.heard);
        prop_assert_eq!(state.past, made_up.past);
    }

    #[test]
    fn firing_and_resolved_take_turns_and_each_firing_is_counted(minutes in minutes()) {
        let (changes, state) = play(ALL_KINDS, &minutes, |_| true);
        let mut firings: BTreeMap<&str, Vec<Minute>> = BTreeMap::new();
        let mut firing: BTreeSet<&str> = BTreeSet::new();
        for change in &changes {
            let fingerprint = change.fingerprint.as_str();
            if change.is_firing() {
                prop_assert!(firing.insert(fingerprint), "it fires already: {:?}", change);
                let before = firings.entry(fingerprint).or_default();
                prop_assert_eq!(change.fired_before as usize, before.len());
                prop_assert!(change.breaching_since <= change.since);
                before.push(change.since);
            } else {
                prop_assert!(firing.remove(fingerprint), "it does not fire: {:?}", change);
                prop_assert_eq!(firings[fingerprint].last(), Some(&change.since));
            }
        }
        let held = state.alerts.iter().filter(|(_, alert)| alert.phase.is_firing());
        prop_assert_eq!(held.map(|(fingerprint, _)| fingerprint.as_str()).collect::<BTreeSet<_>>(), firing);
    }

    /// Invariant 8: a query error never resolves an alert; nor does it begin one.
    #[test]
    fn what_is_not_answered_neither_fires_nor_resolves(
        answers in prop::collection::vec(prop::option::weighted(0.7, prop::option::of(0.0..100.0f64)), 40),
        m in 1..4u8,
        hold in 0..3u8,
        policy in prop::sample::select(vec!["not_breaching", "breaching", "ignore", "nodata", "missing"]),
    ) {
        let mut story = Story::of(&format!(
            "- {{id: connections, class: database, severity: warning, expr: q, window: {{over: 2m}}, when: {{gt: 75}},
               queries: {{q: {{metric: database_connections, stat: Average, where: {{DBInstanceIdentifier: db}}}}}},
               datapoints: {{m: {m}, n: 3}}, for: {hold}m, missing: {policy}, annotations: {{summary: s}}}}\n"
        ));
        let due = Due { from: minute(0), to: minute(0), skipped: 0 };
        let series = foreign_read(&story.rules, due).queries[0].clone();
        let mut known = BTreeMap::new();
        for (at, answer) in (0..).zip(answers) {
            if let Some(Some(value)) = answer {
                known.insert(minute(at), value);
            }
            story.foreign = answer.iter().map(|_| (series.clone(), known.clone())).collect();
            let told = story.tick(at);
            let of_the_rule = told.iter().filter(|line| !line.contains(EVALUATION_ERROR) && !line.contains(NO_DATA));
            prop_assert!(answer.is_some() || of_the_rule.count() == 0, "{at}: {told:?}");
        }
    }

    #[test]
    fn no_event_is_lost_or_counted_twice_whenever_the_ticks_come(
        events in prop::collection::vec((0..100i64, 1..4u64), 0..30),
        ticks in prop::collection::btree_set(0..100i64, 0..20),
    ) {
        let rules = "
- {id: takeover, kind: event, class: security, severity: critical, when: {gte: 6}, window: 7m, resolve_after: 9m,
   group_by: [service], annotations: {summary: '{{value}}'}}
".replace("window: 7m", "window: {over: 7m}");
        let play = |ticks: &dyn Fn(i64) -> bool| {
            let mut story = Story::of(&rules);
            let mut waiting = Vec::new();
            for at in 0..120 {
                let new = events.iter().filter(|(minute, _)| *minute == at);
                waiting.extend(new.map(|(at, count)| super::kinds::event(*at, *count, "api")));
                if at == 0 || at == 119 || ticks(at) {
                    story.take_in(at, &std::mem::take(&mut waiting));
                }
            }
            (story.changes, story.state.unwrap())
        };
        prop_assert_eq!(play(&|_| true), play(&|at| ticks.contains(&at)));
    }
}
