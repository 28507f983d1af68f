"""One run: start the targets, put each under each profile in turn, write what came out."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any, NoReturn

from bench import nginx, report
from bench.figures import MEASURED_ONCE, Values, tabulate
from bench.process import Cores, Process, run_pinned
from bench.profiles import PROFILES, Observation, observe, write_bodies
from bench.targets import Target, TargetError, environ, gateway, proxy, virtual_key

__all__ = ["main"]

_ROOT = Path(__file__).parents[1]
_LATEST = _ROOT / "bench/results/latest.json"
_QUICK = _ROOT / "bench/results/quick.json"  # not in the repository: one round says little
_SERVE = "llmroute serve --config {config} --host 127.0.0.1 --port {port}"
# A key of the database with a budget; and the master key, no record kept.
_KEY = "llmroute keys create bench --config {config} --quiet --budget 1000000/month"
_BARE = {"database_url": "none", "disable_spend_logs": "true"}
_LIMIT = 1200
"""Seconds after which a run ends, whatever it is waiting for."""


class _Run:
    """Everything that lives as long as one run, in a temporary folder."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.cores = Cores()
        self.notes: list[str] = []
        self.once: dict[str, Values] = {key: {} for key in MEASURED_ONCE}
        self.processes: dict[str, Process] = {}
        self.targets: list[Target] = []
        self._stack = stack
        upstream = self._own("bench.upstream", self.cores.upstream)
        self.upstream_port = int(upstream.hear())
        self._load = self._own("bench.load", self.cores.load)
        self._observations: dict[tuple[str, str], list[Observation]] = defaultdict(list)
        write_bodies(folder)

    def add(self, target: Target) -> None:
        """Start a target, unless it is the upstream itself, and see that it answers."""
        if target.command:
            try:
                process, ready = target.start(self.cores.target, self.folder)
                self._stack.enter_context(process)
                target.check()
            except (OSError, TargetError) as error:
                self.note(f"No figures of {target.name}.", str(error))
                return
            self.processes[target.name] = process
            self.once["start_ready"][target.name] = ready
            self.once["memory_ready"][target.name] = process.memory_bytes() / 1e6
        self.targets.append(target)

    def note(self, note: str, detail: str = "") -> None:
        """Keep a note with the results; the detail is for the terminal only."""
        self.notes.append(note)
        print(f"{note} {detail}".rstrip(), file=sys.stderr)

    def measure(self, rounds: int, haste: float) -> dict[str, dict[str, Any]]:
        """All profiles, `rounds` times, with rounds `haste` times as long as they should be."""
        for number in range(rounds):
            for profile in PROFILES:
                shortened = profile._replace(seconds=profile.seconds * haste)
                for index in range(len(self.targets)):
                    target = self.targets[(index + number) % len(self.targets)]
                    process = self.processes.get(target.name)
                    seen = observe(shortened, target, process, self._load, self.folder)
                    self._observations[profile.name, target.name].append(seen)
                    if seen.sample.failed:
                        detail = f"{seen.sample.failed}: {self._last_line('bench.load')}"
                        self.note(f"{target.name} lost answers under {profile.name}.", detail)
                print(f"round {number + 1} of {rounds}: {profile.name}", file=sys.stderr)
        for name, process in self.processes.items():
            self.once["memory_end"][name] = process.memory_bytes() / 1e6
        return tabulate(self._observations, self.once, self._columns())

    def start_ups(self, times: int) -> None:
        """How long llmroute's own start takes, the median of a few."""
        python = sys.executable
        clocked = "import time; t = time.perf_counter(); import llmroute; "
        clocked += "print(time.perf_counter() - t)"
        surroundings = environ(self.folder)
        imports, helps = [], []
        for _ in range(times):
            printed = run_pinned((python, "-c", clocked), self.cores.target, environ=surroundings)
            imports.append(float(printed))
            started = time.perf_counter()
            run_pinned(("llmroute", "--help"), self.cores.target, environ=surroundings)
            helps.append(time.perf_counter() - started)
        self.once["start_import"]["llmroute"] = median(imports)
        self.once["start_help"]["llmroute"] = median(helps)

    def _columns(self) -> list[str]:
        """The targets in the order of the table; the usual three are always there."""
        others = [target.name for target in self.targets]
        usual = ["llmroute", "nginx", "direct"]
        return usual + [name for name in others if name not in usual]

    def _last_line(self, module: str) -> str:
        log = (self.folder / f"{module}.log").read_text()
        return log.strip().rpartition("\n")[2]

    def _own(self, module: str, core: int) -> Process:
        surroundings = {**environ(self.folder), "PYTHONPATH": str(_ROOT)}
        command = (sys.executable, "-m", module)
        log = self.folder / f"{module}.log"
        process = Process(command, core, environ=surroundings, log=log, piped=True)
        return self._stack.enter_context(process)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark.  The exit status is 1 if llmroute was not measured."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGALRM, _out_of_time)
    signal.alarm(_LIMIT)
    _raise_file_limit()
    started, busy = time.perf_counter(), _machine_busy()
    rounds, haste = (1, 0.4) if options.quick else (3, 1.0)
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ExitStack() as stack:
        run = _Run(Path(name), stack)
        if run.cores.count == 1:
            run.note("One core only: target, upstream and load share it.")
        _add_targets(run, options.target)
        measured = "llmroute" in run.processes
        if measured:
            run.start_ups(3 if options.quick else 7)
        figures = run.measure(rounds, haste)
        notes = run.notes
    elapsed = time.perf_counter() - started
    ours = sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
    others = max(0.0, _machine_busy() - busy - ours) / (elapsed * (os.cpu_count() or 1))
    results = {
        "run": {
            "date": datetime.now(UTC).date().isoformat(),
            "rounds": rounds,
            "quick": options.quick,
            "seconds": round(elapsed),
            "other_load_percent": round(100 * others, 1),
            "notes": notes,
        },
        "machine": _machine(run.cores.count),
        "figures": figures,
    }
    print(report.table(results))
    print(f"{elapsed:.0f} s; other programs used {100 * others:.0f} % of the machine meanwhile")
    if not measured:
        print("llmroute was not measured: nothing written", file=sys.stderr)
        return 1
    output: Path = options.output or (_QUICK if options.quick else _LATEST)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(results, indent=2) + "\n")
    return 0


