"""Experiments with TensorFlow 1's ``tf.compat.v1.layers.batch_normalization``, in graph mode.

Each builds its own graph by the function that users call, starts a session, and looks. What each is
for, with what it is given and what must be seen, is in ``conformance/experiments``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from bnconform.conformance.contract import Array

_VARIABLES = ("gamma", "beta", "moving_mean", "moving_variance")


@dataclass(frozen=True, kw_only=True)
class Bench:
    """TensorFlow, the value of ``fused`` that the subject stands for, and what it was handed."""

    tf: Any
    fused: bool
    arrays: Mapping[str, Array]

    @property
    def v1(self) -> Any:
        """The API of TensorFlow 1."""
        return self.tf.compat.v1

    @contextmanager
    def graph(self) -> Iterator[Callable[..., Any]]:
        """A fresh graph to build in; gives ``session.run``."""
        with self.tf.Graph().as_default() as graph, self.v1.Session(graph=graph) as session:
            yield session.run

    def normalize(self, x: str = "x", **options: Any) -> Any:
        """Call the function on the array ``x``; arrays called ``initial_*`` start the variables."""
        given = [name for name in _VARIABLES if f"initial_{name}" in self.arrays]
        initial = {f"{name}_initializer": self.constant(f"initial_{name}") for name in given}
        return self.layer_on(self.tf.constant(self.arrays[x]), **(initial | options))

    def layer_on(self, inputs: Any, **options: Any) -> Any:
        """Call the function on a tensor of this graph."""
        settings = {name: float(self.arrays[name]) for name in ("momentum", "epsilon")}
        every = {"fused": self.fused} | settings | options
        return self.v1.layers.batch_normalization(inputs, **every)

    def constant(self, name: str) -> Any:
        """An initializer that gives the array ``name``."""
        return self.v1.constant_initializer(self.arrays[name])

    def variables(self) -> dict[str, Any]:
        """The graph's variables by the last part of their names, of the one layer in it."""
        return {v.op.name.rpartition("/")[2]: v for v in self.v1.global_variables()}

    def updates(self) -> list[Any]:
        """What users must run at every training step, as the function's page says."""
        found: list[Any] = self.v1.get_collection(self.v1.GraphKeys.UPDATE_OPS)
        return found


Found = dict[str, Array]


def _axis_undefined(bench: Bench) -> Found:
    with bench.graph():
        try:
            bench.layer_on(bench.v1.placeholder(bench.tf.float32, (2, 1, 1, None)))
        except ValueError:
            return {"rejected": _number(1)}
    return {"rejected": _number(0)}


def _axis_reduced(bench: Bench) -> Found:
    with bench.graph() as run:
        x = bench.v1.placeholder(bench.tf.float32, (None, None, None, 2))
        y = bench.layer_on(x, training=True)
        run(bench.v1.global_variables_initializer())
        return {f"y_{name}": run(y, {x: bench.arrays[name]}) for name in ("pair", "four")}


def _initializer(variable: str, bench: Bench) -> Found:
    found = {}
    given = {f"{variable}_initializer": bench.constant("initial")}
    for name, options in {"default": {}, "given": given}.items():
        with bench.graph() as run:
            bench.normalize(**options)
            run(bench.v1.global_variables_initializer())
            found[name] = run(bench.variables()[variable])
    return found


def _regularizer(variable: str, bench: Bench) -> Found:
    """The user adds the collected terms to the loss."""
    l2 = bench.tf.keras.regularizers.L2(float(bench.arrays["strength"]))
    with bench.graph() as run:
        y = bench.normalize(training=True, **{f"{variable}_regularizer": l2})
        loss = bench.tf.reduce_sum(y * bench.arrays["dy"])
        term = bench.v1.losses.get_regularization_loss()
        parameter = bench.variables()[variable]
        run(bench.v1.global_variables_initializer())
        fetched: Found = run(
            {
                "loss": term,
                "gradient": bench.v1.gradients(loss + term, parameter)[0],
                "gradient_without": bench.v1.gradients(loss, parameter)[0],
                "y": y,
            }
        )
        return {name: np.asarray(value) for name, value in fetched.items()}


