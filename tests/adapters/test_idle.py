"""Layers that are kept between cases: one of a kind, the newest, and never one in use."""

from __future__ import annotations

from bnconform.adapters.idle import Idle


class _User:
    """Whoever holds a layer."""


def test_what_is_given_back_is_taken_again() -> None:
    """As soon as its user is gone, and not before."""
    idle, user = Idle[str](2), _User()
    idle.lend(user, "kind", "layer")
    assert idle.take("kind") is None
    del user
    assert idle.take("kind") == "layer"
    assert idle.take("kind") is None


def test_one_of_a_kind_is_kept_and_those_kept_longest_go() -> None:
    """What goes is dropped."""
    dropped: list[str] = []
    idle = Idle[str](2, dropped.append)
    for kind, layer in (("a", "a1"), ("a", "a2"), ("b", "b1"), ("c", "c1")):
        idle.lend(_User(), kind, layer)
    assert dropped == ["a2", "a1"]
    assert len(idle) == 2
    assert (idle.take("a"), idle.take("b"), idle.take("c")) == (None, "b1", "c1")


def test_what_is_spoilt_is_not_given_back() -> None:
    """Its user says so."""
    idle, user = Idle[str](2), _User()
    idle.lend(user, "kind", "layer").detach()
    del user
    assert len(idle) == 0
