"""The contract between controller and agent: messages, documents, bundles, trust, handshake, clock. Sans-IO.

PROTOCOL.md beside this file says the same to somebody who writes an agent in another language; the golden vectors in
``tests/vectors`` hold both to it.

Where to look, lowest first:

====================  =====================================================================================
``errors``            the one tree of refusals
``limits``            every bound of the wire
``jsonsafe``          bounded JSON that says one thing only
``keys``              Ed25519 keys, roles, key sets, fingerprints
``items``             items and day documents (content-addressed, shared between clusters)
``documents``         the signed documents as frozen values; ``codec`` their bytes; ``envelope`` their signatures
``trust``             :class:`TrustedState`: what an agent believes, and in which order
``bundle``, ``gate``  live bundles, and what lets them through
``messages``          the tagged union on the control connection; ``telemetry`` what agents tell of themselves
``handshake``         mutual proof over one connection; ``enrolment`` how strangers meet; ``link`` the signed words
``clock``             the filter that follows a controller's timeline; ``timeline`` the controller's side
====================  =====================================================================================

Names are imported from their modules, not from here: a façade that re-exported all of them would load pydantic's
models and the signing libraries (some 25 MB and half a second on a Pi) into every short command that only asks for
``protocol.version``.

Rules kept here: no I/O, no event loop, no clock: ``now``, nonces and certificates are arguments. Whatever a peer
sends, the only exceptions are :class:`ProtocolError`'s. Nothing is parsed before its size is checked, and no signed
body before its signature is.
"""
