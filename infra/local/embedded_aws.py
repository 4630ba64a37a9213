"""MiniStack, started by supervise.py, with a few places mended where it is not like AWS and that would show.

Each change replaces a piece of text in one function of the pinned version. A piece that is not there exactly once
stops the start, so that another version cannot bring back in silence what is mended here.
"""

import gzip
import inspect
import json
import operator
import os
import socketserver
import textwrap
import threading
import time
import urllib.request
from urllib.parse import parse_qs

import cbor2

# How many asynchronous invocations run at once; the others wait, as they do in Lambda's own queue. Each needs a
# process, and the machine is a laptop.
ASYNCHRONOUS_AT_ONCE = int(os.environ.get("EMBEDDED_AWS_CONCURRENCY") or max(4, min(8, os.cpu_count() or 1)))
# Where e-mail goes: POST of {"to", "subject", "text", "topic_arn"}. MiniStack alone sends none.
EMAIL_SINK = os.environ.get("EMBEDDED_AWS_EMAIL_SINK")


def main():
    mend()
    from ministack.app import main as ministack

    ministack()


def mend():
    # MiniStack answers a function's request for its next event in two writes, and Nagle's algorithm holds back the
    # second one until the function's kernel acknowledges the first: 40 ms an invocation.
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True

    from ministack.core import iam_actions, iam_evaluator, lambda_runtime
    from ministack.services import cloudwatch, cloudwatch_logs, eventbridge, lambda_svc, scheduler, sns

    # After each invocation MiniStack waits for log lines: 50 ms if there are none. Ours are written before the answer.
    lambda_runtime.Worker._drain_stderr_bounded.__defaults__ = (0.005, 0.002, 0.250)

    # Subscription filters, SNS and schedules invoke functions asynchronously. In AWS such an event waits for its turn,
    # is tried again, and goes to the failure destination in the end; in MiniStack it got a thread and a process of its
    # own at once, and one attempt.
    slots = threading.BoundedSemaphore(ASYNCHRONOUS_AT_ONCE)

    def run_in_turn(function, event):
        with slots:
            started = time.time()
            result = lambda_svc._execute_function(function, event)
        name = (function.get("config") or function)["FunctionName"]
        failed, throttled = bool(result.get("error")), bool(result.get("throttle"))
        lambda_svc._emit_lambda_metrics(name, (time.time() - started) * 1000, failed, throttled)
        return result

    lambda_svc._run_in_turn = run_in_turn
    replace(lambda_svc, "invoke_async_with_retry", "_execute_function(func, event)", "_run_in_turn(func, event)")
    # (This one counted the invocation when it was asked for; run_in_turn counts each attempt, as AWS does.)
    replace(
        lambda_svc,
        "_invoke",
        "        _emit_lambda_metrics(name, duration_ms=0.0, error=False, throttle=False)\n        return 202,",
        "        return 202,",
    )
    replace(
        cloudwatch_logs,
        "_fanout_to_subscription_filters",
        """threading.Thread(target=lambda_svc._execute_function_with_config_scope,
                                 args=(rec, awslogs_event), daemon=True).start()""",
        "lambda_svc.invoke_async_with_retry(rec, awslogs_event)",
    )
    replace(
        sns,
        "_deliver_to_lambda",
        "_lambda_svc._execute_function_with_config_scope(exec_record, event)",
        "_lambda_svc.invoke_async_with_retry(exec_record, event)",
    )
    replace(
        eventbridge,
        "_dispatch_to_lambda",
        """threading.Thread(
        target=lambda_svc._execute_function_with_config_scope, args=(exec_record, event), daemon=True
    ).start()""",
        "lambda_svc.invoke_async_with_retry(exec_record, event)",
    )

    # PutEvents takes the time of an event from its publisher. MiniStack took its own clock's.
    replace(
        eventbridge,
        "_put_events",
        "event_time = int(_now_ts())",
        "event_time = int(entry.get(\"Time\") or _now_ts())",
    )

    # A mapping of a stream goes on from the first record that the function reports as failed. MiniStack went on behind
    # the last of the batch, so that the failed ones were lost.
    lambda_svc._done = lambda mapping, records, result: done(lambda_svc, mapping, records, result)
    replace(
        lambda_svc,
        "_poll_kinesis",
        " positions[shard_id] = pos + len(raw_records)",
        " positions[shard_id] = pos + _done(esm, raw_records, result)",
    )

    # A function whose code could not be read from S3 is deployed all the same, and answered 200 without having run.
    replace(
        lambda_svc,
        "_execute_function_provided_warm",
        """{"body": {"statusCode": 200, "body": "Mock response - no code deployed"}}""",
        """{"body": {"errorType": "Runtime.InvalidEntrypoint", "errorMessage": "no code: was it in S3?"},
                "error": True}""",
    )

    # EventBridge Scheduler replaces the context attributes in a target's input; the template relies on it.
    scheduler._with_context_attributes = with_context_attributes
    replace(
        scheduler,
        "_tick_schedules",
        "_eb._invoke_target(target, event, sched)",
        "_eb._invoke_target(_with_context_attributes(target, event, now), event, sched)",
    )

    # Before each call for metrics, MiniStack goes through every point it holds to forget those older than two weeks.
    # Once a minute does as well, and a call no longer takes the longer the more there is.
    cloudwatch._evict_old_metrics = at_most_every(60, cloudwatch._evict_old_metrics)

    # A metric without dimensions is a metric of its own in CloudWatch; here it was the sum of all those of its name,
    # which hides a forgotten roll-up. Alarms did not look at dimensions at all, nor at missing data, nor at M of N.
    for name in ("_get_metric_data", "_get_metric_statistics"):
        replace(cloudwatch, name, "_dims_key(req_dims) if req_dims else None", "_dims_key(req_dims)")
    replace(cloudwatch, "_evaluate_all_alarms", "_evaluate_alarm(alarm)", "_evaluate(alarm)")
    cloudwatch._evaluate = lambda alarm: evaluate(cloudwatch, alarm, time.time())

    # With AUTH=true, MiniStack enforces policies. It does not know the conditions cloudwatch:namespace and events:source, nor what a
    # request in the Rust SDK's protocol for CloudWatch is about (and so would allow every one).
    action_of, resource_of = iam_actions.extract_iam_action, iam_actions.extract_resource_arn
    condition_keys_of = iam_actions.request_tag_context
    cbor_path = "/service/GraniteServiceVersion20100801/operation/"

    def action(service, method, path, *rest):
        if path.startswith(cbor_path):
            return "cloudwatch:" + path.removeprefix(cbor_path)
        return action_of(service, method, path, *rest)

    def resource(service, method, path, headers, body, *rest):
        arn = resource_of(service, method, path, headers, b"" if path.startswith(cbor_path) else body, *rest)
        # To write to a log group is to write to a stream of it: the ARN of a group ends in `:*`, and matches that.
        is_group = service == "logs" and isinstance(arn, str) and ":log-group:" in arn and ":log-stream:" not in arn
        return arn + ":log-stream:" if is_group else arn

    def condition_keys(service, action, body, parameters):
        if action == "cloudwatch:PutMetricData":
            return {"cloudwatch:namespace": namespace(body)}
        if action == "events:PutEvents":
            # AWS looks at each event by itself; those of one call are of one publisher here.
            return {"events:source": json.loads(body)["Entries"][0]["Source"]}
        is_cbor = action.startswith("cloudwatch:") and body[:1] >= b"\xa0"
        return condition_keys_of(service, action, b"" if is_cbor else body, parameters)

    iam_actions.extract_iam_action = action
    iam_actions.extract_resource_arn = resource
    iam_actions.request_tag_context = condition_keys
    # The loopback device stands in for TLS, which our policies insist on.
    iam_evaluator.pin_request_origin = lambda address, _: iam_evaluator._request_origin.set((address, True))

    # An e-mail subscriber is a line in MiniStack's log.
    sns._send_email = send_email
    replace(
        sns,
        "_fanout",
        'logger.info("SNS fanout → email %s (stub)", endpoint)',
        "_send_email(endpoint, subject, effective_message, topic_arn)",
    )


