import logging

VERSION = "1.0.0"
log = logging.getLogger("crm_sync")  # the one of the scripts: `cli/screen.py` sets it up
