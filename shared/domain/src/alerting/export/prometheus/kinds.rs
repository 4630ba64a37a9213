//! What each kind of rule is in Prometheus.

use std::collections::{BTreeMap, BTreeSet};

use crate::alerting::condition::Condition;
use crate::alerting::rules::kind::{
    Absence, BURN, BurnAlert, Composite, Event, Heartbeat, Indicator, Kind, Slo, Threshold,
};
use crate::alerting::rules::logic::Logic;
use crate::alerting::rules::{Labels, Missing, Query, Rule, Source, Statistic};
use crate::metrics::prometheus::IDLE_MINUTES;
use crate::metrics::registry::{self, Kind as MetricKind};

use super::super::{number, one_of};
use super::promql::{self, Scope, Unsayable, aggregated, arithmetic, holds, just_under};
use super::{Alert, plain, quoted};

/// A rule, and what was exported before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub rule: &'a Rule,
    pub environment: Option<&'a str>,
    /// Rules that are in the file, with the names of their alerts' labels.
    pub exported: &'a BTreeMap<String, BTreeSet<String>>,
}

/// Stands for the value where there is none. Alerts fire with it all the same.
const NO_VALUE: &str = "NaN";

/// An expression, and what is otherwise about it.
type Said = (String, Vec<String>);