def _constraint(variable: str, bench: Bench) -> Found:
    not_negative = bench.tf.keras.constraints.NonNeg()
    with bench.graph() as run:
        y = bench.normalize(training=True, **{f"{variable}_constraint": not_negative})
        loss = bench.tf.reduce_sum(y * bench.arrays["dy"])
        optimizer = bench.v1.train.GradientDescentOptimizer(float(bench.arrays["rate"]))
        step = optimizer.minimize(loss)
        parameter = bench.variables()[variable]
        run(bench.v1.global_variables_initializer())
        before = run(parameter)
        run(step)
        return {"before": before, "after": run(parameter)}


def _training_forms(bench: Bench) -> Found:
    """Every form is built in a graph of its own and given the same first step."""
    tf, found = bench.tf, {}
    unfed = partial(bench.v1.placeholder_with_default, input=False, shape=())
    forms: dict[str, tuple[Callable[[], Any], bool]] = {
        "bool": (lambda: True, False),
        "tensor": (lambda: tf.constant(value=True), False),
        "fed": (unfed, True),
        "bool_false": (lambda: False, False),
        "tensor_false": (lambda: tf.constant(value=False), False),
        "unfed": (unfed, False),
    }
    for name, (make, fed) in forms.items():
        with bench.graph() as run:
            training = make()
            y = bench.normalize(training=training)
            run(bench.v1.global_variables_initializer())
            feeds = {training: True} if fed else {}
            found[f"y_{name}"], _ = run([y, bench.updates()], feeds)
            found[f"mean_{name}"] = run(bench.variables()["moving_mean"])
    return found


def _training_virtual(bench: Bench) -> Found:
    outputs = []
    forms: tuple[Callable[[], Any], ...] = (lambda: bench.v1.placeholder(bool, ()), lambda: True)
    for form in forms:
        with bench.graph() as run:
            training = form()
            # virtual_batch_size is there only without the fused operation.
            y = bench.normalize(training=training, virtual_batch_size=2, fused=False)
            run(bench.v1.global_variables_initializer())
            outputs.append(run(y, {} if training is True else {training: True}))
    return {"difference": outputs[0] - outputs[1]}


def _training_omitted(bench: Bench) -> Found:
    with bench.graph() as run:
        y = bench.normalize()
        run(bench.v1.global_variables_initializer())
        found, _ = run([y, bench.updates()])
        state = {name: bench.variables()[name] for name in ("moving_mean", "moving_variance")}
        return {"y": found, **run(state)}


def _trainable(bench: Bench) -> Found:
    counts = {}
    for trainable in (True, False):
        with bench.graph():
            bench.normalize(training=True, trainable=trainable)
            counts[trainable] = len(bench.v1.trainable_variables())
            variables = len(bench.v1.global_variables())
    return {
        "trainable": _number(counts[True]),
        "frozen": _number(counts[False]),
        "variables_of_frozen": _number(variables),
    }


def _fused(bench: Bench) -> Found:
    """What was built is told by the operations in the graph, not by the layer."""
    found, built = {}, []
    for fused in (None, True, False):
        with bench.graph() as run:
            y = bench.normalize(training=True, fused=fused)
            run(bench.v1.global_variables_initializer())
            run([y, bench.updates()])
            found[f"variance_{fused}".lower()] = run(bench.variables()["moving_variance"])
            kinds = {operation.type for operation in y.graph.get_operations()}
            built.append(any(kind.startswith("FusedBatchNorm") for kind in kinds))
    return {**found, "built_fused": np.array(built, np.float32)}


def _name(bench: Bench) -> Found:
    wanted = [f"named/{variable}" for variable in _VARIABLES]
    with bench.graph():
        bench.normalize(name="named")
        names = [variable.op.name for variable in bench.v1.global_variables()]
    return {
        "found": np.array([name in names for name in wanted], np.float32),
        "others": _number(len(set(names) - set(wanted))),
    }


