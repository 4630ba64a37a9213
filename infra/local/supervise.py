#!/usr/bin/env python3
"""Runs the embedded AWS for as long as somebody holds this program's standard input open: MiniStack, and beside it
moto for X-Ray, which MiniStack has not.

    supervise.py [--port PORT] [--log FILE] [--email-sink URL] [--env NAME=VALUE]...

MiniStack is started through embedded_aws.py, which mends it in a few places.
Prints `READY http://127.0.0.1:PORT http://127.0.0.1:PORT` when both answer, MiniStack and X-Ray. When standard input ends, or on SIGTERM or SIGINT, it
ends both and every Lambda process that MiniStack has started, and exits with 0. The caller only has to hold the
other end of the pipe: the kernel closes it however the caller dies, so nothing is ever left behind.
If one of them ends by itself, everything else is ended too, and the exit code is 1.
"""

import argparse
import ctypes
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

START_TIMEOUT_SECONDS = 30
HOST = "127.0.0.1"
HERE = os.path.dirname(os.path.abspath(__file__))

# MiniStack gives its own environment to the functions. So that they see what Lambda would give them, and no
# credentials, profiles or proxies of the person at the keyboard, only these variables are passed on.
PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "RUST_BACKTRACE", "LLVM_PROFILE_FILE")


def main():
    arguments = parse_arguments()
    become_subreaper()
    # Signals and the end of MiniStack wake the select() below through this pipe.
    wake_reader, wake_writer = os.pipe()
    for end in (wake_reader, wake_writer):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
    stop = Stop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    signal.signal(signal.SIGCHLD, lambda *_: None)

    home = tempfile.mkdtemp(prefix="embedded-aws-")
    running = []
    try:
        free, xray_port = free_ports()
        port = arguments.port or free
        # Both at once: they take half a second each.
        ministack = start([os.path.join(HERE, "embedded_aws.py")], port, home, arguments)
        running.append(("MiniStack", ministack))
        xray = start(["-m", "moto.server", "--host", HOST, "--port", str(xray_port)], port, home, arguments)
        running.append(("X-Ray", xray))
        # MiniStack writes its process id once it has seen that the port is free; without this check, somebody else's
        # MiniStack on that port would seem to be this one.
        is_ours = lambda: os.path.exists(os.path.join(home, f"ministack-{port}.pid"))
        waits = (stop, wake_reader)
        if not (ready("MiniStack", ministack, f"http://{HOST}:{port}/_ministack/health", *waits, is_ours)
                and ready("X-Ray", xray, f"http://{HOST}:{xray_port}/moto-api/data.json", *waits)):
            return 0 if stop.asked else 1
        print(f"READY http://{HOST}:{port} http://{HOST}:{xray_port}", flush=True)
        while not stop.asked and all(process.poll() is None for _, process in running):
            wait(stop, wake_reader)
        if stop.asked:
            return 0
        for name, process in running:
            if process.poll() is not None:
                say(f"{name} ended by itself with exit code {process.returncode}")
        return 1
    finally:
        end_all([process for _, process in running])
        shutil.rmtree(home, ignore_errors=True)


class Stop:
    """Remembers that the end was asked for."""

    def __init__(self):
        self.asked = False

    def __call__(self, *_):
        self.asked = True


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=int(os.environ.get("GATEWAY_PORT") or 0),
                        help="port on loopback (default: $GATEWAY_PORT, or any free one)")
    parser.add_argument("--log", help="file that MiniStack's log is written to (default: standard error)")
    parser.add_argument("--email-sink", metavar="URL",
                        help="gets a POST of {to, subject, text, topic_arn} for each e-mail that SNS would send")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE",
                        help="another variable for MiniStack, and so for every function")
    return parser.parse_args()


def become_subreaper():
    """On Linux, processes whose parent ends become children of this one, where end_all() finds them."""
    PR_SET_CHILD_SUBREAPER = 36
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent():
    """In a process, before it starts: even if this supervisor is killed, the process goes too."""
    PR_SET_PDEATHSIG = 1
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def free_ports():
    """Two ports. Both are held until both are known: the same one is not given out twice."""
    with socket.socket() as first, socket.socket() as second:
        for probe in (first, second):
            probe.bind((HOST, 0))
        return first.getsockname()[1], second.getsockname()[1]


