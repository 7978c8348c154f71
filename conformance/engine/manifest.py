"""A run's manifest: everything that a reader, or a resumed run, must know of what was asked."""

from __future__ import annotations

import datetime
import os
import platform
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Any

from ..clauses import CLAUSES
from ..known.divergences import KnownDivergence
from .loading import capabilities_to_dict, dialect_to_dict
from .run_directory import RUN_FORMAT
from .units import Request, Subject, other_topics


def make_manifest(
    request: Request,
    subjects: Sequence[Subject],
    known: Sequence[KnownDivergence],
    cases: int,
) -> dict[str, Any]:
    """What was asked, of what versions and on what machine, JSON-ready."""
    now = datetime.datetime.now(datetime.UTC)
    return {
        "format": RUN_FORMAT,
        "arguments": {
            "subjects": [subject.name for subject in subjects],
            "cases": cases,
            "profile": request.profile.name,
            "seed": request.seed,
            "shard": list(request.shard),
        },
        "versions": recorded_versions(),
        "machine": {
            "system": platform.system(),
            "release": platform.release(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
        },
        "created": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "subjects": [subject_to_dict(subject) for subject in subjects],
        "known": {entry.id: _known_to_dict(entry) for entry in known},
        "clauses": [clause.id for clause in CLAUSES],
        "topics": [topic.id for topic in other_topics()],
    }


def subject_to_dict(subject: Subject) -> dict[str, Any]:
    """A subject as JSON-ready data, as `bnconform list --json` and the manifest give it."""
    return {
        "name": subject.name,
        "available": subject.described.available,
        "reason": subject.described.reason,
        "framework": subject.adapter.framework,
        "version": subject.described.version,
        "device": subject.described.device,
        "dialect": dialect_to_dict(subject.adapter.dialect),
        "capabilities": capabilities_to_dict(subject.adapter.capabilities),
    }


def _known_to_dict(entry: KnownDivergence) -> dict[str, Any]:
    return {
        "subject": list(entry.subjects),
        "versions": str(entry.versions),
        "clause": list(entry.clauses),
        "quantity": list(entry.quantities),
        "where": dict(entry.where),
        "reason": entry.reason,
        "evidence": entry.evidence,
        "upstream": entry.upstream,
        "date": entry.date.isoformat(),
        "review_by": entry.review_by.isoformat(),
    }


RECORDED_PACKAGES = (
    "bnconform", "numpy", "ml_dtypes", "gmpy2", "pandas", "pyarrow", "hypothesis", "torch",
    "triton", "tensorflow", "tensorflow-cpu", "tf_keras", "keras", "jax", "jaxlib", "flax",
    "dm-haiku", "equinox", "onnx", "onnxruntime",
)  # fmt: skip
"""Packages whose versions a run records where they are installed."""


def recorded_versions() -> dict[str, str]:
    """Versions of Python and of the recorded packages that are installed, by name."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for package in RECORDED_PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
