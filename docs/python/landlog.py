"""The platform's log lines (schema v1) from Python's standard logging. One file, no dependencies: copy it.
Python 3.9 or later.

    import logging, landlog
    landlog.setup("contract", environment="production", version="2.3.4")
    log = logging.getLogger(__name__)

    with landlog.context(request_id="9f1c2d", user_id="42"):          # all lines below carry these ids
        with landlog.span("POST /contracts", kind="server") as tags:   # one span line, and ids for what is inside
            tags["http.status_code"] = 201
            log.info("contract created", extra={
                "category": "business_logic", "details": {"contract_id": "c-1"}, "duration_ms": 12.5,
                "metrics": {"contracts_created": 1, "contract_value": 2_500_000}, "dimensions": {"role": "buyer"}})

Metrics stand in the same line, in CloudWatch's embedded metric format: a number, a list of numbers, or a pair of
either with a unit, `(12.5, "Milliseconds")`. Names, units and dimensions are those of METRICS; what is missing of
the dimensions is `unknown`. A line with metrics is counted by them alone, so its details need not repeat them; a
line below the level is not written, and neither are its metrics. What can't be written is told where it would
stand, or in `details.unwritable`. Ids are inherited by asyncio tasks; a thread begins without any. Query strings
of URLs are left out of all texts: they carry personal data.
"""

import contextlib
import contextvars
import datetime
import decimal
import enum
import json
import logging
import math
import numbers
import re
import secrets
import sys
import time
import traceback

CONTEXT = ("request_id", "user_id", "session_id", "service_name", "environment", "version", "trace_id", "span_id")


def _metric(unit, dimensions="", *sets):
    return unit, dimensions.split(), [set_.split() for set_ in ("", *sets)]


METRICS = {  # Unit, dimensions, and sets of them that CloudWatch gets: shared/schema/src/registry.rs.
    "user_registrations": _metric("Count", "service role", "service", "role"),
    "contracts_created": _metric("Count", "service role", "service", "role"),
    "contract_value": _metric("None", "service role", "service"),
    "contract_creation_errors": _metric("Count", "service reason", "service"),
    "contracts_signed": _metric("Count", "service role", "service", "role"),
    "contract_signing_duration": _metric("Milliseconds", "service role", "service"),
    "documents_uploaded": _metric("Count", "service type", "service", "type"),
    "document_size": _metric("Megabytes", "service type", "service"),
    "user_session_duration": _metric("None", "service", "service"),
    "active_users": _metric("Count"),
    "daily_contracts": _metric("Count"),
    "conversion_rate": _metric("Percent"),
    "api_requests": _metric(
        "Count", "service endpoint method status_code", "service", "status_code", "service status_code"),
    "api_request_duration": _metric("Milliseconds", "service endpoint method", "service", "service endpoint"),
    "database_query_duration": _metric("Milliseconds", "service query_type table", "service", "service table"),
    "database_rows_affected": _metric("Count", "service query_type table", "service"),
    "external_api_calls": _metric(
        "Count", "service external_service endpoint status_code", "service", "external_service status_code"),
    "external_api_duration": _metric(
        "Milliseconds", "service external_service endpoint", "service", "external_service"),
    "cpu_usage_percent": _metric("Percent", "service", "service"),
    "memory_usage_percent": _metric("Percent", "service", "service"),
    "disk_usage_percent": _metric("Percent", "service", "service"),
    "operations": _metric("Count", "service operation status", "service", "status", "service operation"),
    "operation_duration": _metric("Milliseconds", "service operation", "service", "service operation"),
    "security_events": _metric("Count", "service event_type", "service", "event_type"),
}
_MAX_VALUES = 100  # of a metric, and metrics, in one line
_MAX_BYTES = 15_000  # of a line with metrics: log drivers cut at 16 KiB, and CloudWatch reads none from pieces
_FIELDS = {"timestamp", "level", "category", "message", "context", "details", "error", "duration_ms", "span", "_aws"}
_BREAK = re.compile(r"""([\s"')]+)""")  # what a query string ends with
_QUERY = re.compile(r"[?#](?P<named>[^\s=,?#/]+=)?")
_ID = re.compile(r"[0-9]+|(?=.*[0-9])[0-9a-fA-F-]{8,}|.*[0-9]{4}", re.DOTALL)
_ids = contextvars.ContextVar("landlog_ids", default={})


def setup(service, environment="production", version=None, namespace="LandContracts", level=logging.INFO, stream=None):
    """Sends all logging to `stream` (standard output), one JSON object a line, and nowhere else."""
    out = stream or sys.stdout
    if hasattr(out, "reconfigure"):  # A wrapper of our own would close it when the next setup drops the handler.
        out.reconfigure(encoding="utf-8", errors="replace", newline="\n", line_buffering=True)
    handler = logging.StreamHandler(out)
    handler.addFilter(stamp)
    handler.setFormatter(Formatter(service, environment, version, namespace))
    logging.basicConfig(level=getattr(level, "value", level), handlers=[handler], force=True)


