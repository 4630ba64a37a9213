#!/usr/bin/env python3
"""Calls every method and decorator of the source document's logger once or more.

    drive.py

Its lines go to standard error, as the document has it. All people and secrets are made up. Each line carries its
position as the request's id (`call-01`, ...), so that a test can tell which line is which; the decorators of the
document pass no id on, and so get the random one that the logger makes.
"""

import json

import structured_logger
from structured_logger import LogCategory, StructuredLogger

calls = 0


def call_id():
    global calls
    calls += 1
    return f"call-{calls:02}"


class Request:
    """What the document's web framework hands to a view."""

    method = "POST"

    def get_full_path(self):
        return "/api/contracts?notify=anna.petrova@example.com"


class Response:
    status_code = 201


def levels(logger):
    logger.debug(LogCategory.SYSTEM, "Начало", request_id=call_id())
    logger.info(
        LogCategory.BUSINESS_LOGIC,
        "Договор создан: «Участок № 7»",
        request_id=call_id(),
        user_id="42",
        session_id="session-7",
        environment="production",
        version="2.3.4",
        trace_id="1-5f84c596-5c35f2b8f0a54e1a7a2b3c4d",
        span_id="53995c3f42cd8ad8",
        details={"contract_id": "c-1", "площадь": 12.5},
    )
    logger.warning(LogCategory.AUTHENTICATION, "Second try of anna.petrova@example.com", request_id=call_id())
    logger.error(LogCategory.DATABASE, "No error given", request_id=call_id())
    logger.critical(LogCategory.SYSTEM, "Диск заполнен", OSError(28, "no space"), request_id=call_id())


def personal_data(logger):
    logger.info(
        LogCategory.AUTHORIZATION,
        "Телефон +7 912 345-67-89",
        request_id=call_id(),
        details={"email": "anna.petrova@example.com", "password": "hunter-2-hunter", "nested": [{"token": "t0p-s3cret"}]},
    )


def caught(logger):
    try:
        json.loads("{'email': 'anna.petrova@example.com'}")
    except ValueError as error:
        logger.error(LogCategory.EXTERNAL_API, "Ответ Росреестра не читается", error, request_id=call_id())


def measured(logger):
    logger.log_performance("contract_creation", 125.5, request_id=call_id())
    logger.log_api_call("GET", "/api/contracts/7", 200, 35.25, request_id=call_id())
    logger.log_database_query("SELECT", "contracts", 4.75, 3, request_id=call_id())
    logger.log_database_query("UPDATE", "contracts", 8, request_id=call_id())
    logger.log_security_event("failed_login", user_id="43", ip_address="203.0.113.7", request_id=call_id())


def decorated(logger):
    @structured_logger.log_performance(logger, "работа")
    def work(fails):
        if fails:
            raise RuntimeError("не вышло")

    @structured_logger.log_api_call(logger)
    def view(request, fails):
        if fails:
            raise RuntimeError("no answer")
        return Response()

    for step in (lambda: work(False), lambda: work(True), lambda: view(Request(), False), lambda: view(Request(), True)):
        try:
            step()
        except RuntimeError:
            pass  # The decorators tell of it and pass it on.


def main():
    logger = StructuredLogger("contract")
    for part in (levels, personal_data, caught, measured, decorated):
        part(logger)


if __name__ == "__main__":
    main()
