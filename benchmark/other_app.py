"""Another app of the same accounts: it makes its calls evenly, whatever the answers are.

It says that it is at work, and goes when its input ends. A call that is refused is lost.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Callable

import requests

from benchmark.measuring import CALLS_PER_SECOND, OTHER_APP, OTHERS_SHARE, SEARCHES_PER_SECOND

THREADS = 16  # enough for 5 calls a second when an answer takes 3 s
TIMEOUT_S = 30.0


def search() -> None:
    requests.post(
        f"{os.environ['HUBSPOT_BASE_URL']}/crm/v3/objects/companies/search",
        json={
            "filterGroups": [{"filters": [{"propertyName": "name", "operator": "HAS_PROPERTY"}]}],
            "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
            "limit": 1,
        },
        headers={
            "Authorization": f"Bearer {os.environ['HUBSPOT_ACCESS_TOKEN']}",
            "User-Agent": OTHER_APP,
        },
        timeout=TIMEOUT_S,
    )


def ask_predictleads() -> None:
    requests.get(
        f"{os.environ['PREDICTLEADS_BASE_URL']}/api_subscription",
        headers={
            "X-Api-Key": os.environ["PREDICTLEADS_API_KEY"],
            "X-Api-Token": os.environ["PREDICTLEADS_API_TOKEN"],
            "User-Agent": OTHER_APP,
        },
        timeout=TIMEOUT_S,
    )


def call_evenly(call: Callable[[], None], per_second: float) -> None:
    """Make a call every `1 / per_second` seconds, for ever."""
    due_at = time.monotonic()
    with ThreadPoolExecutor(THREADS) as pool:
        while True:
            pool.submit(call)
            due_at += 1 / per_second
            time.sleep(max(due_at - time.monotonic(), 0))


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started this
    for call, rate in ((search, SEARCHES_PER_SECOND), (ask_predictleads, CALLS_PER_SECOND)):
        call()
        work = (call, rate * OTHERS_SHARE)
        threading.Thread(target=call_evenly, args=work, daemon=True).start()
    print(json.dumps("at work"), flush=True)
    sys.stdin.read()
    os._exit(0)  # with calls under way


if __name__ == "__main__":
    main()
