"""Inputs of many cases made at once: those of each alone, each in memory of its own."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import fields, replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnconform.conformance.case import Case, Fill, FillKind, Layout, Upstream
from bnconform.conformance.cases import fill_values, fills, streams
from bnconform.conformance.cases.fills import Inputs, make_inputs, make_many
from bnconform.conformance.cases.strategies import cases
from bnconform.conformance.contract import Array
from bnconform.conformance.formats import DType
from bnconform.conformance.variant import Adjusted, Hidden, Masked, Renorm, Variant, Weighted

from .cases import plain

IMAGE = plain(shape=(6, 4, 2, 3), last_batch=4, steps=2)
LAID_OUT = replace(IMAGE, layout=Layout.CHANNELS_LAST, upstream_layout=Layout.STRIDED)
RENORM = Renorm(r_min=0.75, r_max=1.5, d_max=0.5, decay=0.5)
SIGNATURES = {
    "matrix": plain(shape=(5, 3)),  # the smallest ordinary one
    "image": LAID_OUT,  # every array of another layout, a smaller last batch
    "features apart": replace(IMAGE, feature_axes=(-1, 1), dtype=DType.BFLOAT16),
    "half parameters": replace(IMAGE, dtype=DType.FLOAT16, half_parameters=True),
    "no parameters": replace(IMAGE, dtype=DType.FLOAT64, center=False, scale=False),
    "same inputs": plain(shape=(4, 3, 2), steps=3, same_inputs=True),
    "no values": plain(shape=(4, 3, 0)),
    "no channels": plain(shape=(4, 0)),
    "mask": replace(LAID_OUT, variant=Masked(hidden=Hidden.NAN)),
    "mask of samples": replace(IMAGE, variant=Masked(hidden=Hidden.ORDINARY, by_sample=True)),
    "mask of nothing": replace(IMAGE, variant=Masked(hidden=Hidden.ORDINARY, nothing=True)),
    "weights": replace(IMAGE, variant=Weighted()),
    "adjusted": replace(IMAGE, variant=Adjusted(per_sample=True)),
    "adjusted alike": replace(IMAGE, variant=Adjusted(per_sample=False)),
    "renorm": replace(IMAGE, variant=RENORM),
}


def _fills(count: int) -> list[Fill]:
    """Every kind in turn, with and without a level; no two of one seed."""
    offsets, levels = itertools.cycle((10.0, 1e3)), itertools.cycle((None, 3e-39, -7.0))
    return [
        Fill(
            kind=kind,
            seed=seed,
            offset=next(offsets) if kind is FillKind.OFFSET else 0.0,
            level=next(levels) if kind is FillKind.CONSTANT else None,
        )
        for seed, kind in zip(range(count), itertools.cycle(FillKind), strict=False)
    ]


def _alike(signature: Case, count: int = 40) -> list[Case]:
    """Cases of ``signature`` that differ in all that may differ."""
    # A shared buffer asks for one layout and a plain case.
    shared = signature.layout is signature.upstream_layout and signature.variant == plain().variant
    upstreams = itertools.cycle([u for u in Upstream if shared or u is not Upstream.INPUT])
    return [
        replace(signature, fill=fill, upstream=upstream, epsilon=0.1 / (fill.seed + 1))
        for fill, upstream in zip(_fills(count), upstreams, strict=False)
    ]


MIXED = [
    case
    for alike in itertools.zip_longest(*map(_alike, SIGNATURES.values()))
    for case in alike
    if case is not None
]
"""Signatures taken in turn, so that none of them stands in one piece."""


def _named(inputs: Inputs) -> dict[str, Array]:
    """Every array, the state and what belongs to variants included."""
    state = inputs.parameters
    found = {each.name: getattr(state, each.name) for each in fields(state)}
    for index, call in enumerate((*inputs.steps, inputs.inference)):
        found |= {f"{index}.{name}": array for name, array in call.arrays.items()}
    return {name: array for name, array in found.items() if array is not None}


def _differences(one: Inputs, other: Inputs) -> list[str]:
    """Names of arrays that differ in a bit, in format or shape, or in how they lie in memory."""
    left, right = _named(one), _named(other)
    return sorted(left.keys() ^ right.keys()) + [
        name
        for name in left.keys() & right.keys()
        if _looks(left[name]) != _looks(right[name])
        or left[name].tobytes() != right[name].tobytes()
    ]


def _looks(array: Array) -> tuple[object, ...]:
    return array.dtype, array.shape, array.strides, array.flags.writeable, array.flags.aligned


def _spoilt(together: Sequence[Case]) -> list[str]:
    """Cases that have other arrays beside the rest than alone."""
    made = zip(together, make_many(together), strict=True)
    return [case.to_json() for case, inputs in made if _differences(inputs, make_inputs(case))]


def test_cases_of_many_signatures_made_at_once_have_the_arrays_that_each_has_alone() -> None:
    """Every kind, upstream gradient, variant and layout, bit for bit and in their order."""
    assert _spoilt(MIXED) == []


@settings(deadline=None, max_examples=30)
@given(st.lists(cases(), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_any_cases_in_any_order_have_the_arrays_that_each_has_alone(
    drawn: list[Case], shuffle: Random
) -> None:
    """Whatever is drawn, three of a signature; one of them twice."""
    seeds = itertools.count(7)
    several = [
        replace(case, fill=replace(case.fill, seed=next(seeds))) for case in drawn for _ in range(3)
    ]
    several.append(several[0])
    shuffle.shuffle(several)
    assert _spoilt(several) == []


TWIN = replace(IMAGE, last_batch=6, dtype=DType.FLOAT16)
CHANGES: dict[str, Any] = {
    "shape": (6, 4, 3, 2),
    "last_batch": 4,
    "feature_axes": (2,),
    "dtype": DType.BFLOAT16,
    "layout": Layout.STRIDED,
    "upstream_layout": Layout.STRIDED,
    "center": False,
    "scale": False,
    "steps": 3,
    "half_parameters": True,
    "variant": Weighted(),
    "same_inputs": True,
}
"""All that tells a signature from another, each changed alone."""


def test_cases_that_differ_in_one_field_alone_are_not_made_as_one() -> None:
    """First beside their twin only, then beside all; other fields may differ within a signature."""
    twins = [replace(TWIN, **{name: value}) for name, value in CHANGES.items()]
    for twin in twins:
        assert _spoilt([TWIN, twin]) == []
    assert _spoilt([*twins, TWIN]) == []
    free = {"mode", "epsilon", "decay", "fill", "upstream"}
    assert {each.name for each in fields(Case)} == CHANGES.keys() | free


FROZEN = [
    (Masked(hidden=Hidden.NAN), "277e62e05284e55a"),
    (Masked(hidden=Hidden.ORDINARY, by_sample=True), "d18fd9c197806e72"),
    (Weighted(), "60641d80d97a8d6c"),
    (Adjusted(per_sample=True), "370a3ac92196acb5"),
    (Adjusted(per_sample=False), "ad9ac10f74b45146"),
    (RENORM, "64744d34e3faacb1"),
]
"""Recorded when every case was made alone; all variants that bring arrays of their own."""


@pytest.mark.parametrize(("variant", "expected"), FROZEN)
def test_the_bits_of_what_variants_bring_are_frozen(variant: Variant, expected: str) -> None:
    """Eighteen cases made at once: every array, its format and its strides."""
    digest = hashlib.sha256()
    for inputs in make_many(_alike(replace(LAID_OUT, variant=variant), 18)):
        for name, array in sorted(_named(inputs).items()):
            digest.update(f"{name} {array.dtype} {array.shape} {array.strides}".encode())
            digest.update(array.tobytes())
    assert digest.hexdigest()[:16] == expected


def test_every_array_is_memory_of_its_own() -> None:
    """None is a slice of what was made for several cases: its buffer is as large as itself.

    A strided one's is twice that, for it is every second element.
    """
    arrays = {id(array): array for inputs in make_many(MIXED) for array in _named(inputs).values()}
    for array in arrays.values():
        buffer = array if array.base is None else array.base
        assert buffer.flags.owndata
        assert array.size == 0 or buffer.size in {array.size, 2 * array.size}
    buffers = [id(array if array.base is None else array.base) for array in arrays.values()]
    assert len(set(buffers)) == len(buffers)


def test_a_subject_that_overwrites_its_arrays_does_not_reach_another_cases() -> None:
    """Each case's arrays are zeroed in turn; those of the next are still whole then."""
    together = _alike(IMAGE)
    for case, inputs in zip(together, make_many(together), strict=True):
        assert _differences(inputs, make_inputs(case)) == []
        for array in _named(inputs).values():
            array[...] = 0


