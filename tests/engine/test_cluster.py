"""Campaigns on a cluster of Ray: two nodes on this machine, one of which dies."""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
from typer.testing import CliRunner

from bnconform.cli.app import app
from bnconform.conformance.engine.cluster import Cluster, name_that_fits
from bnconform.conformance.engine.station import ClusterError

DISTANT = Path(__file__).parent / "distant.py"
FOUND_RAY = importlib.util.find_spec("ray") is not None

needs_ray = pytest.mark.skipif(
    not FOUND_RAY, reason="Ray is not installed: pip install bnconform[cluster]"
)

MANY_LEFT = 20
"""Cases that take the slow nodes some seconds, however late they are interrupted."""

WAIT = 90.0
"""Seconds within which what a test waits for must happen on a busy machine."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Where a subject built a layer for a case; the fields are those of distant.py."""

    node: str
    subject: str
    case_id: str
    seen: str


class Nodes:
    """Two nodes of a cluster: all that a node starts carries its name, and dies with it."""

    def __init__(self, folder: Path) -> None:
        self.marks = folder / "marks"
        self.marks.mkdir()
        # Not below pytest's folder: the path of a socket is short.
        self._folder = tempfile.TemporaryDirectory(prefix="bn-ray-", ignore_cleanup_errors=True)
        self._unique = secrets.token_hex(4)
        self._port = str(_free_port())
        self.address = f"127.0.0.1:{self._port}"
        self.variables = _environment() | {
            "RAY_USAGE_STATS_ENABLED": "0",
            # Else Ray would look for its token, and leave one, in the home directory.
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
        }

    def start_first(self) -> None:
        """The head."""
        options = ("--head", "--port", self._port, "--include-dashboard=false")
        self._start("first", *options, "--temp-dir", self._folder.name)

    def start_second(self, *options: str) -> None:
        """Another node, which can be killed."""
        self._start("second", f"--address={self.address}", *options)

    def _start(self, name: str, *options: str) -> None:
        own = {"BNCONFORM_TEST_NODE": self._named(name), "BNCONFORM_TEST_MARKS": str(self.marks)}
        command = [_tool("ray"), "start", "--num-cpus=1", "--disable-usage-stats", *options]
        done = subprocess.run(
            command, env=self.variables | own, capture_output=True, text=True, check=False,
            timeout=WAIT,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    def clean_up(self) -> None:
        """Remove what the nodes left."""
        self._folder.cleanup()

    def kill(self, name: str) -> int:
        """End every process of a node at once, as a power cut would; how many there were."""
        killed = self.processes(name)
        for process in killed:
            with _gone_is_fine():
                process.kill()
        psutil.wait_procs(killed, timeout=WAIT)
        return len(killed)

    def processes(self, name: str) -> list[psutil.Process]:
        """All that run on a node."""
        found = []
        for process in psutil.process_iter():
            with _gone_is_fine():
                if process.environ().get("BNCONFORM_TEST_NODE") == self._named(name):
                    found.append(process)
        return found

    def subjects(self) -> list[psutil.Process]:
        """Processes of subjects, on both nodes."""
        both = [*self.processes("first"), *self.processes("second")]
        found = []
        for process in both:
            with _gone_is_fine():
                if "spawn_main" in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def _named(self, name: str) -> str:
        return f"{name}-{self._unique}"

    def marked(self) -> list[Mark]:
        """All marks so far, in their order."""
        told = sorted(path.name.split(" ") for path in self.marks.iterdir() if " " in path.name)
        return [
            Mark(node=node.partition("-")[0], subject=subject, case_id=case, seen=seen)
            for _, node, subject, case, seen in told
        ]

    def asked(self, *nodes: str) -> set[tuple[str, str]]:
        """Subject and case of all that was asked so far, on some nodes or anywhere."""
        marks = [mark for mark in self.marked() if not nodes or mark.node in nodes]
        return {(mark.subject, mark.case_id) for mark in marks}

    def make_slow(self, name: str) -> None:
        """Let every case take its time on a node, until marks are forgotten."""
        (self.marks / f"{self._named(name)}-is-slow").touch()

    def forget(self) -> None:
        """Remove all marks."""
        for path in self.marks.iterdir():
            path.unlink()


class _gone_is_fine:  # noqa: N801 -- used like a function
    """A process that is looked at may end meanwhile."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> bool:
        return kind is not None and issubclass(kind, psutil.Error)


def _environment() -> dict[str, str]:
    """The one of this process, but for what a test asks about."""
    own = ("RAY_", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
    return {name: value for name, value in os.environ.items() if not name.startswith(own)}


def _tool(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """A cluster whose first node runs."""
    nodes = Nodes(tmp_path_factory.mktemp("cluster"))
    try:
        nodes.start_first()
        yield nodes
    finally:
        nodes.kill("second")
        nodes.kill("first")
        nodes.clean_up()


@pytest.fixture(scope="module")
def both(started: Nodes) -> Nodes:
    """A cluster of two nodes, the second of which says that it has a GPU."""
    if not started.processes("second"):
        started.start_second("--num-gpus=1")
    return started


@pytest.fixture
def nodes(both: Nodes) -> Nodes:
    """The same, without marks of other tests."""
    both.forget()
    return both


def _command(out: Path, *options: str, subjects: str = "One,Two") -> list[str]:
    adapters = [f"--adapter={DISTANT}:{name}" for name in subjects.split(",")]
    fixed = ["--cases=24", "--scripts=0", f"--out={out}"]
    return [_tool("bnconform"), "run", *adapters, *fixed, *options]


def _finished(command: list[str], variables: dict[str, str] | None = None) -> str:
    """What the command printed; a divergence was planted, so its exit status is 1."""
    done = subprocess.run(
        command, env=variables, capture_output=True, text=True, check=False, timeout=4 * WAIT
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout + done.stderr


def _until(happened: Callable[[], Any]) -> None:
    began = time.monotonic()
    while not happened():
        assert time.monotonic() - began < WAIT, "it did not happen"
        time.sleep(0.02)


def _started(command: list[str], nodes: Nodes) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=nodes.variables, stdout=pipe, stderr=pipe, text=True)


def _rows(out: Path, subject: str) -> pd.DataFrame:
    """What a run says of one subject, but for its name and times."""
    rows = pd.read_parquet(out / "records")
    mine = rows[rows["subject"] == subject]
    return mine.drop(columns=["seconds", "subject"]).reset_index(drop=True)


def _cases_on_disk(out: Path) -> set[tuple[str, str]]:
    """Subject and case of all rows that are written so far."""
    parts = [pd.read_parquet(part) for part in (out / "records").glob("*.parquet")]
    pairs = [part[["subject", "case_id"]].itertuples(index=False, name=None) for part in parts]
    return {(str(subject), str(case)) for each in pairs for subject, case in each}


def _cases_left(out: Path, nodes: Nodes) -> int:
    """How many of the planned cases of both subjects nobody has been asked yet.

    Of what is not on disk the nodes may have answered nearly all.
    """
    planned = len((out / "cases.jsonl").read_text().splitlines())
    return 2 * planned - len(nodes.asked())


def _told(out: Path) -> dict[str, Any]:
    """All that a run directory says but for times, and where it was."""
    manifest, footer = (
        json.loads((out / f"{name}.json").read_text()) for name in ("manifest", "footer")
    )
    for name in ("created", "cluster"):
        manifest.pop(name, None)
    del footer["seconds"]
    texts = ("cases.jsonl", "topics.jsonl", "explanations.json")
    return {
        "manifest": manifest,
        "footer": footer,
        **{name: (out / name).read_text() for name in texts},
        **{
            str(path.relative_to(out)): path.read_text() for path in sorted(out.glob("*/**/*.json"))
        },
        **{
            str(path.relative_to(out)): {
                key: array.tobytes() for key, array in np.load(path).items()
            }
            for path in sorted(out.glob("divergences/*/arrays.npz"))
        },
    }


def _same(one: Path, other: Path) -> None:
    """The same parts with the same rows but for times, and the same of everything else."""
    parts = [sorted(path.name for path in (out / "records").iterdir()) for out in (one, other)]
    assert parts[0] == parts[1]
    for name in parts[0]:
        rows = [
            pd.read_parquet(out / "records" / name).drop(columns="seconds") for out in (one, other)
        ]
        pd.testing.assert_frame_equal(rows[0], rows[1])
    assert _told(one) == _told(other)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of both subjects on this machine, without a cluster."""
    out = tmp_path_factory.mktemp("local") / "run"
    _finished(_command(out))
    return out


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A finished run on the cluster."""

    out: Path
    complaints: str
    marks: list[Mark]


@pytest.fixture(scope="module")
def remote(both: Nodes, tmp_path_factory: pytest.TempPathFactory) -> Remote:
    """A run of two subjects, one of which kills who asks it, and one of which wants a GPU."""
    folder = tmp_path_factory.mktemp("remote")
    environment = folder / "gpu.json"
    environment.write_text(json.dumps({"env_vars": {"BNCONFORM_TEST_WORD": "here"}}))
    command = [
        *_command(folder / "run", subjects="Traitor,OnGpu"),
        f"--cluster={both.address}",
        f"--runtime-env=distant.gpu={environment}",
    ]
    complaints = _finished(command, both.variables)
    return Remote(out=folder / "run", complaints=complaints, marks=both.marked())


@needs_ray
def test_a_subject_that_kills_who_asks_it_is_asked_again(remote: Remote) -> None:
    """An actor that is lost while its node lives is replaced, which is said."""
    assert remote.complaints.count("distant.traitor was lost") == 1


@needs_ray
@pytest.mark.parametrize(
    "subject",
    [
        pytest.param("distant.traitor", id="its actor was lost"),
        pytest.param("distant.gpu", id="it ran in an environment of its own"),
    ],
)
def test_rows_of_a_cluster_are_those_of_this_machine(
    remote: Remote, local: Path, subject: str
) -> None:
    """All three subjects answer alike, so that only the name differs."""
    pd.testing.assert_frame_equal(_rows(remote.out, subject), _rows(local, "distant.one"))


@needs_ray
def test_a_subject_that_wants_a_gpu_goes_where_there_is_one(remote: Remote) -> None:
    """To the second node alone, in the environment that is given for it."""
    found = {(mark.node, mark.seen) for mark in remote.marks if mark.subject == "distant.gpu"}
    assert found == {("second", "gpus=0,threads=free,ray=no,word=here")}


@needs_ray
def test_other_subjects_see_no_gpu_and_nothing_of_ray(remote: Remote) -> None:
    """Neither its modules nor its one thread, nor the environment of another subject."""
    found = {mark.seen for mark in remote.marks if mark.subject == "distant.traitor"}
    assert found == {"gpus=none,threads=free,ray=no,word="}


@needs_ray
def test_a_run_that_is_interrupted_can_be_resumed_without_a_cluster(
    nodes: Nodes, local: Path, tmp_path: Path
) -> None:
    """Ctrl-C leaves whole parts and no process, and what is left is done here."""
    out = tmp_path / "run"
    for name in ("first", "second"):
        nodes.make_slow(name)
    with _started([*_command(out), f"--cluster={nodes.address}"], nodes) as running:
        # With so much left that it takes seconds, however late the signal comes.
        _until(lambda: _cases_on_disk(out) and _cases_left(out, nodes) > MANY_LEFT)
        running.send_signal(signal.SIGINT)
        _, complaints = running.communicate(timeout=4 * WAIT)
    assert running.returncode not in {0, 1}, complaints
    assert not (out / "footer.json").exists()
    _until(lambda: not nodes.subjects())
    _finished(_command(out, "--resume"))
    _same(out, local)


@needs_ray
def test_a_run_that_loses_a_node_gives_what_a_local_run_gives(
    nodes: Nodes, local: Path, tmp_path: Path
) -> None:
    """Killed while it answers: its unit is asked again on the other node, and nothing is lost."""
    out = tmp_path / "run"
    nodes.make_slow("second")
    with _started([*_command(out), f"--cluster={nodes.address}"], nodes) as running:
        _until(lambda: any(mark.node == "second" for mark in nodes.marked()))
        on_disk = _cases_on_disk(out)
        held = {each for each in nodes.asked("second") if each not in on_disk}
        assert nodes.kill("second") > 2, "a raylet, its actor and the subject's process at least"
        printed, complaints = running.communicate(timeout=4 * WAIT)
    assert running.returncode == 1, complaints
    assert held, "the node was killed while it held nothing"
    assert held <= nodes.asked("first"), "what the dead node was asked was not asked again"
    assert "was lost with what it was asked" in complaints
    assert "raylet" not in printed + complaints
    _same(out, local)


@needs_ray
def test_a_local_cluster_leaves_nothing_in_the_home_directory(local: Path, tmp_path: Path) -> None:
    """It starts and ends with the run, whose rows are those of a run without it."""
    home, out = tmp_path / "home", tmp_path / "run"
    home.mkdir()
    _finished(
        [*_command(out, subjects="One"), "--cluster=local", "--workers=1"],
        _environment() | {"HOME": str(home)},
    )
    assert not list(home.glob(".ray"))
    pd.testing.assert_frame_equal(_rows(out, "distant.one"), _rows(local, "distant.one"))


def test_without_ray_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The optional extra is named."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterError, match=r"pip install bnconform\[cluster\]"):
        Cluster("auto")


@needs_ray
def test_an_address_where_nobody_listens_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray itself would try for ten minutes."""
    monkeypatch.setattr("ray.init", lambda **_: pytest.fail("it was tried"))
    with pytest.raises(ClusterError, match=r"cannot connect .* '127\.0\.0\.1:1': .*refused"):
        Cluster("127.0.0.1:1")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        pytest.param(["--runtime-env=a=b"], "give --cluster as well", id="no cluster to use it on"),
        pytest.param(["--cluster=x", "--runtime-env=torch"], "NAME=FILE.json", id="no file named"),
        pytest.param(["--cluster=x", "--runtime-env=a={gone}"], "No such file", id="file is gone"),
        pytest.param(["--cluster=x", "--runtime-env=a={text}"], "as JSON", id="not JSON"),
        pytest.param(["--cluster=x", "--runtime-env=a={list}"], "a JSON object", id="no object"),
    ],
)
def test_a_runtime_environment_that_cannot_be_read_is_refused(
    tmp_path: Path, options: list[str], sentence: str
) -> None:
    """In a sentence, before anything is started."""
    files = {name: tmp_path / name for name in ("gone", "text", "list")}
    files["text"].write_text("{")
    files["list"].write_text("[]")
    given = [option.format(**files) for option in options]
    done = CliRunner().invoke(app, ["run", f"--out={tmp_path / 'run'}", *given])
    assert done.exit_code == 2
    assert sentence in done.output


@pytest.mark.parametrize(
    ("names", "subject", "expected"),
    [
        pytest.param(("torch",), "torch.module", "torch", id="the framework's"),
        pytest.param(("torch", "torch.module"), "torch.module", "torch.module", id="its own"),
        pytest.param(("torch",), "torch", "torch", id="the whole name"),
        pytest.param(("tor",), "torch.module", None, id="a part of a word is another name"),
        pytest.param((), "torch.module", None, id="none is given"),
    ],
)
def test_the_environment_that_says_most_of_a_name_is_taken(
    names: tuple[str, ...], subject: str, expected: str | None
) -> None:
    """Whole words of a subject's name, and as many as possible."""
    assert name_that_fits(names, subject) == expected
