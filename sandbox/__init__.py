"""Local stand-ins of the services, on loopback.

For trying the project without an account (`python -m sandbox sync.py --dry-run`), for its
end-to-end tests, and for timing it. Start with `Sandbox`; `sandbox.data` has sample records.
"""

from .core import Request
from .faults import Fault
from .hubspot import HubSpot
from .mailerlite import MailerLite
from .predictleads import PredictLeads
from .server import Sandbox

__all__ = ["Fault", "HubSpot", "MailerLite", "PredictLeads", "Request", "Sandbox"]
