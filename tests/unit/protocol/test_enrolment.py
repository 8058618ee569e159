"""How strangers meet: the provisioning file and the eight digits."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from protocol.codec import seal_document
from protocol.enrolment import AgentCode, AgentToken, ControllerCode, Pinned, Provisioning
from protocol.errors import MalformedError, ProtocolError
from protocol.handshake import AgentHandshake, ControllerHandshake, Peer
from protocol.keys import SigningKey
from protocol.link import certificate_hash
from protocol.messages import EnrolCommit, Enrolled, EnrolNonce, EnrolReveal, decode, encode
from protocol.trust import TrustedState
from tests.unit.protocol import district as d

CERTIFICATE = certificate_hash(b"the controller's certificate")
PROXY = certificate_hash(b"another certificate")
LATER = d.NOW + timedelta(minutes=1)
TOKEN = "q3nX-4vTzJ0yS_mWcR5b2A"
KEY_SET = seal_document(d.key_set(), d.ROOT)


def travel(message: Any) -> Any:
    return decode(encode(message))


def refused(code: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    with pytest.raises(ProtocolError) as caught:
        call(*args, **kwargs)
    assert caught.value.code == code, caught.value


def check_pinned(pinned: Pinned | None) -> None:
    """What was pinned is enough to begin with."""
    assert pinned is not None
    state = TrustedState(d.AGENT_ID, pinned.root_public, cluster_id=pinned.cluster_id)
    state.commit(pinned.key_set)
    assert state.root_public == d.ROOT.public
    state.commit(state.verify_plan(seal_document(d.plan(), d.PLAN), now=LATER))


class TestToken:
    def agent(self, *, root: str = d.ROOT.fingerprint, certificate: bytes = CERTIFICATE) -> AgentToken:
        return AgentToken(d.AGENT, root=root, token=TOKEN, certificate=certificate, nonce=b"a" * 32, software="x")

    def controller(self, root: SigningKey = d.ROOT, nonce: bytes = b"c" * 32) -> ControllerHandshake:
        sealed = seal_document(d.key_set(root_fingerprint=root.fingerprint), root)
        return ControllerHandshake(
            d.PLAN, root_public=root.public, key_set=sealed, certificate=CERTIFICATE, nonce=nonce
        )

    def test_the_whole_route(self) -> None:
        agent, controller = self.agent(), self.controller()
        challenge = travel(controller.on_hello(travel(agent.hello())))
        peer, token = controller.on_token(travel(agent.on_challenge(challenge, now=LATER)))
        assert (peer, token) == (Peer(d.AGENT_ID, d.AGENT.public, "x"), TOKEN)
        check_pinned(agent.on_enrolled(travel(Enrolled(cluster_id=d.CLUSTER, agent_id=peer.agent_id))))

    def test_a_rogue_controller_never_sees_the_token(self) -> None:
        agent = self.agent()
        refused("wrong_root", agent.on_challenge, self.controller(d.OTHER_ROOT).on_hello(agent.hello()), now=LATER)

    def test_nor_does_a_machine_in_the_middle(self) -> None:
        agent = self.agent(certificate=PROXY)
        refused("certificate_mismatch", agent.on_challenge, self.controller().on_hello(agent.hello()), now=LATER)

    def test_a_recorded_token_message_is_of_no_use(self) -> None:
        agent, controller = self.agent(), self.controller()
        recorded = agent.on_challenge(controller.on_hello(agent.hello()), now=LATER)
        fresh = self.controller(nonce=b"f" * 32)
        refused("out_of_order", fresh.on_token, recorded)
        fresh.on_hello(agent.hello())
        refused("bad_signature", fresh.on_token, recorded)
        other = recorded.model_copy(update={"token": "z" * 22})
        refused("bad_signature", controller.on_token, other)

    def test_a_proof_of_the_handshake_is_none_here(self) -> None:
        agent, controller = self.agent(), self.controller()
        challenge = controller.on_hello(agent.hello())
        message = agent.on_challenge(challenge, now=LATER)
        plain = AgentHandshake(d.AGENT, d.new_agent().state, certificate=CERTIFICATE, nonce=b"a" * 32)
        auth = plain.on_challenge(challenge, now=LATER).auth
        refused("bad_signature", controller.on_token, message.model_copy(update={"signature": auth.signature}))
        refused("bad_signature", controller.on_auth, auth.model_copy(update={"signature": message.signature}))

    def test_enrolled_too_early_or_as_somebody_else(self) -> None:
        agent = self.agent()
        refused("out_of_order", agent.on_enrolled, Enrolled(cluster_id="cl_a", agent_id=d.AGENT_ID))
        agent.on_challenge(self.controller().on_hello(agent.hello()), now=LATER)
        refused("wrong_agent_id", agent.on_enrolled, Enrolled(cluster_id="cl_a", agent_id="0" * 32))


class TestProvisioningFile:
    def test_there_and_back(self) -> None:
        for where in (None, "https://loa.dakrong.example:8471"):
            file = Provisioning(where, d.ROOT.fingerprint, (TOKEN, "y" * 32))
            assert Provisioning.from_bytes(file.to_bytes()) == file

    def test_many_tokens_fit(self) -> None:
        file = Provisioning(None, d.ROOT.fingerprint, tuple(f"{n:032d}" for n in range(8192)))
        assert Provisioning.from_bytes(file.to_bytes()) == file

    @pytest.mark.parametrize(
        "text",
        [
            b"",
            b"[]",
            b"{}",
            b'{"root":"%s","tokens":[]}' % (b"ab" * 32),
            b'{"root":"%s","tokens":["short"]}' % (b"ab" * 32),
            b'{"root":"%s","tokens":[5]}' % (b"ab" * 32),
            b'{"root":"%s","tokens":"%s"}' % (b"ab" * 32, b"a" * 32),
            b'{"root":"ab","tokens":["%s"]}' % (b"a" * 32),
            b'{"root":"%s","tokens":["%s"],"controller":"file:///etc"}' % (b"ab" * 32, b"a" * 32),
        ],
    )
    def test_odd_files(self, text: bytes) -> None:
        with pytest.raises(MalformedError):
            Provisioning.from_bytes(text)


class TestDigits:
    def agent(
        self, certificate: bytes = CERTIFICATE, nonce: bytes = b"a" * 32, *, confirmed: bool = False
    ) -> AgentCode:
        return AgentCode(d.AGENT, certificate=certificate, nonce=nonce, software="x", confirmed=confirmed)

    def controller(
        self, nonce: bytes = b"c" * 32, root: SigningKey = d.ROOT, certificate: bytes = CERTIFICATE
    ) -> ControllerCode:
        sealed = seal_document(d.key_set(root_fingerprint=root.fingerprint), root)
        return ControllerCode(d.PLAN, root_public=root.public, key_set=sealed, certificate=certificate, nonce=nonce)

    def shown(self, agent: AgentCode, controller: ControllerCode) -> None:
        nonce = travel(controller.on_commit(travel(agent.commit())))
        controller.on_reveal(travel(agent.on_nonce(nonce, now=LATER)))

    @pytest.mark.parametrize("confirm_first", [False, True])
    def test_both_see_the_same_and_either_may_say_yes_first(self, confirm_first: bool) -> None:
        agent, controller = self.agent(), self.controller()
        self.shown(agent, controller)
        assert agent.digits == controller.digits
        assert re.fullmatch(r"\d{4} \d{4}", controller.digits)
        assert controller.peer == Peer(d.AGENT_ID, d.AGENT.public, "x")
        approved: Enrolled = travel(controller.approve(d.CLUSTER))
        for step in ("confirm", "approve") if confirm_first else ("approve", "confirm"):
            assert agent.pinned is None
            if step == "confirm":
                agent.confirm()
            else:
                agent.on_enrolled(approved)
        check_pinned(agent.pinned)

    def test_without_a_person_at_the_agent(self) -> None:
        agent, controller = self.agent(confirmed=True), self.controller()
        self.shown(agent, controller)
        assert agent.pinned is None
        agent.on_enrolled(controller.approve(d.CLUSTER))
        check_pinned(agent.pinned)

    def test_other_nonces_other_digits(self) -> None:
        seen = set()
        for n in range(20):
            agent, controller = self.agent(nonce=bytes([n]) * 32), self.controller()
            self.shown(agent, controller)
            seen.add(controller.digits)
        assert len(seen) == 20

    def test_in_the_middle_the_digits_differ(self) -> None:
        """It enrols itself at the controller and plays the controller towards the agent."""
        agent, controller = self.agent(), self.controller()
        towards_agent = self.controller(nonce=b"m" * 32, root=d.OTHER_ROOT)
        towards_controller = AgentCode(d.STRANGER, certificate=CERTIFICATE, nonce=b"n" * 32)
        self.shown(agent, towards_agent)
        self.shown(towards_controller, controller)
        assert agent.digits != controller.digits

    def test_the_agent_cannot_choose_its_nonce_afterwards(self) -> None:
        agent, controller = self.agent(), self.controller()
        reveal = agent.on_nonce(controller.on_commit(agent.commit()), now=LATER)
        refused("broken_commitment", controller.on_reveal, reveal.model_copy(update={"nonce": "00" * 32}))

    def test_a_commitment_is_bound_to_its_key(self) -> None:
        agent, controller = self.agent(), self.controller()
        stolen = agent.commit().model_copy(update={"public_key": d.STRANGER.public.hex()})
        controller.on_commit(stolen)
        reveal = agent.on_nonce(self.controller().on_commit(agent.commit()), now=LATER)
        refused("broken_commitment", controller.on_reveal, reveal)

    def test_relayed_over_another_certificate(self) -> None:
        agent, controller = self.agent(PROXY), self.controller()
        nonce = controller.on_commit(agent.commit())
        refused("certificate_mismatch", agent.on_nonce, nonce, now=LATER)
        lying = nonce.model_copy(update={"certificate": PROXY.hex()})
        refused("bad_signature", agent.on_nonce, lying, now=LATER)

    def test_a_root_that_did_not_sign_the_key_set(self) -> None:
        agent, controller = self.agent(), self.controller()
        nonce = controller.on_commit(agent.commit())
        lying = nonce.model_copy(update={"root_public": d.OTHER_ROOT.public.hex()})
        refused("wrong_root", agent.on_nonce, lying, now=LATER)

    def test_a_signature_of_the_agent_that_does_not_verify(self) -> None:
        agent, controller = self.agent(), self.controller()
        reveal = agent.on_nonce(controller.on_commit(agent.commit()), now=LATER)
        refused("bad_signature", controller.on_reveal, reveal.model_copy(update={"signature": "00" * 64}))

    def test_out_of_order(self) -> None:
        agent, controller = self.agent(), self.controller()
        refused("out_of_order", agent.confirm)
        refused("out_of_order", agent.on_enrolled, Enrolled(cluster_id="cl_a", agent_id=d.AGENT_ID))
        refused("out_of_order", lambda: controller.digits)
        refused("out_of_order", lambda: controller.peer)
        refused("out_of_order", controller.approve, "cl_a")
        commit = agent.commit()
        nonce = controller.on_commit(commit)
        refused("out_of_order", controller.on_commit, commit)
        reveal = agent.on_nonce(nonce, now=LATER)
        refused("out_of_order", agent.on_nonce, nonce, now=LATER)
        controller.on_reveal(reveal)
        refused("out_of_order", controller.on_reveal, reveal)
        refused("out_of_order", self.controller().on_reveal, reveal)

    def test_messages(self) -> None:
        agent, controller = self.agent(), self.controller()
        assert isinstance(agent.commit(), EnrolCommit)
        nonce = controller.on_commit(agent.commit())
        assert isinstance(nonce, EnrolNonce)
        assert isinstance(agent.on_nonce(nonce, now=LATER), EnrolReveal)
        with pytest.raises(ValueError, match="32 bytes"):
            self.agent(nonce=b"")