def done(lambda_svc, mapping, records, result):
    """How many records of a batch are done: those before the first that is reported as failed. The others are sent
    again after a pause."""
    if "ReportBatchItemFailures" not in mapping.get("FunctionResponseTypes", []):
        return len(records)
    body = result.get("body")
    answer = json.loads(body) if isinstance(body, str) else body or {}
    failed = {failure["itemIdentifier"] for failure in answer.get("batchItemFailures") or []}
    first = next((at for at, record in enumerate(records) if record["SequenceNumber"] in failed), len(records))
    if first < len(records):
        lambda_svc._esm_backoff_until[mapping["UUID"]] = time.time() + lambda_svc._ESM_BACKOFF_SECONDS
    return first


def at_most_every(seconds, work):
    last = -float("inf")

    def now_and_then():
        nonlocal last
        if time.monotonic() - last >= seconds:
            last = time.monotonic()
            work()

    return now_and_then


def namespace(body):
    """The namespace of a PutMetricData request, in any of its protocols."""
    if body.startswith(b"\x1f\x8b"):
        body = gzip.decompress(body)
    if body.startswith(b"{"):
        return json.loads(body).get("Namespace", "")
    if body.startswith(b"Action="):
        return parse_qs(body.decode()).get("Namespace", [""])[0]
    return cbor2.loads(body).get("Namespace", "")