def test_what_a_case_asks_to_be_shared_is_shared_and_nothing_else() -> None:
    """One buffer for all calls with same_inputs, one for x and dy where upstream is the input."""
    together = _alike(SIGNATURES["same inputs"]) + _alike(IMAGE)
    for case, inputs in zip(together, make_many(together), strict=True):
        calls = (*inputs.steps, inputs.inference)
        assert len({id(call) for call in calls}) == (1 if case.same_inputs else len(calls))
        for call in calls:
            assert (call.x is call.dy) == (case.upstream is Upstream.INPUT)


def test_cases_are_made_in_parts_that_fit_the_memory_set_aside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A batch of 144 elements: three fit 500, and of one that does not fit there is one."""
    together = _alike(IMAGE, 10)
    whole, sizes, made = make_many(together), [], fill_values.location_scale

    def counted(some: Sequence[Case]) -> fill_values.Location:
        sizes.append(len(some))
        return made(some)

    monkeypatch.setattr(fill_values, "location_scale", counted)
    for limit in (500, 100):
        monkeypatch.setattr(fills, "_TOGETHER", limit)
        for one, other in zip(make_many(together), whole, strict=True):
            assert _differences(one, other) == []
    # The kinds in turn: cases 6 of 10 are exact, which have streams of their own.
    assert sizes == [3, 3, 3, 1, *[1] * 10]


def test_all_streams_are_seeded_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """None is begun that was not foreseen, which would cost as much as all of them."""
    seeded, states = [], streams.states

    def counted(names: Sequence[str]) -> list[streams.State]:
        seeded.append(len(names))
        return states(names)

    monkeypatch.setattr(streams, "states", counted)
    make_many(MIXED)
    assert len(seeded) == 1


def test_no_stream_is_seeded_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every one that is foreseen is read, by the case that it is foreseen for."""
    read: set[str] = set()
    stacked = streams.stacked

    def noted(names: Sequence[str], count: int) -> Array:
        read.update(names)
        return stacked(names, count)

    monkeypatch.setattr(streams, "stacked", noted)
    make_many(MIXED)
    foreseen = {f"{case.fill.seed}/{role}" for case in MIXED for role in fill_values.roles(case)}
    assert foreseen == read
