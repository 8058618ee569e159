"""Mutual TLS at the staff listener: sources may show a client certificate, nobody must.

Rules kept here:

1. As long as no source has a client certificate, the listener asks for none: browsers of the staff are not bothered.
   With one it asks, takes none as an answer, and ends a handshake with a certificate that no source has.
2. A source's certificate is trusted as it is, self-signed or issued (partial chain): who made it does not matter, the
   very bytes do (:meth:`controller.services.warnings.sources.WarningSources.by_certificate`).
3. A source that is removed is nobody at once; OpenSSL forgets its certificate at the next start.
"""

from __future__ import annotations

import ssl

import structlog

from controller.services.warnings.sources import WarningSources

_log = structlog.get_logger(__name__)


class ClientDoor:
    """Keeps a listener's TLS context in step with the sources."""

    def __init__(self, context: ssl.SSLContext, sources: WarningSources) -> None:
        self._context = context
        self._sources = sources
        self._known: set[str] = set()
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
        sources.subscribe(lambda _: self.arrange())
        self.arrange()

    def arrange(self) -> None:
        """Ask for what the sources of now may show. Connections that are open stay as they are."""
        wanted = self._sources.client_certificates()
        for pem in wanted:
            if pem in self._known:
                continue
            try:
                self._context.load_verify_locations(cadata=pem)
            except ssl.SSLError as error:
                _log.error("client_certificate_not_loaded", detail=str(error))
                continue
            self._known.add(pem)
        self._context.verify_mode = ssl.CERT_OPTIONAL if wanted else ssl.CERT_NONE
