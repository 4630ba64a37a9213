#!/usr/bin/env python3
"""Prints the metrics that `docs/python/landlog.py` knows, and what it makes of values of dimensions, as JSON."""

import json

import landlog

VALUES = [
    "GET", "a b~", " :: a ", ":", "", " \t", "Таймаут", "a\x7fb", "\xa0x\xa0", "x" * 400, "ё" * 400,
    "https://example.com/v1/parcels/77:01:0001:12", "https://example.com", "s3://bucket/deadbeef", "a:b", "//x//",
    "/users/550e8400-e29b-41d4-a716-446655440000", "/documents/LC-2026-004711/pages/2", "/api/v2/health",
    "/objects/x-2026/x-202", "/contracts/new", "/contracts/4711/sign", "/a/1\n/2", "/a/٤٧١١", "/deadbeef/dead-bee1",
]

values = [(value, landlog._dimension("role", value), landlog._dimension("endpoint", value)) for value in VALUES]
print(json.dumps({"metrics": landlog.METRICS, "values": values}))
