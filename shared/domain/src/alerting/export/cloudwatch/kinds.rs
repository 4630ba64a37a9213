//! What each kind of rule is as alarms.

use std::collections::BTreeSet;

use crate::alerting::condition::{Comparison, Condition};
use crate::alerting::rules::kind::{BURN, Burn, BurnAlert, Composite, Event, Indicator, Kind, Slo, Threshold};
use crate::alerting::rules::logic::Logic;
use crate::alerting::rules::{Labels, Missing, Query, Rule, Source, Statistic};

use super::super::{duration, one_of};
use super::math::{Math, Unsayable, arithmetic, events, is_enumerated};
use super::{Alarm, Alert, Exported, LONGEST_ALARM_RULE, MAX_CHILDREN, Made, Series, Values, Watches};

/// A rule, and what was exported before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub rule: &'a Rule,
    pub values: &'a Values,
    pub exported: &'a Exported,
}

impl Context<'_> {
    /// The alarms of the rule, and in which ways they are not quite what it says.
    pub fn alarms(&self) -> Result<(Vec<Alarm>, Vec<String>), Unsayable> {
        let mut differs = self.common_differences();
        let mut alarms = Vec::new();
        for labels in self.groups()? {
            match &self.rule.kind {
                Kind::Metric(threshold) => {
                    let series = self.threshold(threshold, &labels)?;
                    alarms.push(self.alarm(labels, Watches::Series(series)));
                }
                Kind::Slo(slo) => {
                    for alert in &slo.alerts {
                        self.burn_alarms(slo, alert, &labels, &mut alarms)?;
                    }
                }
                Kind::Absence(absence) => {
                    let series = self.silence(&absence.query, absence.after, &labels)?;
                    alarms.push(self.alarm(labels, Watches::Series(series)));
                }
                Kind::Heartbeat(heartbeat) => {
                    let series = self.silence(&heartbeat.query, heartbeat.every + heartbeat.grace, &labels)?;
                    alarms.push(self.alarm(labels, Watches::Series(series)));
                }
                Kind::Composite(composite) => {
                    let watches = self.composite(composite, &labels)?;
                    alarms.push(self.alarm(labels, watches));
                }
                Kind::Event(event) => {
                    let series = self.event(event, &labels)?;
                    alarms.push(self.alarm(labels, Watches::Series(series)));
                }
            }
        }
        differs.extend(self.differences());
        Ok((alarms, differs))
    }

    fn alarm(&self, labels: Labels, watches: Watches) -> Alarm {
        Alarm { suffix: self.suffix(&labels), labels, severity: self.rule.severity, is_alert: true, watches }
    }

    /// The values of a group in the order in which the rule names its labels.
    fn suffix(&self, labels: &Labels) -> Vec<String> {
        self.rule.group_by.iter().filter_map(|name| labels.get(name).cloned()).collect()
    }

    /// The groups that are known: each value of each label with each of the others.
    fn groups(&self) -> Result<Vec<Labels>, Unsayable> {
        let mut groups = vec![Labels::new()];
        for name in &self.rule.group_by {
            let known = self.values.get(name).filter(|values| !values.is_empty());
            let known = known.ok_or_else(|| {
                format!("an alarm is for one series: give the values of {name} that there are, --values {name}=...")
            })?;
            let with = |labels: &Labels| {
                let labels = labels.clone();
                known.iter().map(move |value| {
                    let mut labels = labels.clone();
                    labels.insert(name.clone(), value.clone());
                    labels
                })
            };
            groups = groups.iter().flat_map(with).collect();
        }
        Ok(groups)
    }

    /// What no alarm has.
    fn common_differences(&self) -> Vec<String> {
        let mut differs = Vec::new();
        if self.rule.keep_firing_for > 0 {
            differs.push(format!("it is not kept firing for {}", duration(self.rule.keep_firing_for)));
        }
        if self.rule.queries().iter().any(|(_, query)| query.filters.values().any(is_enumerated)) {
            differs.push("of a filter by pattern only the values that were known are seen".to_owned());
        }
        differs
    }

    fn differences(&self) -> Vec<String> {
        let mut differs = Vec::new();
        let hold = self.rule.hold;
        match &self.rule.kind {
            Kind::Metric(threshold) => {
                if threshold.clear != threshold.when.negated() {
                    differs.push(format!(
                        "it ends as soon as it is not {}, and does not wait for {}",
                        threshold.when, threshold.clear
                    ));
                }
                if threshold.window > 1 && (threshold.n > 1 || hold > 0) {
                    let window = duration(threshold.window);
                    differs.push(format!("its datapoints are {window} long, one after another, and do not overlap"));
                }
                if threshold.n > 1 && hold > 0 {
                    differs.push(format!("it does not wait for {} beside its datapoints", duration(hold)));
                }
            }
            Kind::Slo(_) | Kind::Composite(_) if hold > 0 => {
                differs.push(format!("it does not wait for {}", duration(hold)));
            }
            Kind::Absence(absence) => {
                let forgotten = duration(absence.forget_after);
                differs.push(format!("it also fires for what never came, and does not end after {forgotten}"));
            }
            Kind::Event(event) if event.resolve_after > event.window => {
                differs.push(format!("it ends {} after the last event", duration(event.window)));
            }
            Kind::Slo(_) | Kind::Composite(_) | Kind::Heartbeat(_) | Kind::Event(_) => {}
        }
        differs
    }

    fn threshold(&self, threshold: &Threshold, labels: &Labels) -> Result<Series, Unsayable> {
        let mut math = Math::of_period(threshold.window);
        let mut query = |name: &str| match threshold.queries.get(name) {
            Some(query) => math.query(query, labels, self.values),
            None => Err(format!("there is no query {name}")),
        };
        let expression = arithmetic(&threshold.expression, &mut query)?;
        math.expression = expression;
        let (periods, breaching) = if threshold.n > 1 {
            (threshold.n as i64, threshold.m as i64)
        } else {
            // As many periods as it takes until the first of them is so long ago.
            let held = 1 + (self.rule.hold + threshold.window - 1) / threshold.window;
            (held, held)
        };
        let missing = match threshold.missing {
            Missing::NotBreaching => "notBreaching",
            Missing::Breaching => "breaching",
            Missing::Ignore => "ignore",
            Missing::NoData | Missing::Missing => "missing",
        };
        Series { math, condition: threshold.when, periods, breaching, missing }.check()
    }

    /// An alarm for each window, and one that puts them together.
    fn burn_alarms(
        &self,
        slo: &Slo,
        alert: &BurnAlert,
        labels: &Labels,
        alarms: &mut Vec<Alarm>,
    ) -> Result<(), Unsayable> {
        let mut pairs = Vec::new();
        let burning: Labels = labels.clone().into_iter().chain([(BURN.to_owned(), alert.label.to_owned())]).collect();
        let alarm = |suffix: Vec<String>, is_alert: bool, watches: Watches| {
            let suffix = self.suffix(labels).into_iter().chain(suffix).collect();
            Alarm { suffix, labels: burning.clone(), severity: alert.severity, is_alert, watches }
        };
        for burn in &alert.burns {
            pairs.push([alarms.len(), alarms.len() + 1]);
            for (minutes, samples) in [(burn.long, slo.min_samples), (burn.short, 0)] {
                let series = self.burn_rate(slo, *burn, minutes, samples, labels)?;
                let window = format!("{}x-{}", burn.factor, duration(minutes));
                alarms.push(alarm(vec![alert.label.to_owned(), window], false, Watches::Series(series)));
            }
        }
        alarms.push(alarm(vec![alert.label.to_owned()], true, Watches::Pairs(pairs)));
        Ok(())
    }

    /// The share that is bad, against what would burn the budget so fast.
    fn burn_rate(
        &self,
        slo: &Slo,
        burn: Burn,
        minutes: i64,
        samples: u64,
        labels: &Labels,
    ) -> Result<Series, Unsayable> {
        let mut math = Math::of_period(minutes);
        let values = self.values;
        let (share, all) = match &slo.indicator {
            Indicator::Bad { bad, total } => {
                let (bad, all) = (math.samples_or_zero(bad, labels, values)?, math.samples(total, labels, values)?);
                (format!("{bad} / {all}"), all)
            }
            Indicator::Good { good, total } => {
                let (good, all) = (math.samples_or_zero(good, labels, values)?, math.samples(total, labels, values)?);
                (format!("1 - {good} / {all}"), all)
            }
            Indicator::Within { query, limit } => {
                let within = math.within(query, *limit, labels, values)?;
                let all = if samples > 0 { math.samples(query, labels, values)? } else { String::new() };
                (format!("1 - {within} / 100"), all)
            }
        };
        math.expression = if samples > 0 { format!("({share}) / ({all} >= {samples})") } else { share };
        let condition = Condition { comparison: Comparison::Gte, threshold: burn.factor * slo.budget() };
        Series { math, condition, periods: 1, breaching: 1, missing: "notBreaching" }.check()
    }

    /// In alarm where nothing came for so many minutes.
    fn silence(&self, query: &Query, minutes: i64, labels: &Labels) -> Result<Series, Unsayable> {
        let mut math = Math::of_period(minutes);
        math.expression = math.samples_or_zero(query, labels, self.values)?;
        let condition = Condition { comparison: Comparison::Lte, threshold: 0.0 };
        Series { math, condition, periods: 1, breaching: 1, missing: "breaching" }.check()
    }

    fn event(&self, event: &Event, labels: &Labels) -> Result<Series, Unsayable> {
        let metric = events()?;
        let named: BTreeSet<&str> = event.filters.keys().chain(&self.rule.group_by).map(String::as_str).collect();
        let named: Vec<&str> = named.into_iter().collect();
        if !metric.has_set(&named) {
            return Err(format!("CloudWatch does not have {} by ({})", metric.name, named.join(", ")));
        }
        let filters = event.filters.iter().map(|(name, patterns)| (name.clone(), one_of(patterns))).collect();
        let (source, statistic) = (Source::Own(metric), Statistic::Sum);
        let query = Query { source, statistic, filters, fill_zero: true, min_samples: 0 };
        let mut math = Math::of_period(event.window);
        math.expression = math.query(&query, labels, self.values)?;
        Series { math, condition: event.when, periods: 1, breaching: 1, missing: "notBreaching" }.check()
    }

    fn composite(&self, composite: &Composite, labels: &Labels) -> Result<Watches, Unsayable> {
        let mut resources = BTreeSet::new();
        let rule = self.logic(&composite.logic, labels, &mut resources)?;
        if rule.len() > LONGEST_ALARM_RULE || resources.len() > MAX_CHILDREN {
            let children = resources.len();
            return Err(format!(
                "it would speak of {children} alarms in {} characters, and an alarm speaks of {MAX_CHILDREN} in \
                 {LONGEST_ALARM_RULE}",
                rule.len()
            ));
        }
        Ok(Watches::Alarms { rule, resources })
    }

    fn logic(&self, logic: &Logic, labels: &Labels, resources: &mut BTreeSet<String>) -> Result<String, Unsayable> {
        match logic {
            Logic::Fires(rule) | Logic::AtLeast(rule, 1) => self.any_of(rule, labels, resources),
            Logic::AtLeast(rule, number) => {
                Err(format!("alarms do not count how many of {rule} are at least {number}"))
            }
            Logic::Not(inner) => Ok(format!("NOT {}", self.logic(inner, labels, resources)?)),
            Logic::And(left, right) => {
                let left = self.logic(left, labels, resources)?;
                Ok(format!("({left} AND {})", self.logic(right, labels, resources)?))
            }
            Logic::Or(left, right) => {
                let left = self.logic(left, labels, resources)?;
                Ok(format!("({left} OR {})", self.logic(right, labels, resources)?))
            }
        }
    }

    /// Whether an alarm of `rule` with the same values of the labels that both have is in alarm.
    fn any_of(&self, rule: &str, labels: &Labels, resources: &mut BTreeSet<String>) -> Result<String, Unsayable> {
        let alerts = self.exported.get(rule).ok_or_else(|| format!("it speaks of {rule}, which is not in here"))?;
        let same =
            |alert: &&Alert| labels.iter().all(|(name, value)| alert.labels.get(name).is_none_or(|own| own == value));
        let meant: Vec<&Made> = alerts.iter().filter(same).map(|alert| &alert.made).collect();
        resources.extend(meant.iter().map(|made| made.resource.clone()));
        let alarms: Vec<String> = meant.iter().map(|made| made.is_in_alarm()).collect();
        Ok(match alarms.as_slice() {
            [] => "FALSE".to_owned(),
            [one] => one.clone(),
            several => format!("({})", several.join(" OR ")),
        })
    }
}