def environment(port, home, email_sink, extra):
    url = f"http://{HOST}:{port}"
    variables = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    variables |= {
        # No ~/.aws of the user, and no files outside of a directory that is removed at the end.
        "HOME": home,
        "TMPDIR": home,
        "BIND_HOST": HOST,
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": HOST,  # in the addresses that it hands out, of queues say
        "LAMBDA_EXECUTOR": "local",
        # Policies are enforced: what a role does not grant is refused, here as in AWS.
        "AUTH": "true",
        "LOG_LEVEL": "WARNING",
        # MiniStack puts this over each function's own: no function can reach the real AWS from here.
        "AWS_ENDPOINT_URL": url,
        "AWS_EC2_METADATA_DISABLED": "true",
        # Listeners that nobody asked for.
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "DOCKER_HOST": "unix:///nonexistent",
        "PYTHONUNBUFFERED": "1",
    }
    if email_sink:
        variables["EMBEDDED_AWS_EMAIL_SINK"] = email_sink
    for assignment in extra:
        name, equals, value = assignment.partition("=")
        if not name or not equals:
            sys.exit(f"--env {assignment}: not NAME=VALUE")
        variables[name] = value
    return variables


def start(program, port, home, arguments):
    log = open(arguments.log, "ab") if arguments.log else sys.stderr
    return subprocess.Popen(
        [sys.executable, *program],
        env=environment(port, home, arguments.email_sink, arguments.env),
        cwd=home,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        preexec_fn=die_with_parent,
    )


def ready(name, process, url, stop, wake_reader, is_ours=lambda: True):
    """Waits until a process answers; false if it ends, or if the end is asked for first."""
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < deadline:
        if process.poll() is not None:
            say(f"{name} did not start: exit code {process.returncode}")
            return False
        try:
            if is_ours():
                with opener.open(url, timeout=2) as answer:
                    if answer.status == 200:
                        return True
        except (urllib.error.URLError, OSError):
            pass
        wait(stop, wake_reader, 0.05)
        if stop.asked:
            return False
    say(f"{name} did not answer at {url} within {START_TIMEOUT_SECONDS} s")
    return False


def wait(stop, wake_reader, timeout=None):
    """Sleeps until something happens. The end of standard input asks for the end, as a signal does."""
    readable, _, _ = select.select([sys.stdin.fileno(), wake_reader], [], [], timeout)
    if wake_reader in readable:
        os.read(wake_reader, 4096)
    if sys.stdin.fileno() in readable and not os.read(sys.stdin.fileno(), 4096):
        stop.asked = True


def end_all(running):
    """Kills what was started, and MiniStack's Lambda processes. Nothing in them is worth a goodbye: it is in memory."""
    # Once more on a signal from an impatient person would leave the rest behind.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for process in running:
        if process.poll() is None:
            process.send_signal(signal.SIGSTOP)  # from here on it starts no new process
    # Killing a process makes its children ours, so look again until there is none.
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        alive = descendants(os.getpid())
        for pid in alive:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        reap()
        if not alive:
            return
        time.sleep(0.01)
    say(f"processes that could not be ended: {descendants(os.getpid())}")


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def descendants(ancestor):
    children = {}
    for pid, parent in processes():
        children.setdefault(parent, []).append(pid)
    found, todo = [], [ancestor]
    while todo:
        for pid in children.get(todo.pop(), []):
            found.append(pid)
            todo.append(pid)
    return found


def processes():
    """(pid, parent pid) of every process."""
    if not os.path.isdir("/proc/self"):
        ps = subprocess.Popen(["ps", "-A", "-o", "pid=,ppid="], stdout=subprocess.PIPE, text=True)
        lines, _ = ps.communicate()
        pairs = (tuple(map(int, line.split())) for line in lines.splitlines())
        return [pair for pair in pairs if pair[0] != ps.pid]
    pairs = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stat:
                    # "pid (name, which may hold anything) state parent ..."
                    pairs.append((int(name), int(stat.read().rpartition(")")[2].split()[1])))
            except (FileNotFoundError, ProcessLookupError):
                pass
    return pairs


def say(message):
    print(f"supervise: {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
