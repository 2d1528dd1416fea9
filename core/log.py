"""The one logger of the scripts: `cli/screen.py` sets it up, and every module writes to it."""

from __future__ import annotations

import logging

log = logging.getLogger("crm_sync")
