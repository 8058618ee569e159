"""Mutual proof over one connection, and everything that may stand in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from protocol.codec import seal_document
from protocol.errors import HandshakeError, ProtocolError, WrongVersionError
from protocol.handshake import AgentHandshake, ControllerHandshake, Peer, Proof, refusal
from protocol.keys import KeySet, Role, SigningKey, agent_id_of
from protocol.link import NO_CERTIFICATE, certificate_hash
from protocol.messages import Challenge, Hello, decode, encode
from protocol.trust import TrustedState
from tests.unit.protocol import district as d

CERTIFICATE = certificate_hash(b"the controller's certificate")
PROXY = certificate_hash(b"another certificate")
LATER = d.NOW + timedelta(minutes=1)


def controller(
    keys: KeySet | None = None,
    *,
    root: SigningKey = d.ROOT,
    key: SigningKey = d.PLAN,
    certificate: bytes = CERTIFICATE,
    nonce: bytes = b"c" * 32,
    chain: tuple[bytes, ...] = (),
) -> ControllerHandshake:
    value = replace(keys or d.key_set(), root_fingerprint=root.fingerprint)
    sealed = seal_document(value, root)
    return ControllerHandshake(
        key, root_public=root.public, key_set=sealed, certificate=certificate, nonce=nonce, root_chain=chain
    )


def agent(
    state: TrustedState | None = None,
    *,
    identity: SigningKey = d.AGENT,
    certificate: bytes = CERTIFICATE,
    nonce: bytes = b"a" * 32,
) -> AgentHandshake:
    trust = state or d.new_agent().state
    return AgentHandshake(identity, trust, certificate=certificate, nonce=nonce, software="loa-agent 0.1.0")


def travel(message: Any) -> Any:
    return decode(encode(message))


def meet(this: AgentHandshake, that: ControllerHandshake) -> tuple[Proof, Peer]:
    challenge = travel(that.on_hello(travel(this.hello())))
    proof = this.on_challenge(challenge, now=LATER)
    return proof, that.on_auth(travel(proof.auth))


def refused(code: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    with pytest.raises(ProtocolError) as caught:
        call(*args, **kwargs)
    assert caught.value.code == code, caught.value


@pytest.mark.parametrize("certificate", [CERTIFICATE, NO_CERTIFICATE])
def test_they_meet(certificate: bytes) -> None:
    proof, peer = meet(agent(certificate=certificate), controller(certificate=certificate))
    assert peer == Peer(d.AGENT_ID, d.AGENT.public, "loa-agent 0.1.0")
    assert proof.learned == ()


def test_a_first_meeting_brings_the_key_set() -> None:
    state = TrustedState(d.AGENT_ID, d.ROOT.public)
    proof, _ = meet(agent(state), controller())
    assert state.key_set is None
    for each in proof.learned:
        state.commit(each)
    assert state.key_set == d.key_set()


def test_a_newer_key_set_is_learnt() -> None:
    state = d.new_agent().state
    proof, _ = meet(agent(state), controller(d.key_set(version=4)))
    (learned,) = proof.learned
    state.commit(learned)
    assert state.key_set == d.key_set(version=4)


def test_a_controller_from_an_older_backup_can_still_be_talked_to() -> None:
    home = d.new_agent()
    home.take(home.state.verify_keyset(seal_document(d.key_set(version=4), d.ROOT), now=LATER))
    proof, _ = meet(agent(home.state), controller(d.key_set(version=1)))
    assert proof.learned == ()
    assert home.state.key_set == d.key_set(version=4)


def test_but_not_with_a_key_that_was_removed_since() -> None:
    home = d.new_agent()
    without = d.key_set(version=4, keys=(d.online(Role.LIVE),))
    home.take(home.state.verify_keyset(seal_document(without, d.ROOT), now=LATER))
    refused("unknown_key", meet, agent(home.state), controller())


def test_another_root() -> None:
    refused("wrong_root", meet, agent(), controller(root=d.OTHER_ROOT))


def test_another_root_behind_the_right_name() -> None:
    challenge = controller(root=d.OTHER_ROOT).on_hello(agent().hello())
    lying = challenge.model_copy(update={"root_public": d.ROOT.public.hex()})
    refused("wrong_root", agent().on_challenge, lying, now=LATER)


@pytest.mark.parametrize("key", [d.LIVE, d.EMERGENCY, d.DRILL])
def test_only_the_plan_key_proves_a_controller(key: SigningKey) -> None:
    refused("wrong_role", meet, agent(), controller(key=key))


def test_a_key_that_is_not_in_the_set() -> None:
    refused("unknown_key", meet, agent(), controller(key=d.STRANGER))


def test_a_key_that_is_over() -> None:
    over = d.key_set(version=2, keys=(d.online(Role.PLAN, not_after=d.NOW),))
    refused("key_not_valid", meet, agent(), controller(over))


def test_a_machine_in_the_middle_with_its_own_certificate() -> None:
    """It relays every byte; the controller is genuine; the TLS connection is not the controller's."""
    refused("certificate_mismatch", meet, agent(certificate=PROXY), controller())