@contextlib.contextmanager
def context(**ids):
    """Has all lines inside carry `ids`, names of CONTEXT, beside those that are set already."""
    if unknown := set(ids) - set(CONTEXT):
        raise ValueError(f"no ids of a context: {sorted(unknown)}")
    token = _ids.set({**_ids.get(), **{name: str(_plain(value)) for name, value in ids.items() if value is not None}})
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # An async generator may end in another task, which has no such ids.
            _ids.reset(token)


@contextlib.contextmanager
def span(operation, kind="internal", **tags):
    """Measures what is inside: a span of the trace that `context(trace_id=...)` names, or of a new one."""
    parent, start, begun = _ids.get(), time.time(), time.perf_counter()
    trace_id = parent.get("trace_id") or f"1-{int(start):08x}-{secrets.token_hex(12)}"
    status = "ok"
    with context(trace_id=trace_id, span_id=secrets.token_hex(8)):
        ids = _ids.get()
        try:
            yield tags
        except BaseException as error:
            # By name: asyncio is slow to import, and had a TimeoutError of its own.
            kinds = {kind.__name__ for kind in type(error).__mro__}
            status = "cancelled" if "CancelledError" in kinds else "timeout" if "TimeoutError" in kinds else "error"
            tags["error"] = True
            raise
        finally:
            took = time.perf_counter() - begun
            said = {"operation_name": operation, "parent_span_id": parent.get("span_id")}
            said |= {"start_time": _time(start, "microseconds"), "end_time": _time(start + took, "microseconds")}
            said |= {"kind": kind, "status": status, "resource": operation, "tags": tags}
            said = {name: value for name, value in said.items() if value is not None}
            extra = {"category": "performance", "duration_ms": round(took * 1000, 3), "span": said, "ids": ids}
            logging.getLogger(__name__).info("%s", operation, extra=extra)


def stamp(record):
    """A filter: notes the ids in the thread or task that logs. A QueueHandler needs it too: `addFilter(stamp)`."""
    if not hasattr(record, "ids"):
        record.ids = _ids.get()
    return True


