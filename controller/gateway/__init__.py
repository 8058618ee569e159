"""The agents' side of the controller: one listener for control, sound, content and enrolment, and who is on it.

:class:`Gateway` implements :class:`controller.services.ports.AgentGateway` and is made once, in the composition root.
How the parts stand on each other, lowest first:

=====================================  ==========================================================================
``limits``, ``errors``, ``counts``      every bound; the tree of refusals; totals
``frames``, ``outbox``, ``backlog``     bytes of a frame; what waits for one connection, and what is dropped first
``admission``, ``tickets``, ``ranges``  how many and how often; who may fetch; which bytes
``front``, ``door``, ``sockets``        a connection before HTTP: counted, TLS, deadlines, back-pressure; the listener
``links``, ``roster``, ``fanout``       writing to one agent; who is here; one bundle to all of them
``control``, ``streams``, ``media``,    the five endpoints
``enrol``
``advert``                              mDNS
``gateway``                             all of it
=====================================  ==========================================================================

Rules kept here: nothing waits for the database on the way of an order; every queue has a bound and a stated rule;
a slow or hostile agent costs itself its connection and nobody else anything.
"""

from controller.gateway.advert import Advertisement, Advertiser
from controller.gateway.counts import GatewayCounts
from controller.gateway.errors import GatewayError, ListenError, RangeError, UnknownStreamError
from controller.gateway.gateway import Gateway, GatewayConfig
from controller.gateway.limits import GatewayLimits
from controller.gateway.media import ContentSource
from controller.gateway.ports import IdentitySource, LinkIdentity, VaultIdentity

__all__ = [
    "Advertisement",
    "Advertiser",
    "ContentSource",
    "Gateway",
    "GatewayConfig",
    "GatewayCounts",
    "GatewayError",
    "GatewayLimits",
    "IdentitySource",
    "LinkIdentity",
    "ListenError",
    "RangeError",
    "UnknownStreamError",
    "VaultIdentity",
]
