-- Ready queries over the table of archive.sql. Each begins with a line `-- name: what it answers`; change the values in
-- its WHERE. They are Athena's SQL, and infra/athena/query.py runs the same text on a folder with DuckDB.

-- errors: where and when errors are, by service and hour
SELECT service, hour, level, count(*) AS lines
FROM archive
WHERE env = 'production' AND dt = '2026-11-21' AND level IN ('ERROR', 'CRITICAL')
GROUP BY service, hour, level
ORDER BY service, hour, level;

-- slow_statements: which statements cost the most time, literals apart, and how long they take
SELECT
    json_extract_scalar(details, '$.fingerprint') AS fingerprint,
    min(message) AS example,
    count(*) AS calls,
    sum(duration_ms) AS total_ms,
    approx_percentile(duration_ms, 0.95) AS p95_ms,
    max(duration_ms) AS max_ms
FROM archive
WHERE env = 'production' AND dt = '2026-11-21' AND source.format = 'postgresql' AND duration_ms IS NOT NULL
GROUP BY json_extract_scalar(details, '$.fingerprint')
ORDER BY total_ms DESC
LIMIT 20;

-- request: everything that was written for one request, or in one trace, in the order of time
SELECT "timestamp", service, level, category, message, details, error
FROM archive
WHERE env = 'production' AND dt BETWEEN '2026-11-21' AND '2026-11-22'
    AND (context.request_id = 'r-1' OR context.trace_id = '1-5f84c596-5c35f2b8f0a54e1a7a2b3c4d')
ORDER BY "timestamp", source.event_id;

-- person: where one person occurs, over all services, by the pseudonym that stands in the archive for whatever it was
SELECT service, dt, count(*) AS lines, min("timestamp") AS first_seen, max("timestamp") AS last_seen
FROM archive
WHERE env = 'production' AND dt BETWEEN '2026-11-15' AND '2026-11-21'
    AND strpos(concat(message, coalesce(context.user_id, ''), coalesce(details, ''), coalesce(error, ''),
        coalesce(extra, '')), '[email:jkfbhbrhnzmtzfcv]') > 0
GROUP BY service, dt
ORDER BY service, dt;

-- lines: how many log events are archived by service and hour; compare with the metric pipeline_lines_archived
-- (Sum, period 1 h, dimension service), which the pipeline counts by itself. A record stands for its own log event and
-- for those joined to it.
SELECT service, dt, hour, sum(1 + coalesce(cardinality(source.joined), 0)) AS lines, count(*) AS records
FROM archive
WHERE env = 'production' AND dt = '2026-11-21'
GROUP BY service, dt, hour
ORDER BY service, dt, hour;

-- doubles: log events that are in the archive more than once, alone or joined; no row is the right answer
SELECT event_id, count(*) AS times
FROM archive CROSS JOIN UNNEST(ARRAY[source.event_id] || coalesce(source.joined, ARRAY[])) AS ids (event_id)
WHERE env = 'production' AND dt = '2026-11-21'
GROUP BY event_id
HAVING count(*) > 1;