class Formatter(logging.Formatter):
    """A record as its line; its metrics as further lines, where one can't hold them."""

    def __init__(self, service, environment="production", version=None, namespace="LandContracts"):
        super().__init__()
        own = {"service_name": service, "environment": environment, "version": version}
        self.own = {name: str(_plain(value)) for name, value in own.items() if value is not None}
        self.namespace = namespace

    def format(self, record):
        bad, ids = {}, {**self.own, **getattr(record, "ids", {})}
        details = _plain(getattr(record, "details", None)) or {}
        line = {
            "timestamp": _time(record.created, "milliseconds"),
            "level": logging.getLevelName(min(max(record.levelno // 10 * 10, 10), 50)),
            "category": _plain(getattr(record, "category", "system")),
            "message": _message(record, bad),
            "context": {name: ids[name] for name in CONTEXT if ids.get(name) is not None},
            "details": details if isinstance(details, dict) else {"value": details},
            "error": _error(record.exc_info),
            "duration_ms": _plain(getattr(record, "duration_ms", None)),
            "span": _plain(getattr(record, "span", None)),
        }
        metrics, dimensions = _metrics(record, bad), _dimensions(record, bad)
        if bad:
            line["details"]["unwritable"] = bad
        line = {name: value for name, value in line.items() if value not in (None, {})}
        if not metrics:
            return _json(line)
        text = _json({**line, **self._emf(record.created, metrics, dimensions)})
        if _fits(text, metrics):
            return text
        # Its `_aws` without metrics says that nothing is to be derived from it: they are counted by lines of their own.
        without = {"_aws": {"Timestamp": int(record.created * 1000), "CloudWatchMetrics": []}}
        own = {**{name: line[name] for name in ("timestamp", "category", "context")}, "message": "metrics"}
        return "\n".join([_json({**line, **without}), *self._lines(own, record.created, metrics, dimensions)])

    def _lines(self, line, created, metrics, dimensions):
        """Few lines that hold all of `metrics`: name to unit and values."""
        text = _json({**line, **self._emf(created, metrics, dimensions)})
        most = max(len(values) for _, values in metrics.values())
        if _fits(text, metrics) or len(metrics) == most == 1:
            yield text
            return
        if len(metrics) > 1:
            half = len(metrics) // 2
            parts = [dict(list(metrics.items())[:half]), dict(list(metrics.items())[half:])]
        else:
            [(name, (unit, values))] = metrics.items()
            half = max(most // 2 // _MAX_VALUES, 1) * _MAX_VALUES if most > _MAX_VALUES else most // 2
            parts = [{name: (unit, values[:half])}, {name: (unit, values[half:])}]
        for part in parts:
            yield from self._lines(line, created, part, dimensions)

    def _emf(self, created, metrics, dimensions):
        said, directives = {}, {}
        for name, (unit, _) in metrics.items():
            _, needed, sets = METRICS.get(name, _metric(unit, "service", "service"))
            said.update({dimension: dimensions.get(dimension, "unknown") for dimension in needed})
            empty = {"Namespace": self.namespace, "Dimensions": sets, "Metrics": []}
            directives.setdefault(str(sets), empty)["Metrics"].append({"Name": name, "Unit": unit})
        said = {**dimensions, **said, "service": _dimension("service", self.own["service_name"])}
        values = {name: held[0] if len(held) == 1 else held for name, (_, held) in metrics.items()}
        aws = {"Timestamp": int(created * 1000), "CloudWatchMetrics": list(directives.values())}
        return {"_aws": aws, **said, **values}


def _fits(text, metrics):
    most = max(len(metrics), *(len(values) for _, values in metrics.values()))
    return most <= _MAX_VALUES and len(text.encode()) <= _MAX_BYTES


def _message(record, bad):
    try:
        return str(_plain(record.getMessage()))
    except Exception as error:  # Its arguments don't fit, or fail to tell what they are.
        bad["message"], bad["arguments"] = type(error).__name__, _plain(record.args)
        return str(_plain(record.msg))


def _metrics(record, bad):
    """Unit and values of each metric; what can't be one goes to `bad`."""
    metrics, taken = {}, _FIELDS | set().union(*(dimensions for _, dimensions, _ in METRICS.values()))
    said = getattr(record, "metrics", None) or {}
    for name, told in said.items() if isinstance(said, dict) else [("metrics", said)]:
        name = str(_plain(name))
        try:
            values, unit = told if isinstance(told, tuple) else (told, "None")
            unit, registered = str(_plain(unit)), METRICS.get(name, (unit,))[0]
            values = [_plain(value) for value in (values if isinstance(values, list) else [values])]
            wrong = [value for value in values if isinstance(value, bool) or not isinstance(value, (int, float))]
            if wrong or not values or name in taken or not isinstance(said, dict) or unit not in ("None", registered):
                bad[name] = _plain(told)
            else:
                metrics[name] = (registered, values)
        except Exception:  # No pair, or what fails to tell what it is.
            bad[name] = _plain(told)
    return metrics


def _dimensions(record, bad):
    said = getattr(record, "dimensions", None) or {}
    if not isinstance(said, dict):
        bad["dimensions"] = _plain(said)
        return {}
    said = {str(_plain(name)): value for name, value in said.items() if value is not None}
    wrong = {name for name in said if name in _FIELDS or name in METRICS}
    bad.update({name: _plain(said[name]) for name in wrong})
    return {name: _dimension(name, value) for name, value in said.items() if name not in wrong}


def _dimension(name, value):
    """A value as CloudWatch takes it: short printable ASCII, and for endpoints no ids (shared/schema)."""
    text = _endpoint(str(_plain(value, keep_query=True))) if name == "endpoint" else str(_plain(value))
    text = re.sub(r"^[\s:]+", "", text).rstrip()[:200]
    return "".join(char if " " <= char <= "~" else "_" for char in text).rstrip() or "unknown"


def _endpoint(target):
    path = re.split("[?#]", target, maxsplit=1)[0]
    _, is_url, rest = path.partition("://")
    if is_url:
        path = "/" + rest.partition("/")[2]
    return "/".join("{id}" if _ID.fullmatch(part) else part for part in path.split("/")) or "/"


def _error(exc_info):
    if not isinstance(exc_info, tuple) or exc_info[0] is None:
        return None
    told = "".join(traceback.format_exception(*exc_info))
    return {"type": exc_info[0].__name__, "message": _plain(exc_info[1]), "traceback": _plain(told)}


def _json(line):
    text = json.dumps(line, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode()  # half a surrogate pair is no text


def _time(seconds, precision):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat(timespec=precision)[:-6] + "Z"


def _plain(value, above=(), keep_query=False):
    """A value as JSON can hold it: no NaN, no objects, no circles; texts without query strings."""
    try:
        if isinstance(value, enum.Enum):
            value = value.value
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, numbers.Integral) and abs(int(value)) < 1 << 1000:
            return int(value)
        if isinstance(value, (numbers.Real, decimal.Decimal)):
            value = float(value)
            return value if math.isfinite(value) else str(value)
        if isinstance(value, (dict, list, tuple, set, frozenset)):
            if id(value) in above or len(above) == 20:
                return "..."
            above += (id(value),)
            if isinstance(value, dict):
                return {str(_plain(name)): _plain(held, above) for name, held in value.items()}
            return [_plain(held, above) for held in value]
        return str(value) if keep_query else _without_queries(str(value))
    except Exception as error:  # Whatever a value does, the line is not lost.
        return f"unwritable {type(value).__name__}: {type(error).__name__}"


def _without_queries(text):
    if "?" not in text and "#" not in text:
        return text
    return "".join(map(_without_query, _BREAK.split(text)))


def _without_query(word):
    """`/a?b` and `a?b=` have a query; `what?` and `a=?,b=?` have none. One pass: texts may be long."""
    found = _QUERY.search(word)
    if found and (found["named"] or ("/" in word[:found.start()] and word[found.start() + 1:])):
        return word[:found.start()]
    return word
