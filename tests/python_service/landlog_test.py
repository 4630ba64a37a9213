#!/usr/bin/env python3
"""What `docs/python/landlog.py` does with what it should not be given. `PYTHONPATH=docs/python landlog_test.py`."""

import asyncio
import contextvars
import decimal
import enum
import fractions
import io
import json
import logging
import subprocess
import sys
import unittest

import landlog

log = logging.getLogger("test")


class Role(str, enum.Enum):
    BUYER = "buyer"


class Broken:
    def __str__(self):
        raise RuntimeError("no text")


class Landlog(unittest.TestCase):
    def setUp(self):
        self.out = io.StringIO()
        landlog.setup("contract", stream=self.out)

    def lines(self):
        return [json.loads(line) for line in self.out.getvalue().splitlines()]

    def line(self, message, *args, **extra):
        log.info(message, *args, extra=extra)
        return self.lines()[-1]

    def test_a_second_setup_leaves_standard_output_open(self):
        code = "import gc, landlog, logging\nfor _ in range(3): landlog.setup('a'); gc.collect()\n" \
               "logging.warning('ж\\ud800'); print('шум', flush=True)"
        done = subprocess.run([sys.executable, "-B", "-c", code], capture_output=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        first, second = done.stdout.decode().splitlines()
        self.assertEqual((json.loads(first)["message"], second), ("ж?", "шум"))

    def test_query_strings_go_and_the_rest_stays(self):
        for text, expected in [
            ("GET /a?email=x done", "GET /a done"),
            ("contracts?email=x", "contracts"),
            ("\"/a?b' AND c\"", "\"/a' AND c\""),
            ("(see https://x.example/v1?t=1) and", "(see https://x.example/v1) and"),
            ("url=/a?b", "url=/a"),
            ("/a#token=1", "/a"),
            ("what? no", "what? no"),
            ("SET a=?,b=? WHERE c=?", "SET a=?,b=? WHERE c=?"),
        ]:
            self.assertEqual(self.line("%s", text)["message"], expected)

    def test_a_long_text_is_read_once(self):
        for text in ("=/" * 131_072, "/" * 262_144, "a?" * 131_072, "='" * 131_072 + "?", "/a " * 87_000 + "?"):
            self.assertEqual(self.line("%s", text)["message"], text)

    def test_directives_have_the_sets_and_units_of_the_registry(self):
        line = self.line("m", metrics={"api_requests": 1, "api_request_duration": 2.5, "made_up": (3, "Bytes")},
                         dimensions={"endpoint": "/contracts/4711?x=1", "method": " :Метод", "status_code": 201})
        self.assertEqual(
            [(one["Dimensions"], one["Metrics"]) for one in line["_aws"]["CloudWatchMetrics"]],
            [([[], ["service"], ["status_code"], ["service", "status_code"]],
              [{"Name": "api_requests", "Unit": "Count"}]),
             ([[], ["service"], ["service", "endpoint"]],
              [{"Name": "api_request_duration", "Unit": "Milliseconds"}]),
             ([[], ["service"]], [{"Name": "made_up", "Unit": "Bytes"}])])
        said = [line[name] for name in ("service", "endpoint", "method", "status_code")]
        self.assertEqual(said, ["contract", "/contracts/{id}", "_____", "201"])
        line = self.line("m", metrics={"contracts_created": 1, "contract_value": 5}, dimensions={"role": None})
        self.assertEqual(line["role"], "unknown", "a set that names a member that is not there is not read")

    def test_numbers_and_enums_are_as_json_has_them(self):
        half = fractions.Fraction(1, 2)
        details = {"price": decimal.Decimal("12.5"), "half": half, "role": Role.BUYER, Role.BUYER: 1}
        line = self.line("m", category=Role.BUYER, details=details, metrics={"contract_value": decimal.Decimal("2.5")},
                         dimensions={"role": Role.BUYER})
        self.assertEqual(line["details"], {"price": 12.5, "half": 0.5, "role": "buyer", "buyer": 1})
        self.assertEqual((line["category"], line["contract_value"], line["role"]), ("buyer", 2.5, "buyer"))
        with landlog.context(user_id=Role.BUYER):
            self.assertEqual(self.line("m")["context"]["user_id"], "buyer")

    def test_no_line_is_lost(self):
        unwritable = "unwritable Broken: RuntimeError"
        told = self.line("%s", Broken())["details"]["unwritable"]
        self.assertEqual(told, {"message": "RuntimeError", "arguments": [unwritable]})
        self.assertEqual(self.line("%d", "x")["message"], "%d")
        self.assertEqual(self.line("m", details={"a": Broken(), "b": 1})["details"], {"a": unwritable, "b": 1})
        self.assertEqual(self.line("m", details="text")["details"], {"value": "text"})
        huge = 10 ** 5000
        metrics = {"active_users": (1, 2, 3), "document_size": Broken(), "contracts_created": True,
                   "daily_contracts": huge, "api_request_duration": (1, "Seconds"), "message": 1, "operations": [], "contracts_signed": 2}
        line = self.line("m", metrics=metrics, details={"huge": huge})
        self.assertEqual(set(line["details"]["unwritable"]), set(metrics) - {"contracts_signed"})
        self.assertEqual((line["contracts_signed"], line["message"]), (2, "m"))
        line = self.line("m", metrics={"role": 1, "contracts_created": 1}, dimensions={"role": "buyer", "level": 1})
        self.assertEqual((line["role"], line["level"]), ("buyer", "INFO"))
        self.assertEqual(line["details"]["unwritable"], {"role": 1, "level": 1})
        for wrong in ("text", 7, [1]):
            line = self.line("m", metrics=wrong, dimensions=wrong)
            self.assertEqual(line["details"]["unwritable"], {"metrics": wrong, "dimensions": wrong})
        try:
            raise ValueError(Broken())
        except ValueError:
            log.exception("failed")
        self.assertEqual(self.lines()[-1]["error"]["message"], "unwritable ValueError: RuntimeError")

    def test_long_lines_have_their_metrics_apart(self):
        prices = [number / 7 for number in range(250)]
        for details, metrics in [
            ({"text": "x" * 15_000}, {"contracts_created": [1]}),
            ({}, {"contract_value": prices}),
            ({}, {name: prices[:100] for name in landlog.METRICS}),
            ({}, {f"made_up_{number}": [1] for number in range(150)}),
        ]:
            self.out.truncate(self.out.seek(0))
            log.info("m", extra={"details": details, "metrics": metrics})
            first, *others = self.out.getvalue().splitlines()
            self.assertEqual(json.loads(first)["_aws"]["CloudWatchMetrics"], [], "nothing is derived from it")
            found = {}
            for line in others:
                self.assertLessEqual(len(line.encode()), 15_000)
                line = json.loads(line)
                for directive in line["_aws"]["CloudWatchMetrics"]:
                    self.assertLessEqual(len(directive["Metrics"]), 100)
                    for metric in directive["Metrics"]:
                        held = line[metric["Name"]]
                        self.assertLessEqual(len(held) if isinstance(held, list) else 1, 100)
                        found.setdefault(metric["Name"], []).extend(held if isinstance(held, list) else [held])
            self.assertEqual(found, metrics)

    def test_a_span_says_how_it_ended(self):
        class Late(TimeoutError):
            pass
        for error, status in [(asyncio.CancelledError, "cancelled"), (Late, "timeout"), (KeyError, "error")]:
            with self.assertRaises(error), landlog.span("work"):
                raise error
            self.assertEqual(self.lines()[-1]["span"]["status"], status)

    def test_a_context_may_end_elsewhere(self):
        def spans():
            with landlog.context(request_id="r"), landlog.span("work"):
                yield landlog._ids.get()
        work = spans()
        ids = contextvars.copy_context().run(next, work)
        self.assertIsNone(contextvars.copy_context().run(next, work, None))
        self.assertEqual(self.lines()[-1]["context"]["span_id"], ids["span_id"])


if __name__ == "__main__":
    unittest.main(testRunner=unittest.TextTestRunner(stream=sys.stdout))
