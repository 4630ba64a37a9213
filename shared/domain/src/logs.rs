//! Log lines: from a CloudWatch Logs delivery to archive objects and metrics.
