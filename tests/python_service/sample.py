#!/usr/bin/env python3
"""A request as `docs/python/landlog.py` logs it, with a clock and ids that do not change. All people are made up."""

import itertools
import logging
import time
from unittest import mock

import landlog

BEGUN = 1_795_255_503.123  # 2026-11-21T10:05:03.123Z
log = logging.getLogger("contract")
milliseconds = itertools.count()


def one_later(record):
    record.created = BEGUN + 0.0001 + next(milliseconds) / 1000  # More than is cut off a float.
    return True


def request():
    with landlog.context(request_id="req-1", user_id=42):
        with landlog.span("POST /contracts", kind="server") as tags:
            tags["http.url"] = "/contracts?email=anna.petrova@example.com"
            tags["http.status_code"] = 201
            log.info("Договор «%s» создан", "Участок № 7", extra={
                "category": "business_logic",
                "details": {"event": "contract_created", "user_role": "buyer", "email": "anna.petrova@example.com"},
                "duration_ms": 12.5,
                "metrics": {"contracts_created": 1, "contract_value": 2_500_000.5},
                "dimensions": {"role": "buyer"},
            })
            log.error("не подписан: anna.petrova@example.com", extra={"category": "external_api"}, exc_info=(
                TimeoutError, TimeoutError("https://rosreestr.example/v1/sign?token=t0p-s3cret did not answer"), None))
            log.info("answered POST /contracts?notify=anna.petrova@example.com", extra={
                "metrics": {"api_requests": 1, "api_request_duration": 31.25},
                "dimensions": {"endpoint": "/contracts/4711", "method": "POST", "status_code": 201},
            })


landlog.setup("contract", environment="production", version="2.3.4")
logging.getLogger().handlers[0].addFilter(one_later)
with mock.patch.object(landlog, "time", mock.Mock(wraps=time)) as clock, \
        mock.patch("secrets.token_hex", lambda size: "0f1e2d3c4b5a69788796a5b4c3d2e1f0"[:2 * size]):
    clock.time.side_effect = lambda: BEGUN
    clock.perf_counter.side_effect = itertools.count(0, 0.003).__next__
    request()
