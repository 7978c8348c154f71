"""Ways out of PyTorch and back that keep a module's state: files, copies, casts, programs."""

from __future__ import annotations

import copy
import io
import pickle
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from bnconform.adapters.exports.scenes import Found, Scene, settings
from bnconform.adapters.torch_arrays import to_numpy, to_torch
from bnconform.conformance.contract import Array


@dataclass(frozen=True, kw_only=True)
class Bench:
    """PyTorch, and what is done with it for every scene."""

    torch: Any

    def module(self, scene: Scene) -> Any:
        """A module with the scene's parameters and state, trained by its first batch if any."""
        torch = self.torch
        module = torch.nn.BatchNorm2d(
            scene.channels,
            eps=scene.epsilon,
            momentum=None if scene.decay is None else 1.0 - scene.decay,
            affine=scene.gamma is not None,
            track_running_stats=scene.mean is not None,
            dtype=to_torch(torch, scene.x).dtype,
            **({"bias": False} if scene.beta is None and scene.gamma is not None else {}),
        )
        held = {
            "weight": scene.gamma,
            "bias": scene.beta,
            "running_mean": scene.mean,
            "running_var": scene.variance,
        }
        state = {name: to_torch(torch, each) for name, each in held.items() if each is not None}
        module.load_state_dict(module.state_dict() | state)
        if scene.first is not None:
            module.train()(to_torch(torch, scene.first))
        return module

    def call(self, module: Any, x: Array) -> Array:
        """What a module or program answers to ``x``."""
        with self.torch.no_grad():
            return to_numpy(self.torch, module(to_torch(self.torch, x)))

    def state(self, module: Any) -> Found:
        """Parameters and running statistics."""
        names = {
            "gamma": "weight",
            "beta": "bias",
            "running_mean": "running_mean",
            "running_var": "running_var",
        }
        found = {name: getattr(module, attribute, None) for name, attribute in names.items()}
        return {name: to_numpy(self.torch, t) for name, t in found.items() if t is not None}

    def arrived(self, module: Any, scene: Scene) -> Found:
        """What a module shows once it has arrived."""
        found = self.state(module) | {"y": self.call(module.eval(), scene.x)}
        return found | self.next(module.train(), scene)

    def next(self, module: Any, scene: Scene) -> Found:
        """The running statistics after one more training step."""
        if scene.second is None:
            return {}
        y = self.call(module, scene.second)
        state = self.state(module)
        return {
            "y_train": y,
            "next_mean": state["running_mean"],
            "next_var": state["running_var"],
        }


def _state_dict(bench: Bench, scene: Scene) -> Found:
    """Epsilon and momentum are not in it: the fresh module gets them as the first did."""
    file = io.BytesIO()
    bench.torch.save(bench.module(scene).state_dict(), file)
    file.seek(0)
    fresh = bench.module(blank(scene))
    fresh.load_state_dict(bench.torch.load(file, weights_only=True))
    return bench.arrived(fresh, scene)


def blank(scene: Scene) -> Scene:
    """The same settings with other numbers, none of which may stay."""
    held = {name: getattr(scene, name) for name in ("gamma", "beta", "mean", "variance")}
    other: dict[str, Any] = {
        name: None if array is None else array * 0 + 7 for name, array in held.items()
    }
    return replace(scene, first=None, **other)


def _of_module(module: Any) -> Found:
    decay = None if module.momentum is None else 1.0 - module.momentum
    return settings(module.eps, decay)


def _pickled(bench: Bench, scene: Scene) -> Found:
    """Copied, pickled, and saved whole, one after the other."""
    copied = copy.deepcopy(bench.module(scene))
    copied = pickle.loads(pickle.dumps(copied))  # noqa: S301 -- made in this very line
    file = io.BytesIO()
    bench.torch.save(copied, file)
    file.seek(0)
    module = bench.torch.load(file, weights_only=False)
    return bench.arrived(module, scene) | _of_module(module)


