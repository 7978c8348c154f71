"""Scripts for the divergences of a run, each run once before it counts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from ..contract import Array
from ..dialect import (
    Arithmetic,
    Averaging,
    FrozenPolicy,
    GhostGroups,
    HalfGradient,
    HalfOutput,
    RunningVariance,
    SavedStatistics,
    TrainingStatistics,
    VarianceAlgorithm,
)
from ..engine.run_directory import RunDirectoryError, write_atomically, write_json
from ..expecting.expectation import Conventions
from .checking import Checked, check_script
from .rendering import NoScriptError, render_scripts

FILE = "reproduce.py"
"""A script's name in its bundle."""


class ScriptStatus(StrEnum):
    """What is known of a divergence's script."""

    REPRODUCES = "reproduces"
    DOES_NOT_REPRODUCE = "does not reproduce"
    NONE = "none"
    """There is no script."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """A divergence and its script; ``file`` is None where there is none, and ``why`` says more."""

    divergence: str
    subject: str
    file: str | None
    status: ScriptStatus
    why: str


def publish_scripts(
    run_dir: Path,
    limit: int | None = None,
    *,
    only: Callable[[Mapping[str, Any]], bool] = lambda _: True,
    workers: int = 1,
) -> tuple[Published, ...]:
    """Write and run a script for the divergences of the run at ``run_dir``.

    Each bundle gets ``reproduce.py`` and a field ``script`` that says whether it reproduces; one
    that does not is kept beside its verdict, to be looked at. ``limit`` is the number of bundles at
    most, those first that nobody knows of, then the simplest; ``only`` chooses among them.
    :class:`RunDirectoryError` where there is no run.
    """
    conventions = conventions_by_subject(run_dir)
    bundles = sorted(
        (found for found in _bundles(run_dir) if only(found[1])), key=lambda found: _order(found[1])
    )[:limit]
    with ThreadPoolExecutor(max_workers=workers) as executor:
        jobs = [executor.submit(_publish, *bundle, conventions) for bundle in bundles]
        return tuple(job.result() for job in jobs)


def _order(divergence: Mapping[str, Any]) -> tuple[bool, list[Any], str]:
    return bool(divergence["known"]), divergence["simplicity"], divergence["id"]


def script_of(run_dir: Path, divergence: Mapping[str, Any]) -> str:
    """The script for a divergence of the run at ``run_dir``, neither written to disk nor run.

    :class:`NoScriptError` where there is none, :class:`RunDirectoryError` where there is no run.
    """
    folder = run_dir / "divergences" / str(divergence["id"])
    texts = script_texts(folder, divergence, conventions_by_subject(run_dir))
    # Where a call raised it is known which one; else what is left out has not been tried.
    return texts[0] if "raised " in str(divergence["message"]) else texts[-1]


def _bundles(run_dir: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted((run_dir / "divergences").glob("*/divergence.json")):
        yield path, json.loads(path.read_text(encoding="utf-8"))


def _publish(
    path: Path, divergence: dict[str, Any], conventions: Mapping[str, Conventions]
) -> Published:
    found = _written(path.parent, divergence, conventions)
    kept = {"file": found.file, "status": found.status.value, "why": found.why}
    write_json(path, divergence | {"script": kept})
    return found


def _written(
    folder: Path, divergence: Mapping[str, Any], conventions: Mapping[str, Conventions]
) -> Published:
    def published(status: ScriptStatus, why: str) -> Published:
        return Published(
            divergence=str(divergence["id"]),
            subject=str(divergence["subject"]),
            file=None if status is ScriptStatus.NONE else FILE,
            status=status,
            why=why,
        )

    script = folder / FILE
    try:
        texts = script_texts(folder, divergence, conventions)
    except NoScriptError as error:
        script.unlink(missing_ok=True)
        return published(ScriptStatus.NONE, str(error))
    checked = first_shown(script, texts)
    reproduces = ScriptStatus.REPRODUCES if checked.reproduces else ScriptStatus.DOES_NOT_REPRODUCE
    return published(reproduces, checked.sentence)


def first_shown(script: Path, texts: Iterable[str]) -> Checked:
    """What came of the first of ``texts`` that shows its divergence, else of the last.

    Each is written to ``script`` and run; the one that was run last stays there.
    """
    for text in texts:
        write_atomically(script, text)
        checked = check_script(script)
        if checked.reproduces:
            break
    return checked


def script_texts(
    folder: Path, divergence: Mapping[str, Any], conventions: Mapping[str, Conventions]
) -> tuple[str, ...]:
    """Scripts to try, from the one with no more than the call in question to the whole story.

    ``folder`` is the divergence's own; :class:`NoScriptError` where there is none.
    """
    subject = str(divergence["subject"])
    if subject not in conventions:
        msg = f"no script: the run's manifest does not say what {subject} documents"
        raise NoScriptError(msg)
    return render_scripts(divergence, _arrays(folder), conventions[subject])


def _arrays(folder: Path) -> dict[str, Array]:
    with np.load(folder / "arrays.npz") as stored:
        return {name: stored[name] for name in stored.files}


def conventions_by_subject(run_dir: Path) -> dict[str, Conventions]:
    """The conventions each subject of a run was judged under, from what its manifest holds.

    :class:`RunDirectoryError` where there is no manifest that can be read.
    """
    path = run_dir / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        subjects = manifest["subjects"]
    except (OSError, ValueError, KeyError) as error:
        msg = f"{run_dir} holds no run that can be read: {error}; give a run's folder"
        raise RunDirectoryError(msg) from error
    return {each["name"]: _conventions(each["dialect"]) for each in subjects}


def _conventions(dialect: Mapping[str, Mapping[str, Any]]) -> Conventions:
    def value(name: str) -> Any:
        return dialect[name]["value"]

    return Conventions(
        running_variance=RunningVariance(value("running_variance")),
        algorithm=VarianceAlgorithm(value("variance")),
        frozen=FrozenPolicy(value("frozen")),
        half_output=HalfOutput(value("half_output")),
        half_gradient=HalfGradient(value("half_gradient")),
        epsilon_floor=float(value("epsilon_floor")),
        averaging=Averaging(value("averaging")),
        training_statistics=TrainingStatistics(value("training_statistics")),
        ghost_groups=GhostGroups(value("ghost_groups")),
        saved_statistics=SavedStatistics(value("saved_statistics")),
        arithmetic=Arithmetic(value("arithmetic")),
    )
