"""What is measured where real time would take hours: `python -m benchmark.at_speed SPEED WHAT ...`.

Every wait is SPEED times as short, as in the services that it talks to. WHAT is `sync` with the
arguments of `sync_subscribers.py`; `naive COUNT`: what people write today, a GET and a POST for
each contact; or `other`: another app, which takes half of MailerLite's allowance until its input
ends.
"""

from __future__ import annotations

import os
import sys
import threading
import time

from core.clock import Clock


class FastClock(Clock):
    def __init__(self, speed: float) -> None:
        super().__init__()
        self._speed = speed

    def monotonic(self) -> float:
        return time.monotonic() * self._speed

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds / self._speed)


def write_one_by_one(count: int, speed: float) -> None:
    """A call that is refused is repeated when MailerLite says so."""
    import requests

    from benchmark.people import email_of, values_of

    session = requests.Session()
    session.trust_env = False
    session.headers["Authorization"] = f"Bearer {os.environ['MAILERLITE_API_KEY']}"
    url = f"{os.environ['MAILERLITE_BASE_URL']}/subscribers"
    for number in range(count):
        row = {"email": email_of(number), "fields": values_of(number)}
        for method, address, body in (("GET", f"{url}/{row['email']}", None), ("POST", url, row)):
            answer = session.request(method, address, json=body, timeout=30)
            while answer.status_code == 429:
                time.sleep(float(answer.headers["Retry-After"]) / speed)
                answer = session.request(method, address, json=body, timeout=30)


def take_half(speed: float) -> None:
    import requests

    from benchmark.measuring import MAILERLITE_PER_MINUTE, OTHER_APP, OTHERS_SHARE
    from benchmark.other_app import call_evenly

    headers = {
        "Authorization": f"Bearer {os.environ['MAILERLITE_API_KEY']}",
        "User-Agent": OTHER_APP,
    }
    url = f"{os.environ['MAILERLITE_BASE_URL']}/fields"

    def call() -> None:
        requests.get(url, headers=headers, timeout=30)

    call()
    rate = MAILERLITE_PER_MINUTE / 60 * OTHERS_SHARE * speed
    threading.Thread(target=call_evenly, args=(call, rate), daemon=True).start()
    print('"at work"', flush=True)
    sys.stdin.read()
    os._exit(0)  # with calls under way


def main(speed: float, what: str, arguments: list[str]) -> int:
    if what == "naive":
        write_one_by_one(int(arguments[0]), speed)
    elif what == "other":
        take_half(speed)
    else:
        import sync_subscribers

        return sync_subscribers.main(arguments, FastClock(speed))
    return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2], sys.argv[3:]))
