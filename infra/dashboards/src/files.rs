//! The files that are generated: Grafana's dashboards in infra/grafana, and the block of template.yaml.

use crate::boards;
use crate::cloudwatch;
use crate::expression::Mistake;
use crate::grafana::{self, Flavour};

/// What the block of the template begins with.
pub const BEGIN: &str = "  # BEGIN dashboards: generated from infra/dashboards";
/// What it ends with.
pub const END: &str = "  # END dashboards";

/// Grafana's dashboards, by their paths from the root of the repository.
///
/// # Errors
///
/// The first mistake in a dashboard.
pub fn of_grafana() -> Result<Vec<(String, String)>, Mistake> {
    let mut files = vec![];
    for board in boards::all() {
        for flavour in [Flavour::Prometheus, Flavour::CloudWatch] {
            let dashboard = grafana::dashboard(&board, flavour)?;
            let path = format!("infra/grafana/{}-{}.json", board.name, flavour.name());
            files.push((path, format!("{dashboard:#}\n")));
        }
    }
    Ok(files)
}

/// The template with the block in it written anew; all around it stays.
///
/// # Errors
///
/// The first mistake in the dashboard, and where the template has no such block.
pub fn template(template: &str) -> Result<String, Mistake> {
    let (before, rest) = template.split_once(BEGIN).ok_or(Mistake::NoMarker(BEGIN))?;
    let (_, after) = rest.split_once(END).ok_or(Mistake::NoMarker(END))?;
    Ok(format!("{before}{BEGIN}{}{END}{after}", block()?))
}

/// The resource, from behind the marker on.
fn block() -> Result<String, Mistake> {
    let body = cloudwatch::body(&boards::overview())?;
    let body: String = body.lines().map(|line| format!("        {line}\n")).collect();
    Ok(format!(
        " (UPDATE_SNAPSHOTS=1 cargo test -p dashboards)
  OverviewDashboard:
    Type: AWS::CloudWatch::Dashboard
    Properties:
      DashboardName: !Sub ${{AWS::StackName}}-overview
      DashboardBody: !Sub |
{body}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_markers_is_written() {
        let old = format!("a\n{BEGIN}\nSTALE\n{END}\nb\n");
        let new = template(&old).unwrap_or_default();
        assert!(new.starts_with(&format!("a\n{BEGIN} (")) && new.ends_with(&format!("\n{END}\nb\n")), "{new}");
        assert!(!new.contains("STALE"));
        assert_eq!(template(&new).as_deref(), Ok(new.as_str()), "written again it is the same");
    }

    #[test]
    fn a_template_without_the_block_is_refused() {
        assert_eq!(template("Resources:\n"), Err(Mistake::NoMarker(BEGIN)));
        assert_eq!(template(&format!("{BEGIN}\n")), Err(Mistake::NoMarker(END)));
    }
}