def with_context_attributes(target, event, now):
    attributes = {
        "<aws.scheduler.execution-id>": event["EventId"],
        "<aws.scheduler.scheduled-time>": time.strftime("%Y-%m-%dT%H:%M:00Z", time.gmtime(now)),
        "<aws.scheduler.schedule-arn>": event["Resources"][0],
        "<aws.scheduler.attempt-number>": "1",
    }
    text = target.get("Input") or ""
    for name, value in attributes.items():
        text = text.replace(name, value)
    return {**target, "Input": text}


COMPARISONS = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}


def evaluate(cloudwatch, alarm, now):
    """An alarm on one metric: M breaching of the last N whole periods. (Fills missing periods simply: CloudWatch also
    looks a little further back.)"""
    if not alarm.get("Namespace") or alarm.get("ComparisonOperator") not in COMPARISONS:
        return
    dimensions = cloudwatch._dims_key(cloudwatch._dims_from_list(alarm.get("Dimensions") or []))
    points = cloudwatch._metrics.get((alarm["Namespace"], alarm["MetricName"], dimensions)) or []
    statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average"
    period, periods = int(alarm["Period"]), int(alarm["EvaluationPeriods"])
    needed = int(alarm.get("DatapointsToAlarm") or periods)
    end = now // period * period

    breaching, missing = 0, 0
    for start in (end - period * n for n in range(1, periods + 1)):
        inside = [point for point in points if start <= point["Timestamp"] < start + period]
        value = cloudwatch._stat_value(cloudwatch._calc_stats(inside), statistic, inside) if inside else None
        if value is None:
            missing += 1
        else:
            breaching += COMPARISONS[alarm["ComparisonOperator"]](value, alarm["Threshold"])
    when_missing = alarm.get("TreatMissingData") or "missing"
    if missing == periods and when_missing == "missing":
        state = "INSUFFICIENT_DATA"
    elif missing == periods and when_missing == "ignore":
        return
    else:
        state = "ALARM" if breaching + missing * (when_missing == "breaching") >= needed else "OK"

    former = alarm["StateValue"]
    if state != former:
        reason = f"{breaching} breaching and {missing} missing of {periods} datapoints; {needed} needed"
        alarm.update(StateValue=state, StateReason=reason, StateUpdatedTimestamp=int(now))
        cloudwatch._record_history(alarm["AlarmName"], former, state, reason)
        cloudwatch._dispatch_alarm_actions(alarm, former, state, reason)
        cloudwatch._evaluate_parent_alarms(alarm)


def send_email(address, subject, text, topic_arn):
    if not EMAIL_SINK:
        return
    mail = json.dumps({"to": address, "subject": subject, "text": text, "topic_arn": topic_arn}).encode()

    def post():
        request = urllib.request.Request(EMAIL_SINK, mail, {"Content-Type": "application/json"}, method="POST")
        try:
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5).close()
        except OSError as error:
            print(f"embedded AWS: e-mail to {address} could not be sent to {EMAIL_SINK}: {error}", flush=True)

    threading.Thread(target=post, daemon=True).start()


def replace(module, name, old, new):
    """Replaces `old`, which must be there exactly once, in the source of a module's function."""
    source = textwrap.dedent(inspect.getsource(getattr(module, name)))
    if source.count(old) != 1:
        raise SystemExit(f"embedded AWS: {module.__name__}.{name} is not as expected; is MiniStack the pinned version?")
    code = compile(source.replace(old, new), f"<{module.__name__}, mended>", "exec")
    exec(code, module.__dict__)


if __name__ == "__main__":
    main()
