"""Every number that bounds the agents' listener, in one place, with its reason.

The sources are the fault table of the reliability study: half-open connections are found in 45 s, a slow reader
holds at most 2 MiB, half requests die after 10 s, one address holds at most 50 connections that have proven
nothing. Proven agents are counted apart, because a whole district may stand behind one carrier's NAT.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GatewayLimits:
    """Bounds of the listener. Times in seconds, sizes in bytes."""

    #: A connection that has not sent a whole request, or finished TLS, is closed after this.
    request_s: float = 10.0
    #: hello → auth must be done within this.
    handshake_s: float = 10.0
    #: WebSocket ping interval; the answer is awaited for half of it, so a dead peer is found in ≤ 45 s.
    ping_s: float = 25.0
    #: What agents are told to send their status at.
    heartbeat_s: int = 20
    #: Connections of all kinds, and those of one address.
    connections: int = 30_000
    connections_per_ip: int = 8_192
    #: Connections of one address that have not proven to be an agent. Loopback is exempt (swarms live there).
    unproven_per_ip: int = 50
    #: Messages of one agent that wait for the use-cases; the newest beyond is dropped (unacknowledged, so sent again).
    inbox: int = 64
    #: The largest message in an enrolment.
    enrol_message_bytes: int = 8 * 1024
    #: Control messages one agent may send: sustained per second, and at once.
    messages_per_s: float = 50.0
    messages_burst: int = 400
    #: Orders waiting for one agent's control connection; a fuller queue closes it (it reconnects and is told again).
    orders_waiting: int = 256
    #: Clock replies waiting; the oldest is dropped, which the agent takes for a lost exchange.
    clock_waiting: int = 16
    #: Live sound waiting for one agent. More, and the connection is closed. With the frame that was one too many, one
    #: in the transport and the kernel's buffers an agent holds at most 2 MiB.
    live_waiting_bytes: int = 2 * 1024 * 1024 - 192 * 1024
    #: A connection that takes nothing for this long while something waits is closed.
    stalled_s: float = 10.0
    #: A bundle is not sent when less than this is left before it must sound, in microseconds.
    live_margin_us: int = 20_000
    #: Unsent bytes in the kernel of a connection, and its send buffer (the kernel doubles the latter).
    notsent_lowat_bytes: int = 8 * 1024
    stream_send_buffer_bytes: int = 16 * 1024
    #: Unacknowledged bytes close the connection after this, in milliseconds.
    tcp_user_timeout_ms: int = 15_000
    #: Media tickets outlive their session by this.
    media_ticket_grace_s: float = 600.0
    #: Downloads at once, and how long one write of a download may take.
    downloads: int = 256
    download_write_s: float = 60.0
    #: A session that replaces another of its agent this often in a minute is two boxes with one key.
    replacements_per_minute: int = 5
    #: Pending enrolments kept, attempts with a token, and new code comparisons, per address and minute.
    pending_enrolments: int = 256
    token_tries_per_minute: int = 5
    code_tries_per_minute: int = 10
    #: How long an agent waits on the line for its approval before it has to ask again.
    pending_wait_s: float = 900.0
