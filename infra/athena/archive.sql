-- The archive as an Athena table (engine version 3), read where it lies: nothing to load, no partition to add.
--
-- Once for each bucket (the output BucketName of the stack):
--
--     CREATE DATABASE observability;   -- then, with the bucket's name in it, this file:
--     sed 's/<bucket>/land-contracts-archive-1234/' infra/athena/archive.sql
--
-- Compression: objects end in .zst, by which Athena knows Zstandard; text tables need no property for it.
--
-- SerDe: OpenX, because it gives an object that is read as a string as JSON text; Hive's own JSON SerDe refuses that.
-- `details`, `error`, `span` and `extra` hold what each writer chose, so no struct fits them: ask with
-- json_extract_scalar(details, '$.event'). Anything malformed is an error and not a row of nulls; the pipeline
-- writes nothing malformed, and a test says so.
--
-- Partitions are computed from the query (partition projection), so that lines can be asked for as soon as they are
-- stored:
--   env      injected: every query says which environment it is about, and one that forgets is refused rather than
--            mixing a rehearsal with production.
--   service  a list, so that a query may go over all services, which the path of a request or a person is. A service
--            that is not in the list is not seen: add it when its log group is subscribed (tests/athena.rs compares
--            the list with template.yaml):
--                ALTER TABLE archive SET TBLPROPERTIES ('projection.service.values' = 'web,api,...');
--   dt       UTC day of the event time, a string like 2026-11-21. Up to tomorrow, since a clock may be ahead of ours.
--            Say a day or a range in every query: without it, all hours since the first day are looked up.
--   hour     UTC hour, 0 to 23.
CREATE EXTERNAL TABLE IF NOT EXISTS archive (
    -- RFC 3339, in UTC: from_iso8601_timestamp("timestamp"). What the writer claims; source.event_time is CloudWatch's.
    `timestamp` string,
    `level` string,
    `category` string,
    `message` string,
    `context` struct<
        request_id: string,
        user_id: string,
        session_id: string,
        service_name: string,
        environment: string,
        version: string,
        trace_id: string,
        span_id: string
    >,
    -- JSON text.
    `details` string,
    `error` string,
    `duration_ms` double,
    -- JSON text; null but for the lines that services write when a span ends: json_extract_scalar(span, '$.status').
    `span` string,
    `extra` string,
    -- `joined` has the ids of further log events whose lines are part of this record; null where there are none.
    `source` struct<
        owner: string,
        log_group: string,
        log_stream: string,
        event_id: string,
        event_time: string,
        format: string,
        joined: array<string>
    >
)
PARTITIONED BY (`env` string, `service` string, `dt` string, `hour` int)
ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
STORED AS INPUTFORMAT 'org.apache.hadoop.mapred.TextInputFormat'
OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'
LOCATION 's3://<bucket>/archive/'
TBLPROPERTIES (
    'projection.enabled' = 'true',
    'projection.env.type' = 'injected',
    'projection.service.type' = 'enum',
    'projection.service.values' = 'web,api,contract,document,user',
    'projection.dt.type' = 'date',
    'projection.dt.format' = 'yyyy-MM-dd',
    'projection.dt.range' = '2026-01-01,NOW+1DAYS',
    'projection.dt.interval' = '1',
    'projection.dt.interval.unit' = 'DAYS',
    'projection.hour.type' = 'integer',
    'projection.hour.range' = '0,23',
    'projection.hour.digits' = '2',
    'storage.location.template' = 's3://<bucket>/archive/env=${env}/service=${service}/dt=${dt}/hour=${hour}/'
)