def _cast(bench: Bench, scene: Scene) -> Found:
    """To a wider format, which holds every number, and back."""
    module = bench.module(scene)
    own = to_torch(bench.torch, scene.x).dtype
    module.float().to(own) if own.itemsize < 4 else module.double().to(own)
    return bench.arrived(module, scene) | _of_module(module)


def _synchronized(bench: Bench, scene: Scene) -> Found:
    """As ``SyncBatchNorm``, which without other processes synchronizes with nobody."""
    module = bench.torch.nn.SyncBatchNorm.convert_sync_batchnorm(bench.module(scene))
    return bench.arrived(module, scene) | _of_module(module)


def _synchronized_back(bench: Bench, scene: Scene) -> Found:
    """The state of a ``SyncBatchNorm`` in a plain module: PyTorch has no other way back."""
    module = bench.torch.nn.SyncBatchNorm.convert_sync_batchnorm(bench.module(scene))
    fresh = bench.module(blank(scene))
    fresh.load_state_dict(module.state_dict())
    return bench.arrived(fresh, scene)


def _exported(bench: Bench, scene: Scene, *, decomposed: bool) -> Found:
    """``torch.export`` of inference and of training, each saved and loaded."""
    module = bench.module(scene)
    evaluating = _program(bench, module.eval(), scene.x, decomposed=decomposed)
    found = bench.state(evaluating) | {"y": bench.call(evaluating, scene.x)}
    if scene.second is None:
        return found
    training = _program(bench, module.train(), scene.second, decomposed=decomposed)
    return found | bench.next(training, scene)


def _program(bench: Bench, module: Any, x: Array, *, decomposed: bool) -> Any:
    export, file = bench.torch.export, io.BytesIO()
    with warnings.catch_warnings():
        # PyTorch 2.13's own use of its tree specifications.
        warnings.filterwarnings("ignore", r".*LeafSpec", FutureWarning)
        program = export.export(module, (to_torch(bench.torch, x),))
        export.save(program, file)
        file.seek(0)
        program = export.load(file)
        return (program.run_decompositions() if decomposed else program).module()


def _script(bench: Bench, module: Any, _: Array) -> Any:
    return bench.torch.jit.script(module)


def _trace(bench: Bench, module: Any, x: Array) -> Any:
    # Tracing runs the module, which must not move the statistics of what it is given.
    return bench.torch.jit.trace(copy.deepcopy(module), to_torch(bench.torch, x))


def _compiled(bench: Bench, scene: Scene, *, by: Callable[..., Any]) -> Found:
    """TorchScript of inference and of training, each saved and loaded."""
    module = bench.module(scene)
    evaluating = _torchscript(bench, by, module.eval(), scene.x)
    found = bench.state(evaluating) | {"y": bench.call(evaluating, scene.x)}
    if scene.second is None:
        return found
    training = _torchscript(bench, by, module.train(), scene.second)
    return found | bench.next(training, scene)


def _torchscript(bench: Bench, by: Callable[..., Any], module: Any, x: Array) -> Any:
    jit, file = bench.torch.jit, io.BytesIO()
    with warnings.catch_warnings():
        # Both are deprecated, which is no reason to be wrong; tracing warns of every branch.
        warnings.filterwarnings("ignore", r".*is deprecated", DeprecationWarning)
        warnings.filterwarnings("ignore", category=jit.TracerWarning)
        jit.save(by(bench, module, x), file)
        file.seek(0)
        return jit.load(file)


WAYS: Mapping[str, Callable[[Bench, Scene], Found]] = {
    "export.torch.state_dict": _state_dict,
    "export.torch.pickle": _pickled,
    "export.torch.cast": _cast,
    "export.torch.synchronized": _synchronized,
    "export.torch.synchronized_back": _synchronized_back,
    "export.torch.export": partial(_exported, decomposed=False),
    "export.torch.decomposed": partial(_exported, decomposed=True),
    "export.torch.script": partial(_compiled, by=_script),
    "export.torch.trace": partial(_compiled, by=_trace),
}
"""By the experiment's name."""