def test_a_machine_in_the_middle_that_rewrites_the_certificate() -> None:
    this, that = agent(certificate=PROXY), controller()
    challenge = that.on_hello(this.hello()).model_copy(update={"certificate": PROXY.hex()})
    refused("bad_signature", this.on_challenge, challenge, now=LATER)


def test_the_agents_proof_is_bound_to_the_certificate_too() -> None:
    that = controller()
    hello = agent().hello()
    that.on_hello(hello)
    elsewhere = controller(certificate=PROXY)
    proof = agent(certificate=PROXY).on_challenge(elsewhere.on_hello(hello), now=LATER)
    refused("certificate_mismatch", that.on_auth, proof.auth)
    forged = proof.auth.model_copy(update={"certificate": CERTIFICATE.hex()})
    refused("bad_signature", that.on_auth, forged)


def test_a_recorded_challenge_is_no_answer_to_a_new_nonce() -> None:
    recorded = controller().on_hello(agent().hello())
    refused("bad_signature", agent(nonce=b"z" * 32).on_challenge, recorded, now=LATER)


def test_a_recorded_proof_is_no_answer_to_a_new_nonce() -> None:
    proof, _ = meet(agent(), controller())
    fresh = controller(nonce=b"f" * 32)
    fresh.on_hello(agent().hello())
    refused("bad_signature", fresh.on_auth, proof.auth)


def test_the_agents_words_thrown_back_at_it() -> None:
    """Reflection: the role is part of what is signed."""
    this, that = agent(), controller()
    challenge = that.on_hello(this.hello())
    proof = this.on_challenge(challenge, now=LATER)
    mirrored = challenge.model_copy(update={"signature": proof.auth.signature})
    refused("bad_signature", this.on_challenge, mirrored, now=LATER)


def test_an_id_that_is_not_made_of_the_key() -> None:
    hello = agent().hello().model_copy(update={"agent_id": "0" * 32})
    refused("wrong_agent_id", controller().on_hello, hello)


def test_someone_elses_key() -> None:
    that = controller()
    challenge = that.on_hello(agent().hello())
    thief = AgentHandshake(d.STRANGER, d.new_agent().state, certificate=CERTIFICATE, nonce=b"a" * 32)
    stolen = challenge.model_copy(update={"signature": controller().on_hello(thief.hello()).signature})
    refused("bad_signature", that.on_auth, thief.on_challenge(stolen, now=LATER).auth)


def test_out_of_order() -> None:
    proof, _ = meet(agent(), controller())
    refused("out_of_order", controller().on_auth, proof.auth)
    that = controller()
    that.on_hello(agent().hello())
    refused("out_of_order", that.on_hello, agent().hello())


def test_an_agent_that_missed_two_rotations_follows_the_chain() -> None:
    third = d.seeded("root 3")
    chain = (
        seal_document(d.successor(), d.ROOT, d.NEXT_ROOT),
        seal_document(
            d.successor(version=3, previous=d.NEXT_ROOT.fingerprint, public=third.public), d.NEXT_ROOT, third
        ),
    )
    state = d.new_agent().state
    proof, _ = meet(agent(state), controller(d.key_set(version=2), root=third, chain=chain))
    for each in proof.learned:
        state.commit(each)
    assert state.root_public == third.public
    again, _ = meet(agent(state), controller(d.key_set(version=2), root=third, chain=chain))
    assert again.learned == ()


def test_a_chain_that_leads_elsewhere() -> None:
    chain = (seal_document(d.successor(public=d.OTHER_ROOT.public), d.OTHER_ROOT, d.NEXT_ROOT),)
    refused("wrong_root", meet, agent(), controller(root=d.OTHER_ROOT, chain=chain))


def test_a_refusal_says_why() -> None:
    with pytest.raises(WrongVersionError) as caught:
        decode('{"type":"hello","version":2}')
    message = refusal(caught.value)
    assert (message.type, message.code) == ("refused", "wrong_version")
    assert "version 2" in message.detail


def test_nonces_have_32_bytes() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        agent(nonce=b"short")


def test_types() -> None:
    this = agent()
    assert isinstance(this.hello(), Hello)
    assert this.hello().agent_id == agent_id_of(d.AGENT.public)
    assert isinstance(controller().on_hello(this.hello()), Challenge)
    assert issubclass(HandshakeError, ProtocolError)