impl Context<'_> {
    /// The alerts of the rule, and in which ways they are not quite what it says.
    pub fn alerts(&self) -> Result<(Vec<Alert>, Vec<String>), Unsayable> {
        let (expression, mut differs) = match &self.rule.kind {
            Kind::Metric(threshold) => self.threshold(threshold)?,
            Kind::Slo(slo) => return self.slo(slo),
            Kind::Absence(absence) => self.absence(absence)?,
            Kind::Heartbeat(heartbeat) => self.heartbeat(heartbeat)?,
            Kind::Composite(composite) => (self.composite(composite)?, Vec::new()),
            Kind::Event(event) => self.event(event)?,
        };
        let gauges = self.rule.queries().iter().any(|(_, query)| is_gauge(query));
        if gauges && !matches!(self.rule.kind, Kind::Absence(_) | Kind::Heartbeat(_)) {
            differs.push(format!("a gauge that has stopped is told to Prometheus for {IDLE_MINUTES} minutes more"));
        }
        Ok((vec![self.alert(expression, self.rule.severity.as_str(), None)], differs))
    }

    /// Told where the summary has a value that is not the rule's.
    fn value_differs(&self, differs: &mut Vec<String>, what: impl Into<String>) {
        if self.rule.summary.says_value() {
            differs.push(what.into());
        }
    }

    fn scope(&self) -> Scope<'_> {
        Scope { environment: self.environment, by: &self.rule.group_by }
    }

    fn alert(&self, expression: String, severity: &str, burn: Option<&str>) -> Alert {
        let rule = self.rule;
        let mut labels =
            Labels::from([("severity".to_owned(), severity.to_owned()), ("class".to_owned(), plain(&rule.class))]);
        if !rule.group_by.iter().any(|name| name == "service") {
            labels.insert("service".to_owned(), plain(&rule.service(&Labels::new())));
        }
        labels.extend(self.environment.map(|value| ("environment".to_owned(), plain(value))));
        labels.extend(burn.map(|burn| (BURN.to_owned(), burn.to_owned())));
        let summary = rule.summary.filled(r#"{{ printf "%.2f" $value }}"#, |name| match burn {
            Some(burn) if name == BURN => burn.to_owned(),
            _ => format!("{{{{ $labels.{name} }}}}"),
        });
        let mut annotations = Labels::from([("summary".to_owned(), summary)]);
        annotations.extend(rule.runbook_url.iter().map(|url| ("runbook_url".to_owned(), plain(url))));
        Alert {
            name: rule.id.clone(),
            expression,
            hold: rule.hold,
            keep_firing_for: rule.keep_firing_for,
            labels,
            annotations,
        }
    }

    /// `ALERTS{alertname="x", alertstate="firing"}`
    fn alerts_of(&self, rule: &str) -> String {
        let environment = self.environment.map(|value| format!(", environment={}", quoted(value))).unwrap_or_default();
        format!("ALERTS{{alertname={}, alertstate=\"firing\"{environment}}}", quoted(rule))
    }

    /// 1 for each group of which this rule's alert fires.
    fn firing(&self) -> String {
        self.scope().aggregated("group", &self.alerts_of(&self.rule.id))
    }

    /// `{of}`, but only where this rule's alert fires.
    fn while_firing(&self, of: &str) -> String {
        format!("({of} and {} {})", self.scope().on(), self.alerts_of(&self.rule.id))
    }

    fn threshold(&self, threshold: &Threshold) -> Result<Said, Unsayable> {
        let scope = self.scope();
        let mut differs = Vec::new();
        let window = threshold.window;
        let query = |name: &str| match threshold.queries.get(name) {
            Some(query) if query.fill_zero => self.filled(query, threshold, window),
            Some(query) => scope.value(query, window),
            None => Err(format!("there is no query {name}")),
        };
        let value = arithmetic(&threshold.expression, &query)?;
        let term = if promql::is_term(&value) { value.clone() } else { format!("({value})") };
        let breaches = |condition: Condition| match threshold.n {
            1 => holds(&term, condition),
            n => {
                let range = format!("{}:1m", just_under(n as i64));
                format!("count_over_time(({})[{range}]) >= {}", holds(&term, condition), threshold.m)
            }
        };
        let mut parts = vec![breaches(threshold.when)];
        let stays = threshold.clear.negated();
        if stays != threshold.when {
            parts.push(self.while_firing(&breaches(stays)));
        }
        if threshold.n > 1 {
            // So that the value is that of the expression, and not how many minutes breach.
            let newest = format!("last_over_time(({value})[{}:1m])", just_under(threshold.n as i64));
            parts = vec![format!("{newest} and ({})", parts.join(" or "))];
            let is_always_there = scope.by.is_empty() && threshold.queries.values().all(|query| query.fill_zero);
            if !is_always_there {
                let n = threshold.n;
                differs.push(format!("its {n} minutes are the last {n}, and those without a value do not breach"));
            }
        }
        match threshold.missing {
            Missing::NotBreaching => {}
            Missing::Breaching => parts.push(format!("({NO_VALUE} * {})", self.absent(threshold, &term)?)),
            Missing::Ignore | Missing::NoData | Missing::Missing => {
                // What fires goes on where nothing is known.
                parts.push(format!("({NO_VALUE} * {} unless {} {term})", self.firing(), scope.on()));
                differs.push("a pending alert without a value begins again".to_owned());
            }
        }
        if threshold.missing != Missing::NotBreaching {
            self.value_differs(&mut differs, "while it fires without a value, its summary says NaN for it");
        }
        if matches!(threshold.missing, Missing::NoData | Missing::Missing) {
            differs.push("there is no alert about a lack of data".to_owned());
        }
        if !threshold.when.is_upward() && threshold.queries.values().any(|query| query.fill_zero) {
            differs.push("what was before the first sample counts as silence".to_owned());
        }
        Ok((parts.join("\nor\n"), differs))
    }

    /// The value of a query that is 0 where nothing came. Of a rule with groups it is for those groups of which another
    /// query has a value.
    fn filled(&self, query: &Query, threshold: &Threshold, window: i64) -> Result<String, Unsayable> {
        let scope = self.scope();
        let value = scope.value(query, window)?;
        if scope.by.is_empty() {
            return Ok(format!("({value} or vector(0))"));
        }
        let others = threshold.queries.values().filter(|other| *other != query);
        let zeros: Vec<String> = others
            .filter_map(|other| scope.value(&Query { min_samples: 0, ..other.clone() }, window).ok())
            .map(|other| format!(" or 0 * {other}"))
            .collect();
        Ok(if zeros.is_empty() { value } else { format!("({value}{})", zeros.concat()) })
    }

    /// The groups that have no `value` now: those that had any in the last two hours, as the engine sees them.
    fn absent(&self, threshold: &Threshold, value: &str) -> Result<String, Unsayable> {
        let scope = self.scope();
        if scope.by.is_empty() {
            return Ok(format!("absent({value})"));
        }
        let came: Result<Vec<String>, Unsayable> =
            threshold.queries.values().map(|query| scope.came(query, crate::metrics::recent::SPAN_MINUTES)).collect();
        Ok(format!("(({}) unless {} {value})", came?.join(" or "), scope.on()))
    }

    fn slo(&self, slo: &Slo) -> Result<(Vec<Alert>, Vec<String>), Unsayable> {
        let alerts: Result<Vec<Alert>, Unsayable> =
            slo.alerts.iter().map(|alert| self.burn_alert(slo, alert)).collect();
        Ok((alerts?, Vec::new()))
    }

    fn burn_alert(&self, slo: &Slo, alert: &BurnAlert) -> Result<Alert, Unsayable> {
        let mut pairs = Vec::new();
        for burn in &alert.burns {
            let [long, short] = [burn.long, burn.short].map(|minutes| self.burn_rate(slo, minutes));
            let factor = number(burn.factor);
            let scope = self.scope();
            let enough = match slo.min_samples {
                0 => String::new(),
                samples => format!("\n  and {} >= {samples}", scope.count(total(slo), burn.long)?),
            };
            pairs.push(format!("({} >= {factor}\n  and {} >= {factor}{enough})", long?, short?));
        }
        Ok(self.alert(pairs.join("\nor\n"), alert.severity.as_str(), Some(alert.label)))
    }

    /// How many times as fast the budget burns as it may.
    fn burn_rate(&self, slo: &Slo, minutes: i64) -> Result<String, Unsayable> {
        let scope = self.scope();
        let all = scope.count(total(slo), minutes)?;
        // Where nothing of the kind ever came there is no series, which is 0 wherever there is a total.
        let or_zero = |count: String| format!("({count} or 0 * {all})");
        let bad = match &slo.indicator {
            Indicator::Bad { bad, .. } => or_zero(scope.count(bad, minutes)?),
            Indicator::Good { good, .. } => format!("({all} - {})", or_zero(scope.count(good, minutes)?)),
            Indicator::Within { query, limit } => format!("({all} - {})", scope.within(query, *limit, minutes)?),
        };
        Ok(format!("{bad} / ({all} > 0) / {}", number(slo.budget())))
    }

    fn absence(&self, absence: &Absence) -> Result<Said, Unsayable> {
        let scope = self.scope();
        let (known, heard) =
            (scope.came(&absence.query, absence.forget_after)?, scope.came(&absence.query, absence.after)?);
        let mut differs = late(&absence.query);
        self.value_differs(&mut differs, silent_for(absence.after));
        Ok((format!("{} * {known} unless {} {heard}", absence.after, scope.on()), differs))
    }

    fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<Said, Unsayable> {
        let silent = heartbeat.every + heartbeat.grace;
        let heard = self.scope().came(&heartbeat.query, silent)?;
        let mut differs = late(&heartbeat.query);
        self.value_differs(&mut differs, silent_for(silent));
        differs.push("it fires from the beginning where nothing was ever heard".to_owned());
        Ok((format!("{silent} * absent({heard})"), differs))
    }

    fn composite(&self, composite: &Composite) -> Result<String, Unsayable> {
        let group_by = &self.rule.group_by;
        let whole: Vec<&str> = composite.logic.rules().into_iter().collect();
        for rule in &whole {
            if !self.exported.contains_key(*rule) {
                return Err(format!("it speaks of {rule}, which is not in here"));
            }
        }
        if group_by.is_empty() {
            return Ok(self.logic(&composite.logic, "vector(1)"));
        }
        // The groups are those of the rules that tell all of its labels apart.
        let universe: Vec<String> = whole
            .iter()
            .filter(|rule| group_by.iter().all(|name| self.exported[**rule].contains(name)))
            .map(|rule| aggregated("group", group_by, &self.alerts_of(rule)))
            .collect();
        if universe.is_empty() {
            return Err(format!("no rule that it speaks of has all of the labels {}", group_by.join(", ")));
        }
        let universe = format!("({})", universe.join(" or "));
        Ok(self.logic(&composite.logic, &universe))
    }

    /// The groups of `universe` of which `logic` holds.
    fn logic(&self, logic: &Logic, universe: &str) -> String {
        let group_by = &self.rule.group_by;
        let on = format!("on ({})", group_by.join(", "));
        match logic {
            Logic::Fires(rule) | Logic::AtLeast(rule, _) => {
                let common: Vec<String> =
                    group_by.iter().filter(|name| self.exported[rule].contains(*name)).cloned().collect();
                let firing = match logic {
                    Logic::AtLeast(_, number) => {
                        format!("{} >= {number}", aggregated("count", &common, &self.alerts_of(rule)))
                    }
                    _ => aggregated("group", &common, &self.alerts_of(rule)),
                };
                if common.len() == group_by.len() {
                    return format!("({firing})"); // They are among the groups.
                }
                format!("({universe} and on ({}) ({firing}))", common.join(", "))
            }
            Logic::Not(inner) => format!("({universe} unless {on} {})", self.logic(inner, universe)),
            Logic::And(left, right) => {
                format!("({} and {on} {})", self.logic(left, universe), self.logic(right, universe))
            }
            Logic::Or(left, right) => {
                format!("({} or {on} {})", self.logic(left, universe), self.logic(right, universe))
            }
        }
    }

    /// Events are counted by a metric as well, which has their type and service.
    fn event(&self, event: &Event) -> Result<Said, Unsayable> {
        let metric = registry::find("security_events").ok_or("no metric counts events")?;
        let named = event.filters.keys().chain(&self.rule.group_by);
        if let Some(field) = named.into_iter().find(|name| !metric.dimensions.contains(&name.as_str())) {
            return Err(format!("the metric that counts events does not know their {field}"));
        }
        let filters = event.filters.iter().map(|(name, patterns)| (name.clone(), one_of(patterns))).collect();
        let query =
            Query { source: Source::Own(metric), statistic: Statistic::Sum, filters, fill_zero: false, min_samples: 0 };
        let scope = self.scope();
        let (recent, kept) = (scope.count(&query, event.window)?, scope.count(&query, event.resolve_after)?);
        let fires = holds(&recent, event.when);
        let on = scope.on();
        // The value is that of the window as long as the alert lasts.
        let goes_on = if event.resolve_after == event.window {
            format!("{recent} > 0")
        } else if event.resolve_after <= IDLE_MINUTES {
            format!("{recent} and {on} {kept} > 0")
        } else {
            format!("({recent} or 0 * {kept}) and {on} {kept} > 0") // Its series may have ended.
        };
        let goes_on = self.while_firing(&goes_on);
        let differs = vec!["events are counted by the minute, a minute or two after they came".to_owned()];
        Ok((format!("{fires}\nor\n{goes_on}"), differs))
    }
}

/// What counts all of what an SLO is about.
fn total(slo: &Slo) -> &Query {
    match &slo.indicator {
        Indicator::Good { total, .. } | Indicator::Bad { total, .. } | Indicator::Within { query: total, .. } => total,
    }
}

fn is_gauge(query: &Query) -> bool {
    matches!(&query.source, Source::Own(metric) if metric.kind == MetricKind::Gauge)
}

/// What the value is of an alert about silence, which has no other.
fn silent_for(minutes: i64) -> String {
    format!("the value in its summary is always {minutes}: for so many minutes at least nothing came")
}

/// By how much silence is seen later than it is there.
fn late(query: &Query) -> Vec<String> {
    let gauge = format!(
        "a gauge is told to Prometheus for {IDLE_MINUTES} minutes after its last value, so it fires that much later"
    );
    if is_gauge(query) { vec![gauge] } else { Vec::new() }
}
