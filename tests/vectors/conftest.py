"""A valid file to spoil, worked out by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bnconform.conformance.vectors.format import VectorFile
from bnconform.conformance.vectors.reading import parse_vectors


def hand_made() -> dict[str, Any]:
    """A file with one vector of two channels, every result of which can be checked in the head.

    Channel 0 holds 1, 3, 5, 7: mean 4, variance 5, and epsilon 4 makes the deviation 3. Channel 1
    holds 2, 2, 2, 2: mean 2, variance 0, deviation 2. dy picks the first sample of each.
    """
    return {
        "format": "bn-vectors/1",
        "source": "by hand",
        "vectors": [
            {
                "id": "by-hand",
                "mode": "train",
                "dtype": "float64",
                "axis": [-1],
                "epsilon": 4,
                "decay": 0.75,
                "conventions": {"running_var": "biased"},
                "inputs": {
                    "x": {"shape": [4, 2], "data": [1, 2, 3, 2, 5, 2, 7, 2]},
                    "gamma": {"shape": [2], "data": [3, 2]},
                    "beta": {"shape": [2], "data": [0.5, -1]},
                    "running_mean": {"shape": [2], "data": [0, 2]},
                    "running_var": {"shape": [2], "data": [1, 4]},
                    "dy": {"shape": [4, 2], "data": [1, 1, 0, 0, 0, 0, 0, 0]},
                },
                "expected": {
                    "y": {"shape": [4, 2], "data": [-2.5, -1, -0.5, -1, 1.5, -1, 3.5, -1]},
                    "batch_mean": {"shape": [2], "data": [4, 2]},
                    "batch_var": {"shape": [2], "data": [5, 0]},
                    "running_mean": {"shape": [2], "data": [1, 2]},
                    "running_var": {"shape": [2], "data": [2, 3]},
                    "dx": {
                        "shape": [4, 2],
                        "data": [0.5, 0.75, -1 / 3, -0.25, -1 / 6, -0.25, 0, -0.25],
                    },
                    "dgamma": {"shape": [2], "data": [-1, 0]},
                    "dbeta": {"shape": [2], "data": [1, 1]},
                },
            }
        ],
    }


@pytest.fixture
def data() -> dict[str, Any]:
    """The hand-made file as data, to be changed at will."""
    return hand_made()


@pytest.fixture
def hand_made_file() -> VectorFile:
    """The hand-made file as it is read."""
    return parse_vectors(json.dumps(hand_made()), "hand.json")
