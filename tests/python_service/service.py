#!/usr/bin/env python3
"""A made-up service that logs with `docs/python/landlog.py`: every part of it, and what could go wrong with it.

    service.py

Its lines go to standard output. All people and secrets are made up.
"""

import asyncio
import logging
import logging.handlers
import queue
import threading

import landlog

log = logging.getLogger("contract")


def request():
    with landlog.context(request_id="req-1", user_id=42, session_id=None):
        with landlog.span("POST /contracts", kind="server", **{"http.url": "/contracts?email=a.petrova@example.com"}) as tags:
            with landlog.span("insert"):
                log.debug("below the level: not written")
            tags["http.status_code"] = 201
            log.info("Договор «%s» создан", "Участок № 7", extra={
                "category": "business_logic",
                "details": {"event": "contract_created", "user_role": "buyer", "email": "a.petrova@example.com"},
                "duration_ms": 12.5,
                "metrics": {"contracts_created": 1, "contract_value": (2_500_000.5, "None")},
                "dimensions": {"role": "buyer", "reason": None},
            })
            log.info("answered POST /contracts?notify=a.petrova@example.com", extra={
                "metrics": {"api_requests": (1, "Count"), "api_request_duration": (31.25, "Milliseconds")},
                "dimensions": {"endpoint": "/contracts", "method": "POST", "status_code": 201},
            })


def failures():
    with landlog.context(request_id="req-2"):
        try:
            with landlog.span("sign"):
                raise TimeoutError("https://rosreestr.example/v1/sign?token=t0p-s3cret did not answer")
        except TimeoutError:
            log.exception("not signed, password=hunter-2-hunter", extra={"category": "external_api"})
    circle = {"name": "x"}
    circle["self"] = circle["again"] = circle
    log.warning("odd values", extra={"details": {"nan": float("nan"), "half": "\ud800", "set": {1}, 7: object, "circle": circle}})
    log.critical("wrong metrics", extra={"metrics": {"active_users": float("inf"), "message": 3, "made_up": 1}})


def many_values():
    sizes = [float(number % 7) for number in range(250)]
    log.info("batch of documents", extra={"metrics": {"document_size": (sizes, "Megabytes"), "active_users": 5}})


async def task(number):
    with landlog.context(request_id=f"task-{number}"):
        await asyncio.sleep(0)
        log.info("task %d", number)


async def tasks():
    await asyncio.gather(*map(task, range(20)))


def thread(number):
    with landlog.context(request_id=f"thread-{number}"):
        for _ in range(50):
            log.info("thread %d %s", number, "й" * 2_000)


def threads():
    running = [threading.Thread(target=thread, args=(number,)) for number in range(8)]
    for one in running:
        one.start()
    for one in running:
        one.join()


def queued():
    """Formatted by another thread, which knows nothing of the request."""
    root = logging.getLogger()
    [handler] = root.handlers
    waiting = logging.handlers.QueueHandler(queue.SimpleQueue())
    waiting.addFilter(landlog.stamp)
    root.handlers = [waiting]
    with landlog.context(request_id="queued-1"):
        log.info("queued")
    root.handlers = [handler]
    listener = logging.handlers.QueueListener(waiting.queue, handler)
    listener.start()
    listener.stop()


def main():
    landlog.setup("contract", environment="production", version="2.3.4")
    for part in (request, failures, many_values, threads, queued):
        part()
    asyncio.run(tasks())
    log.info("done: %s", log.name)


if __name__ == "__main__":
    main()
