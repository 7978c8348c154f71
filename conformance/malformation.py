"""The ways in which a call can be malformed; ``malformed.py`` says what each one sends."""

from __future__ import annotations

from enum import StrEnum


class Malformation(StrEnum):
    """What is wrong with a call that is otherwise ordinary."""

    RANK_TOO_LOW = "rank too low"
    """The input has no axis where the feature axis should be."""
    OTHER_CHANNELS = "other number of channels"
    """One channel less than there are parameters, and more than one."""
    ONE_CHANNEL = "one channel"
    """A single channel, which would broadcast against the parameters."""
    AXIS_OUT_OF_RANGE = "axis out of range"
    """The axis is the input's rank, one too far."""
    AXIS_REPEATED = "axis repeated"
    """The feature axis is named twice."""
    GAMMA_OF_OTHER_SIZE = "gamma of another size"
    """One value more than there are channels."""
    GAMMA_OF_ONE = "gamma of one value"
    """A single value, which would broadcast over the channels."""
    STATISTICS_OF_OTHER_SIZE = "statistics of another size"
    """Running statistics with one value more than there are channels."""
    STATISTICS_OF_ONE = "statistics of one value"
    """Running statistics of a single value, which would broadcast over the channels."""
    NEGATIVE_EPSILON = "negative epsilon"
    ZERO_EPSILON = "epsilon of 0"
    DECAY_ABOVE_ONE = "decay above 1"
    NEGATIVE_DECAY = "negative decay"
    INTEGER_INPUT = "integer input"
