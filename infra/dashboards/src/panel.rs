//! What a dashboard is made of: rows of panels, each with its queries, and where they stand on the grid.

use crate::expression::{Expression, Mistake, Quantity, Resource};
use crate::metric_math::{Plan, Shape};
use crate::promql;

/// Columns of the grid, in Grafana and in CloudWatch.
pub const COLUMNS: u32 = 24;

/// One dashboard.
#[derive(Debug, Clone, PartialEq)]
pub struct Board {
    /// Its name in addresses: lower-case, without spaces.
    pub name: &'static str,
    /// Its title.
    pub title: &'static str,
    /// One sentence.
    pub description: &'static str,
    /// How far back it looks when it is opened, in hours.
    pub hours: u32,
    /// From top to bottom.
    pub rows: Vec<Row>,
}

/// Panels under a heading.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The heading.
    pub title: &'static str,
    /// Whether there is one such row for each chosen service, about that service alone.
    pub of_service: bool,
    /// From left to right; what does not fit goes into the next line.
    pub panels: Vec<Panel>,
}

/// How a panel looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Lines over time.
    Graph,
    /// Large numbers.
    Number,
    /// Large numbers on a scale from 0 to 1, or to 100.
    Gauge,
    /// The last values, one a line.
    Table,
}

impl Kind {
    /// What its queries are for.
    pub fn shape(self) -> Shape {
        match self {
            Kind::Graph => Shape::Graph,
            Kind::Number | Kind::Gauge | Kind::Table => Shape::Number,
        }
    }
}

/// A colour that says how things stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// All is well.
    Green,
    /// Worth a look.
    Orange,
    /// Something has to be done.
    Red,
    /// No judgement.
    Blue,
}

/// From which value on which colour holds, in the unit of the registry.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    /// Below the first.
    pub base: Colour,
    /// From here up, ascending.
    pub steps: Vec<(f64, Colour)>,
}

impl Thresholds {
    /// No judgement.
    pub fn none() -> Thresholds {
        Thresholds { base: Colour::Blue, steps: vec![] }
    }

    /// The more, the worse.
    pub fn below(orange: f64, red: f64) -> Thresholds {
        Thresholds { base: Colour::Green, steps: vec![(orange, Colour::Orange), (red, Colour::Red)] }
    }

    /// The less, the worse.
    pub fn above(orange: f64, green: f64) -> Thresholds {
        Thresholds { base: Colour::Red, steps: vec![(orange, Colour::Orange), (green, Colour::Green)] }
    }
}

/// One expression of a panel.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// What is asked.
    pub expression: Expression,
    /// What its line is called; `{service}` is the value of that dimension.
    pub legend: &'static str,
}

/// One panel.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// Its title.
    pub title: &'static str,
    /// What it shows and what to do about it.
    pub description: &'static str,
    /// How it looks.
    pub kind: Kind,
    /// Columns that it takes.
    pub width: u32,
    /// Grid rows that it takes.
    pub height: u32,
    /// What it shows.
    pub queries: Vec<Query>,
    /// When which colour.
    pub thresholds: Thresholds,
}

impl Panel {
    /// A panel of this size, without queries yet.
    pub fn new(kind: Kind, title: &'static str, (width, height): (u32, u32), description: &'static str) -> Panel {
        Panel { title, description, kind, width, height, queries: vec![], thresholds: Thresholds::none() }
    }

    /// Shows this, too.
    pub fn query(mut self, legend: &'static str, expression: impl Into<Expression>) -> Panel {
        self.queries.push(Query { expression: expression.into(), legend });
        self
    }

    /// Colours by these.
    pub fn thresholds(self, thresholds: Thresholds) -> Panel {
        Panel { thresholds, ..self }
    }

    fn named<T>(&self, result: Result<T, Mistake>) -> Result<T, Mistake> {
        result.map_err(|source| Mistake::Panel { title: self.title.to_owned(), source: Box::new(source) })
    }

    /// Checks it against the registry, for each store.
    ///
    /// # Errors
    ///
    /// The first mistake, with the panel's title.
    pub fn check(&self, of_service: bool) -> Result<(), Mistake> {
        if self.queries.is_empty() || !(1..=COLUMNS).contains(&self.width) {
            return self.named(Err(Mistake::Shape(self.queries.len(), self.width)));
        }
        self.plans(of_service)?;
        for query in &self.queries {
            if self.named(query.expression.is_in_prometheus())? {
                self.named(promql::render(&query.expression))?;
            }
        }
        Ok(())
    }

    /// What it is a figure of: that of its first query, and for the others their own.
    ///
    /// # Errors
    ///
    /// The first mistake, with the panel's title.
    pub fn quantities(&self) -> Result<Vec<Quantity>, Mistake> {
        self.queries.iter().map(|query| self.named(query.expression.quantity())).collect()
    }

