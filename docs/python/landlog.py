"""The platform's log lines (schema v1) from Python's standard logging. One file, no dependencies: copy it.

    import logging, landlog
    landlog.setup("contract", environment="production", version="2.3.4")
    log = logging.getLogger(__name__)

    with landlog.context(request_id="9f1c2d", user_id="42"):          # all lines below carry these ids
        with landlog.span("POST /contracts", kind="server") as tags:   # one span line, and ids for what is inside
            tags["http.status_code"] = 201
            log.info("contract created", extra={
                "category": "business_logic", "details": {"contract_id": "c-1"}, "duration_ms": 12.5,
                "metrics": {"contracts_created": 1, "contract_value": 2_500_000}, "dimensions": {"role": "buyer"}})

Metrics stand in the same line, in CloudWatch's embedded metric format: a number, a list of numbers, or a pair
of either with a unit, `(12.5, "Milliseconds")`. Their names, units and dimensions are those of the registry.
A line with metrics is counted by them alone, so its details need not repeat them. Ids are inherited by asyncio
tasks; a thread begins without any. Query strings of URLs are left out of all texts: they carry personal data.
"""

import contextlib
import contextvars
import datetime
import io
import json
import logging
import math
import re
import secrets
import sys
import time
import traceback

CONTEXT = ("request_id", "user_id", "session_id", "service_name", "environment", "version", "trace_id", "span_id")
_MAX_VALUES = 100  # of a metric in one line
_QUERY = re.compile(r"""(?<![^\s"'(=])((?:https?://|/)[^\s"'?#]*)[?#][^\s"')]*""")
_ids = contextvars.ContextVar("landlog_ids", default={})


def setup(service, environment="production", version=None, namespace="LandContracts", level=logging.INFO, stream=None):
    """Sends all logging to `stream` (standard output), one JSON object a line, and nowhere else."""
    out = io.TextIOWrapper((stream or sys.stdout).buffer, "utf-8", errors="replace", newline="\n", line_buffering=True)
    handler = logging.StreamHandler(out)
    handler.addFilter(stamp)
    handler.setFormatter(Formatter(service, environment, version, namespace))
    logging.basicConfig(level=level, handlers=[handler], force=True)


@contextlib.contextmanager
def context(**ids):
    """Has all lines inside carry `ids`, names of CONTEXT, beside those that are set already."""
    if unknown := set(ids) - set(CONTEXT):
        raise ValueError(f"no ids of a context: {sorted(unknown)}")
    token = _ids.set({**_ids.get(), **{name: str(value) for name, value in ids.items() if value is not None}})
    try:
        yield
    finally:
        _ids.reset(token)


@contextlib.contextmanager
def span(operation, kind="internal", **tags):
    """Measures what is inside: a span of the trace that `context(trace_id=...)` names, or of a new one."""
    parent, start, begun = _ids.get(), time.time(), time.perf_counter()
    trace_id = parent.get("trace_id") or f"1-{int(start):08x}-{secrets.token_hex(12)}"
    status = "ok"
    with context(trace_id=trace_id, span_id=secrets.token_hex(8)):
        try:
            yield tags
        except BaseException:
            status, tags["error"] = "error", True
            raise
        finally:
            took = time.perf_counter() - begun
            said = {"operation_name": operation, "parent_span_id": parent.get("span_id")}
            said |= {"start_time": _time(start, "microseconds"), "end_time": _time(start + took, "microseconds")}
            said |= {"kind": kind, "status": status, "resource": operation, "tags": tags}
            said = {name: value for name, value in said.items() if value is not None}
            extra = {"category": "performance", "duration_ms": round(took * 1000, 3), "span": said}
            logging.getLogger(__name__).info("%s", operation, extra=extra)


def stamp(record):
    """A filter: notes the ids in the thread or task that logs. A QueueHandler needs it too: `addFilter(stamp)`."""
    if not hasattr(record, "ids"):
        record.ids = _ids.get()
    return True


class Formatter(logging.Formatter):
    """A record as its line; where a metric has more values than a line may hold, as further ones with those alone."""

    def __init__(self, service, environment, version, namespace):
        super().__init__()
        self.own = {"service_name": service, "environment": environment, "version": version}
        self.namespace = namespace

    def format(self, record):
        ids = {**self.own, **getattr(record, "ids", {})}
        line = {
            "timestamp": _time(record.created, "milliseconds"),
            "level": logging.getLevelName(min(max(record.levelno // 10 * 10, 10), 50)),
            "category": getattr(record, "category", "system"),
            "message": _plain(record.getMessage()),
            "context": {name: ids[name] for name in CONTEXT if ids.get(name) is not None},
            "details": _plain(getattr(record, "details", None)) or None,
            "error": _error(record.exc_info),
            "duration_ms": _plain(getattr(record, "duration_ms", None)),
            "span": _plain(getattr(record, "span", None)),
        }
        line = {name: value for name, value in line.items() if value is not None}
        further = {**{name: line[name] for name in ("timestamp", "category", "context")}, "message": "further values"}
        metrics = {name: said if isinstance(said, tuple) else (said, "None") for name, said in
                   (getattr(record, "metrics", None) or {}).items()}
        values = {name: _plain(said if isinstance(said, list) else [said]) for name, (said, _) in metrics.items()}
        lines = []
        for first in range(0, max(map(len, values.values()), default=0) or 1, _MAX_VALUES):
            part = {name: held[first:first + _MAX_VALUES] for name, held in values.items() if held[first:]}
            members = self._emf(record, part, {name: unit for name, (_, unit) in metrics.items()}) if part else {}
            own = further if first else line  # whose fields come first, and are no metrics
            lines.append({**own, **members, **own})
        return "\n".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) for line in lines)

    def _emf(self, record, values, units):
        said = {**(getattr(record, "dimensions", None) or {}), "service": self.own["service_name"]}
        dimensions = {name: str(_plain(value)) for name, value in said.items() if value not in (None, "")}
        sets = [[], ["service"]] + [[name] for name in dimensions if name != "service"]
        metrics = [{"Name": name, "Unit": units[name]} for name in values]
        directive = {"Namespace": self.namespace, "Dimensions": sets, "Metrics": metrics}
        members = {name: held[0] if len(held) == 1 else held for name, held in values.items()}
        return {"_aws": {"Timestamp": int(record.created * 1000), "CloudWatchMetrics": [directive]}, **dimensions, **members}


def _error(exc_info):
    if not exc_info or exc_info[0] is None:
        return None
    kind, error, _ = exc_info
    told = "".join(traceback.format_exception(*exc_info))
    return {"type": kind.__name__, "message": _plain(str(error)), "traceback": _plain(told)}


def _time(seconds, precision):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat(timespec=precision)[:-6] + "Z"


def _plain(value, above=()):
    """A value as JSON can hold it: no NaN, no objects, no circles; texts without query strings."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, (dict, list, tuple, set, frozenset)):
        if id(value) in above or len(above) == 20:
            return "..."
        above += (id(value),)
        if isinstance(value, dict):
            return {str(name): _plain(held, above) for name, held in value.items()}
        return [_plain(held, above) for held in value]
    return _QUERY.sub(r"\1", str(value))