def _add_targets(run: _Run, others: Sequence[str]) -> None:
    run.add(Target("direct", run.upstream_port))
    binary = nginx.find(_ROOT / ".cache/nginx")
    if binary:
        run.add(proxy(binary, run.upstream_port, run.folder))
    else:
        run.note("No figures of nginx: none is installed, and none could be downloaded.")
    port, folder = run.upstream_port, run.folder
    run.add(gateway("llmroute", _SERVE, port, folder, key=virtual_key(_KEY, port, folder)))
    run.add(gateway("llmroute-bare", _SERVE, port, folder, settings=_BARE))
    for entry in others:
        name, _, command = entry.partition("=")
        run.add(gateway(name, command, port, folder))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round, under a minute")
    parser.add_argument(
        "--target",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="another gateway that reads LiteLLM's config; {config} and {port} are filled in",
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="where the results go; else bench/results/latest.json, or quick.json if --quick",
    )
    return parser


def _out_of_time(*_: object) -> NoReturn:
    raise TimeoutError(f"the benchmark took more than {_LIMIT} s")


def _raise_file_limit() -> None:
    """Five hundred streams are a thousand sockets in a proxy; the usual limit is 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _machine_busy() -> float:
    """Seconds all cores have worked since the machine started, for anyone."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    user, nice, system, _idle, _waiting, interrupts, soft, stolen = map(int, fields)
    ticks = user + nice + system + interrupts + soft + stolen
    return ticks / os.sysconf("SC_CLK_TCK")


def _machine(cores: int) -> dict[str, Any]:
    packages = {}
    for name in ("llmroute", "uvicorn", "uvloop", "httptools", "msgspec"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "none"
    return {
        "cores": cores,
        "architecture": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        "packages": packages,
    }