    /// What CloudWatch is asked for each query. Ids begin with another letter for each.
    ///
    /// # Errors
    ///
    /// The first mistake, with the panel's title.
    pub fn plans(&self, of_service: bool) -> Result<Vec<Plan>, Mistake> {
        let plans: Vec<Plan> = self
            .queries
            .iter()
            .zip('a'..='z')
            .map(|(query, prefix)| self.named(Plan::of(&query.expression, self.kind.shape(), of_service, prefix)))
            .collect::<Result<_, _>>()?;
        let mut back = plans.iter().filter_map(|plan| plan.back);
        let first = back.next();
        if let (Some(first), Some(other)) = (first, back.find(|hours| Some(*hours) != first)) {
            use crate::expression::Window::Hours;
            return self.named(Err(Mistake::Windows(Hours(first), Hours(other))));
        }
        Ok(plans)
    }
}

impl Board {
    /// Checks every panel.
    ///
    /// # Errors
    ///
    /// The first mistake.
    pub fn check(&self) -> Result<(), Mistake> {
        for row in &self.rows {
            for panel in &row.panels {
                panel.check(row.of_service)?;
            }
        }
        Ok(())
    }

    /// Every expression of every panel.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.rows.iter().flat_map(|row| &row.panels).flat_map(|panel| &panel.queries).map(|query| &query.expression)
    }

    /// The resources that it is about, apart from services.
    pub fn resources(&self) -> Vec<Resource> {
        let mut found = vec![];
        for resource in self.expressions().flat_map(Expression::series).filter_map(|series| series.resource) {
            if !found.contains(&resource) {
                found.push(resource);
            }
        }
        found
    }
}

/// Where something stands on the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Column of its left edge.
    pub x: u32,
    /// Grid row of its upper edge.
    pub y: u32,
    /// Columns.
    pub width: u32,
    /// Grid rows.
    pub height: u32,
}

/// Places the panels of a row from left to right, beginning at grid row `y`; tells where the next row begins.
pub fn place(panels: &[Panel], mut y: u32) -> (Vec<Place>, u32) {
    let (mut x, mut line_height) = (0, 0);
    let mut places = Vec::with_capacity(panels.len());
    for panel in panels {
        if x + panel.width > COLUMNS {
            (x, y, line_height) = (0, y + line_height, 0);
        }
        places.push(Place { x, y, width: panel.width, height: panel.height });
        x += panel.width;
        line_height = line_height.max(panel.height);
    }
    (places, y + line_height)
}

/// A legend with each `{dimension}` replaced by what `value` makes of the dimension's name.
pub fn legend(text: &str, value: impl Fn(&str) -> String) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, behind) = after.split_once('}').unwrap_or((after, ""));
        out.push_str(before);
        out.push_str(&value(name));
        rest = behind;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::{Window, count, rate};

    fn panel(width: u32) -> Panel {
        Panel::new(Kind::Graph, "t", (width, 8), "d").query("requests", rate("api_requests"))
    }

    #[test]
    fn panels_go_from_left_to_right_and_then_into_the_next_line() {
        let (places, next) = place(&[panel(12), panel(12), panel(16), panel(12)], 5);
        let corners: Vec<_> = places.iter().map(|place| (place.x, place.y)).collect();
        assert_eq!((corners, next), (vec![(0, 5), (12, 5), (0, 13), (0, 21)], 29));
    }

    #[test]
    fn a_mistake_names_its_panel() {
        let wrong = Panel::new(Kind::Graph, "Users", (12, 8), "d").query("users", rate("active_users"));
        let mistake = wrong.check(false).unwrap_err();
        assert_eq!(mistake.to_string(), "panel `Users`");
        let source = std::error::Error::source(&mistake).map(ToString::to_string);
        assert_eq!(source.as_deref(), Some("active_users is a Gauge, which has no rate"));
        assert!(panel(25).check(false).is_err() && panel(0).check(false).is_err() && panel(24).check(false).is_ok());
        assert!(Panel::new(Kind::Graph, "t", (12, 8), "d").check(false).is_err(), "no query");
    }

    #[test]
    fn a_panel_looks_back_by_one_window() {
        let over = |hours| count("contracts_created", Window::Hours(hours));
        let panel = |kind| Panel::new(kind, "t", (6, 4), "d").query("one", over(1)).query("six", over(6));
        assert!(panel(Kind::Number).check(false).is_err());
        assert!(panel(Kind::Graph).check(false).is_ok());
    }

    #[test]
    fn legends_name_values_of_dimensions() {
        assert_eq!(legend("{service} p95 {table}", |name| format!("<{name}>")), "<service> p95 <table>");
        assert_eq!(legend("plain", |name| name.to_owned()), "plain");
    }
}
