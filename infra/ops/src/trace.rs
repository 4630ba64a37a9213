//! A trace, as X-Ray has it.

use std::io::Write;

use domain::ports::ReadTrace;
use domain::traces::tree;
use schema::trace::TraceId;

/// Prints the trace as a tree; false where X-Ray has none of it.
pub(crate) async fn print(xray: &impl ReadTrace, id: TraceId, out: &mut impl Write) -> anyhow::Result<bool> {
    let documents = xray.read_trace(id).await?.filter(|documents| !documents.is_empty());
    match documents {
        Some(documents) => {
            write!(out, "{}", tree::render(id, &documents))?;
            Ok(true)
        }
        None => {
            writeln!(
                out,
                "X-Ray has no trace {id}, or could not read it now. It keeps traces for 30 days, has them some seconds after they ended, and only \
                 those that were sampled; the archive has the lines of all (trace_id)."
            )?;
            Ok(false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ports::PortError;

    const ID: &str = "1-5759e988-bd862e3fe1be46a994272793";

    struct Fixed(Option<Vec<String>>);

    impl ReadTrace for Fixed {
        async fn read_trace(&self, _: TraceId) -> Result<Option<Vec<String>>, PortError> {
            Ok(self.0.clone())
        }
    }

    async fn printed(id: &str, documents: Option<Vec<String>>) -> (bool, String) {
        let mut out = Vec::new();
        let found = print(&Fixed(documents), id.parse().unwrap(), &mut out).await.unwrap();
        (found, String::from_utf8(out).unwrap())
    }

    #[tokio::test]
    async fn a_trace_is_printed_by_either_way_of_writing_its_id() {
        let document = format!(
            r#"{{"id":"53995c3f42cd8ad8","trace_id":"{ID}","name":"api","start_time":1795341903.5,"end_time":1795341903.75}}"#
        );
        for id in [ID, "5759e988bd862e3fe1be46a994272793"] {
            let (found, text) = printed(id, Some(vec![document.clone()])).await;
            assert!(found && text.contains("began 2026-11-22T10:05:03.5Z, took 250.000 ms"), "{text}");
            assert!(text.contains("0.000 ms   250.000 ms  [api]"), "{text}");
        }
    }

    #[tokio::test]
    async fn one_that_is_not_there_is_told() {
        for documents in [None, Some(Vec::new())] {
            let (found, text) = printed(ID, documents).await;
            assert!(
                !found && text.starts_with(&format!("X-Ray has no trace {ID}, or could not read it now.")),
                "{text}"
            );
        }
    }
}
