"""`python -m sandbox`: serve the made-up services; with a script: run it against them."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading

from .data import sample_sandbox
from .server import HOST, Sandbox

EPILOG = """\
python -m sandbox                    serve, and print the lines for a .env file
python -m sandbox sync.py --dry-run  run a script of the project against made-up companies
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox",
        description="The services on this machine, with made-up records.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--companies", type=int, default=60, help="matching companies (60)")
    parser.add_argument("--latency", type=float, default=0, metavar="MS", help="per answer (0)")
    parser.add_argument("--port", type=int, default=0, help="to listen on (0: any free one)")
    parser.add_argument("script", nargs="?", help="to run against the sandbox")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="passed to the script")
    return parser


def serve(sandbox: Sandbox) -> int:
    """Print the settings and wait for Ctrl-C."""
    with contextlib.suppress(KeyboardInterrupt):
        print("Serving made-up records until Ctrl-C.", file=sys.stderr)
        for name, value in sandbox.settings.items():
            print(f"{name}={value}", flush=True)
        threading.Event().wait()
    return 0


def run(sandbox: Sandbox, script: str, arguments: list[str]) -> int:
    """Run the script in a process of its own; its exit code, 128 + n when signal n ended it."""
    # A terminal sends Ctrl-C to both processes: the script decides what to do, this one waits.
    # A handler, unlike SIG_IGN, is not inherited.
    signal.signal(signal.SIGINT, lambda *_: None)
    print("These are made-up records on this machine, not your account.", file=sys.stderr)
    with tempfile.TemporaryDirectory() as state:
        environment = _environment(sandbox, state)
        child = subprocess.Popen([sys.executable, script, *arguments], env=environment)
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        code = child.wait()
    return code if code >= 0 else 128 - code


def _environment(sandbox: Sandbox, state: str) -> dict[str, str]:
    """The settings win over what is set already; a proxy is passed by. What a script remembers of
    these records must not outlive them."""
    direct = {"NO_PROXY": HOST, "no_proxy": HOST, "XDG_STATE_HOME": state}
    return {**os.environ, **direct, **sandbox.settings}


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    if args.script is not None and not os.path.isfile(args.script):
        print(f"There is no script {args.script!r}: give the path of one.", file=sys.stderr)
        return 2
    try:
        sandbox = sample_sandbox(args.companies, latency_s=args.latency / 1000, port=args.port)
        sandbox.start()
    except (OSError, OverflowError) as error:
        print(f"Cannot listen on port {args.port}: {error}", file=sys.stderr)
        return 2
    try:
        if args.script is None:
            return serve(sandbox)
        return run(sandbox, args.script, args.arguments)
    finally:
        sandbox.stop()


if __name__ == "__main__":
    sys.exit(main())
