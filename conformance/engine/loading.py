"""Find an adapter class by name or file, and check what it declares before anything runs."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from ..case import Mode
from ..contract import Adapter, Axes, Capabilities, Quantity
from ..dialect import Claim, Dialect
from ..formats import DType

_NAME = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*(@[a-z0-9_]+)?")


class AdapterError(Exception):
    """An adapter cannot be loaded or declares something impossible; the text says what to do."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where an adapter class is: ``module`` is an importable name or the path of a .py file."""

    module: str
    attribute: str

    @classmethod
    def parse(cls, text: str) -> Target:
        """Read ``module:Class`` or ``FILE.py:Class``."""
        module, colon, attribute = text.rpartition(":")
        if not colon or not module or not attribute.isidentifier():
            msg = f"an adapter is given as FILE.py:Class or module:Class, got {text!r}"
            raise AdapterError(msg)
        return cls(module=module, attribute=attribute)

    def __str__(self) -> str:
        """As it was written."""
        return f"{self.module}:{self.attribute}"


def load_class(target: Target) -> type[Adapter]:
    """The adapter class, its declaration checked; :class:`AdapterError` says what is wrong."""
    module = _load_module(target)
    try:
        found = getattr(module, target.attribute)
    except AttributeError:
        classes = [name for name, value in vars(module).items() if isinstance(value, type)]
        msg = f"{target.module} has no {target.attribute!r}; its classes: {', '.join(classes)}"
        raise AdapterError(msg) from None
    problems = declaration_problems(found)
    if problems:
        msg = f"{target} is not a usable adapter: {'; '.join(problems)}"
        raise AdapterError(msg)
    return cast("type[Adapter]", found)


def _load_module(target: Target) -> ModuleType:
    try:
        if target.module.endswith(".py"):
            return _load_file(Path(target.module))
        return importlib.import_module(target.module)
    except AdapterError:
        raise
    except Exception as error:
        msg = (
            f"cannot import {target.module}: {type(error).__name__}: {error}; adapters import "
            "their framework inside __init__, so that importing the file always works"
        )
        raise AdapterError(msg) from error


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        msg = f"no adapter file {path}; give the path of an existing .py file"
        raise AdapterError(msg)
    # The resolved path names the module, so that two files with one name do not collide.
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    name = f"bnconform_adapter_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        msg = f"cannot import {path}: it is no Python source file"
        raise AdapterError(msg)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def declaration_problems(found: Any) -> list[str]:
    """What an adapter class declares wrongly, one phrase each; empty when it is usable."""
    problems = _missing(found)
    if problems:
        return problems
    if not isinstance(found.name, str) or not _NAME.fullmatch(found.name):
        problems.append(f"name must be lower-case like 'torch.module', got {found.name!r}")
    if not isinstance(found.environment, Mapping):
        problems.append(f"environment must be a mapping, got {found.environment!r}")
    if not isinstance(found.dialect, Dialect):
        problems.append(f"dialect must be a Dialect, got {found.dialect!r}")
    else:
        problems += [
            f"dialect.{name} must be a Claim with its source, got {claim!r}"
            for name, claim in found.dialect.claims().items()
            if not isinstance(claim, Claim)
        ]
    if not isinstance(found.capabilities, Capabilities):
        problems.append(f"capabilities must be a Capabilities, got {found.capabilities!r}")
    else:
        problems += _capability_problems(found.capabilities)
    return problems


def _missing(found: Any) -> list[str]:
    if not isinstance(found, type):
        return [f"must be a class, got {type(found).__name__}"]
    needed = ("name", "framework", "dialect", "capabilities", "environment", "build")
    return [f"it has no {name!r}" for name in needed if not hasattr(found, name)]


def _capability_problems(capabilities: Capabilities) -> list[str]:
    problems = []
    if not isinstance(capabilities.axes, Axes):
        choices = ", ".join(f"Axes.{axes.name}" for axes in Axes)
        problems.append(f"capabilities.axes must be one of {choices}, got {capabilities.axes!r}")
    for name, kind in (("dtypes", DType), ("modes", Mode), ("quantities", Quantity)):
        values = getattr(capabilities, name)
        strangers = [value for value in values if not isinstance(value, kind)]
        if strangers or not values:
            problems.append(f"capabilities.{name} must hold {kind.__name__}s, got {values!r}")
    if not capabilities.ranks or any(
        not isinstance(rank, int) or rank < 1 for rank in capabilities.ranks
    ):
        problems.append(f"capabilities.ranks must be numbers >= 1, got {capabilities.ranks!r}")
    return problems


def dialect_to_dict(dialect: Dialect) -> dict[str, dict[str, object]]:
    """The dialect as JSON-ready data: field -> value and source."""
    return {
        name: {"value": claim.value, "source": claim.source}
        for name, claim in dialect.claims().items()
    }


def capabilities_to_dict(capabilities: Capabilities) -> dict[str, object]:
    """The capabilities as JSON-ready data, sets sorted."""
    data: dict[str, object] = {}
    for field in fields(capabilities):
        value = getattr(capabilities, field.name)
        if isinstance(value, frozenset):
            value = sorted(value)
        data[field.name] = dict(value) if isinstance(value, Mapping) else value
    return data