def _reuse(bench: Bench, *, first: Any, second: Any) -> Found:
    """The calls' updates are run one call after the other: together, their order is nobody's."""
    with bench.graph() as run:
        bench.normalize("first", training=True, name="shared", reuse=first)
        of_first = bench.updates()
        bench.normalize("second", training=True, name="shared", reuse=second)
        of_second = bench.updates()[len(of_first) :]
        variables = bench.v1.global_variables()
        moving_mean = next(v for v in variables if v.op.name.endswith("moving_mean"))
        run(bench.v1.global_variables_initializer())
        run(of_first)
        after_first = run(moving_mean)
        run(of_second)
        return {
            "variables": _number(len(variables)),
            "mean_after_first": after_first,
            "mean_after_second": run(moving_mean),
        }


def _reuse_auto(bench: Bench) -> Found:
    return _reuse(bench, first=bench.v1.AUTO_REUSE, second=bench.v1.AUTO_REUSE)


def _reuse_forgotten(bench: Bench) -> Found:
    with bench.graph():
        bench.normalize("first", name="shared")
        try:
            bench.normalize("second", name="shared")
        except ValueError:
            return {"rejected": _number(1)}
    return {"rejected": _number(0)}


def _updates(bench: Bench, *, forgotten: bool) -> Found:
    """One step by an optimizer of rate 0, then inference by the same variables."""
    with bench.graph() as run:
        y = bench.normalize(training=True, name="shared")
        updates = [] if forgotten else bench.updates()
        with bench.tf.control_dependencies(updates):
            optimizer = bench.v1.train.GradientDescentOptimizer(0.0)
            step = optimizer.minimize(bench.tf.reduce_sum(y))
        inferred = bench.normalize("probe", training=False, name="shared", reuse=True)
        state = {name: bench.variables()[name] for name in ("moving_mean", "moving_variance")}
        run(bench.v1.global_variables_initializer())
        run(step)
        found: Found = run({**state, "y_infer": inferred})
        return found


def _remainder(bench: Bench) -> Found:
    """The whole groups show that it is the remainder which is rejected."""
    return {
        "rejected": _number(not _runs_in_pairs("remainder", bench)),
        "accepted": _number(_runs_in_pairs("whole", bench)),
    }


def _runs_in_pairs(x: str, bench: Bench) -> bool:
    try:
        with bench.graph() as run:
            # virtual_batch_size is there only without the fused operation.
            y = bench.normalize(x, training=True, virtual_batch_size=2, fused=False)
            run(bench.v1.global_variables_initializer())
            run(y)
    except (ValueError, bench.tf.errors.InvalidArgumentError):
        return False
    return True


def _number(value: float) -> Array:
    return np.asarray(value, np.float32)


_EXPERIMENTS: Mapping[str, Callable[[Bench], Found]] = {
    "axis.undefined": _axis_undefined,
    "axis.reduced": _axis_reduced,
    **{f"initializer.{variable}": partial(_initializer, variable) for variable in _VARIABLES},
    **{f"regularizer.{name}": partial(_regularizer, name) for name in ("beta", "gamma")},
    **{f"constraint.{name}": partial(_constraint, name) for name in ("beta", "gamma")},
    "training.forms": _training_forms,
    "training.virtual_batches": _training_virtual,
    "training.omitted": _training_omitted,
    "trainable": _trainable,
    "fused": _fused,
    "name": _name,
    "reuse.true": partial(_reuse, first=None, second=True),
    "reuse.auto": _reuse_auto,
    "reuse.forgotten": _reuse_forgotten,
    "updates.run": partial(_updates, forgotten=False),
    "updates.forgotten": partial(_updates, forgotten=True),
    "virtual_batch_size.remainder": _remainder,
}

NAMES = frozenset(_EXPERIMENTS)
"""The experiments that the layer can run."""


def observe(tf: Any, experiment: str, arrays: Mapping[str, Array], *, fused: bool) -> Found:
    """What ``experiment`` observes; KeyError for one that is not in :data:`NAMES`."""
    return _EXPERIMENTS[experiment](Bench(tf=tf, fused=fused, arrays=arrays))
