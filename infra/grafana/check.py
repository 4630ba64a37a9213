#!/usr/bin/env python3
"""Holds dashboards against the types that Grafana publishes of them.

    check.py DASHBOARD.json ...

Reads each file into these types and writes it again: a field that comes out otherwise, or not at all, is one that
Grafana does not know in that place. Each value has to be of the type that its field has. Prints what is wrong, and
exits with 1 then. Needs the packages of requirements.txt.
"""

import enum
import json
import sys
import types
import typing

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.cog.runtime import Runtime, UnknownDataquery
from grafana_foundation_sdk.models import dashboard

# Fields that the data source of Prometheus adds to an annotation.
OF_PROMETHEUS = ("titleFormat", "textFormat")


def differences(given, written, path=""):
    """Fields of `given` that are not in `written` as they were."""
    if isinstance(given, dict) and isinstance(written, dict):
        for name, value in given.items():
            here = f"{path}.{name}"
            if name not in written:
                # null is what a field is that is not there.
                if value is not None:
                    yield f"{here}: Grafana has no such field"
            else:
                yield from differences(value, written[name], here)
    elif isinstance(given, list) and isinstance(written, list) and len(given) == len(written):
        for number, pair in enumerate(zip(given, written)):
            yield from differences(*pair, f"{path}[{number}]")
    elif given != written:
        yield f"{path}: {json.dumps(given)} is read as {json.dumps(written)}"


def mistyped(value, path=""):
    """Fields of objects of Grafana's types, and of those in them, whose values are of another type."""
    if isinstance(value, UnknownDataquery):
        yield f"{path}: a query of no data source that Grafana knows"
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from mistyped(item, f"{path}[{number}]")
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from mistyped(item, f"{path}.{name}")
    elif type(value).__module__.startswith("grafana_foundation_sdk.models") and not isinstance(value, enum.Enum):
        for name, hint in typing.get_type_hints(type(value)).items():
            item = getattr(value, name, None)
            if not fits(item, hint):
                yield f"{path}.{name}: {item!r} is no {hint}"
            yield from mistyped(item, f"{path}.{name}")


def fits(value, hint):
    origin, of = typing.get_origin(hint), typing.get_args(hint)
    if hint in (typing.Any, object):
        return True
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, kind) for kind in of)
    if origin is typing.Literal:
        return value in of
    if origin is list:
        return isinstance(value, list) and all(fits(item, of[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(fits(item, of[1]) for item in value.values())
    if not isinstance(hint, type):
        return True
    if isinstance(value, dict) and hasattr(hint, "from_json"):
        return not list(compare(value, hint.from_json(value), "")) # Left unread in some places.
    if issubclass(hint, enum.Enum):
        return isinstance(value, hint) or value in [member.value for member in hint]
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def queries_of_annotations(given):
    """Takes them out: the types know an annotation's query only as that of Grafana's own annotations."""
    for annotation in given["annotations"]["list"]:
        for name in OF_PROMETHEUS:
            annotation.pop(name, None)
        if "target" in annotation:
            yield annotation["datasource"]["type"], annotation.pop("target")


def check(path):
    with open(path, encoding="utf-8") as file:
        given = json.load(file)
    for kind, query in queries_of_annotations(given):
        yield from compare(query, Runtime().dataquery_from_json(query, kind), f".annotations({kind})")
    for panel in given["panels"]:
        # The types take all queries of a panel for its data source's; of several, each says its own.
        if panel.get("datasource", {}).get("uid") == "-- Mixed --":
            del panel["datasource"]
    yield from compare(given, dashboard.Dashboard.from_json(given), "")


def compare(given, read, path):
    yield from differences(given, json.loads(JSONEncoder().encode(read)), path)
    yield from mistyped(read, path)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    register_default_plugins()
    findings = [f"{path}: {finding}" for path in sys.argv[1:] for finding in check(path)]
    sys.exit("\n".join(findings) or 0)


if __name__ == "__main__":
    main()
