"""A whole platform of real processes that are killed at random and started again."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import psutil

from tests.chaos.programs import Program
from tests.chaos.upkeep import MAX_EVENT_AGE_DAYS, Upkeep
from tests.pipelines.killing import SMALL_JVM, Victim
from tests.services import Kafka, Minio, free_port, running_kafka, running_minio
from tests.streaming.pages import Pages

StrikeKind = Literal["archiver", "stream", "broker", "store", "zombie"]

SESSION_SECONDS = 6
ZOMBIE_SECONDS = SESSION_SECONDS + 4.0
ARCHIVERS = ("archiver-1", "archiver-2")
PARTITIONS = 3
TOPICS = ("clickstream", "video", "quiz", "assignment")
KEY = "a key of the chaos tests, no secret"
TICK_SECONDS = 0.25
# Restarted by a supervisor, as an orchestrator does it.
RESTART_SECONDS = (0.5, 3.0)
PATIENCE_SECONDS = 600.0
START_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How long, how much and how often; the same seed strikes the same things at the same times."""

    seconds: float
    rate: float
    kills: int
    seed: int
    has_stream: bool = True
    late: float = 0.0
    has_upkeep: bool = False

    def strikes(self) -> list[Strike]:
        """`kills` kills, each kind in turn, one in each equal part of the time, and one zombie."""
        chance = random.Random(self.seed)
        kinds: list[StrikeKind] = ["archiver", "store", "broker"]
        if self.has_stream:
            kinds.append("stream")
        turns: list[StrikeKind] = []
        while len(turns) < self.kills:
            turns += chance.sample(kinds, len(kinds))
        turns = turns[: self.kills]
        turns.insert(chance.randrange(len(turns) + 1), "zombie")
        part = self.seconds / len(turns)
        return [Strike((n + chance.uniform(0.1, 0.9)) * part, kind) for n, kind in enumerate(turns)]


@dataclass(frozen=True, slots=True)
class Strike:
    """A kill -9, or a stop for longer than a session (zombie), `at` so many seconds."""

    at: float
    kind: StrikeKind


@dataclass
class Recovery:
    """A strike on its way to being survived; `away_seconds` until the victim answered again,
    `seconds` from there until the platform worked as before."""

    kind: StrikeKind
    victim: str
    at: float
    back_at: float | None = None
    away_seconds: float | None = None
    seconds: float | None = None


@dataclass
class Platform:
    """Broker, store, two archivers, a stream and a producer, below one folder."""

    folder: Path
    kafka: Kafka
    minio: Minio
    environment: dict[str, str]
    programs: dict[str, Program]
    pages: dict[str, Pages]
    producer: Program
    acknowledged: Path
    say: Callable[[str], None]
    upkeep: Upkeep = field(init=False)
    recoveries: list[Recovery] = field(default_factory=list)
    ended_by_themselves: list[str] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)
    _restart_at: dict[str, float] = field(default_factory=dict)
    _continue_at: dict[str, float] = field(default_factory=dict)
    _without_jvm: set[str] = field(default_factory=set)
    _commands: list[Program] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.upkeep = Upkeep(self._command, self.tell)

    def tell(self, text: str) -> None:
        """A line of the timeline."""
        self.say(f"{time.monotonic() - self._began:7.1f} s  {text}")

    def run(self, plan: Plan) -> None:
        """Start everything, strike as planned, wait until all is survived, and bring it to rest."""
        chance = random.Random(plan.seed + 1)
        self._start(plan)
        strikes = plan.strikes()
        began = time.monotonic()
        self.tell(f"strikes begin: {len(strikes)}")
        # Where all is slow some strikes come after the time.
        while (
            (now := time.monotonic() - began) < plan.seconds
            or strikes
            or self._is_recovering
            or (plan.has_upkeep and not self.upkeep.has_done_all)
        ):
            assert now < plan.seconds + PATIENCE_SECONDS, self._unrecovered()
            assert self.producer.is_running, self.producer.output[-4_000:]
            if strikes and now >= strikes[0].at and self._strike(strikes[0], chance):
                strikes.pop(0)
            self._supervise(chance)
            self._note_recoveries()
            if plan.has_upkeep:
                self.upkeep.look(is_store_struck=self._is_store_struck)
            time.sleep(TICK_SECONDS)
        self._end_upkeep()
        self._rest()

    def lmslake(
        self, *arguments: str, seconds: float = 1_800.0, root: str | None = None
    ) -> tuple[int, str]:
        """A command to its end, on another root if one is given: exit code, and what it printed."""
        roots = {"LMSLAKE_ROOT": root} if root else {}
        done = subprocess.run(
            [str(Path(sys.executable).with_name("lmslake")), *arguments],
            env=self.environment | roots,
            capture_output=True,
            text=True,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
        )
        return done.returncode, done.stdout + done.stderr

    def _start(self, plan: Plan) -> None:
        for topic in TOPICS:
            self.kafka.create_topic(PARTITIONS, topic)
        for name in self._of_lake:
            self.programs[name].start()
        self._wait(lambda: all(map(self._is_back, self._of_lake)), "everything is ready")
        self.producer.start()
        self._wait(
            lambda: all(self._works(name, 0) for name in self._of_lake),
            "everything has begun to work",
        )
        self.tell(f"everything works, {plan.rate:,.0f} events/s come")

    def _command(self, name: str, arguments: list[str]) -> Program:
        program = _lmslake(name, arguments, self.environment, self.folder / "logs")
        self._commands.append(program)
        return program

    def clear_away(self) -> None:
        """What is left of all processes but those of the services."""
        for program in (*self.programs.values(), self.producer, *self._commands):
            program.clear_away()

    @property
    def _is_store_struck(self) -> bool:
        return any(r.kind == "store" and r.seconds is None for r in self.recoveries)

    def _end_upkeep(self) -> None:
        def is_over() -> bool:
            self.upkeep.look(is_store_struck=False, starts=False)
            return self.upkeep.is_at_rest

        self._wait(is_over, "the last command of the upkeep ends")

    @property
    def _of_lake(self) -> list[str]:
        return [name for name in self.programs if name in self.pages]

    def _strike(self, strike: Strike, chance: random.Random) -> bool:
        """False where there is nothing to strike yet."""
        victim = {"archiver": "", "zombie": ""}.get(strike.kind, strike.kind)
        victim = victim or chance.choice(ARCHIVERS)
        program = self.programs[victim]
        if victim in self._continue_at or not program.is_running:
            return False
        if strike.kind == "zombie":
            program.signal(signal.SIGSTOP)
            self._continue_at[victim] = time.monotonic() + ZOMBIE_SECONDS
            self.tell(f"{victim} stands still for {ZOMBIE_SECONDS:.0f} s")
        else:
            part: Victim = "all"
            if strike.kind == "stream":
                part = chance.choice(("all", "all", "python", "java"))
            program.kill(part)
            if part == "java":
                self._without_jvm.add(victim)
            self.tell(f"kill -9 {victim}" + (f" ({part})" if part != "all" else ""))
            if not program.is_running:
                self._restart_at[victim] = time.monotonic() + chance.uniform(*RESTART_SECONDS)
        self.recoveries.append(Recovery(strike.kind, victim, time.monotonic()))
        return True

    def _supervise(self, chance: random.Random) -> None:
        now = time.monotonic()
        for name, at in list(self._continue_at.items()):
            if now >= at:
                self.programs[name].signal(signal.SIGCONT)
                del self._continue_at[name]
                self.tell(f"{name} wakes up")
        for name, program in self.programs.items():
            if program.is_running:
                continue
            if name not in self._restart_at:
                if name in self._without_jvm:
                    self.tell(f"{name} ended with its JVM, with {program.exit_code}")
                else:
                    self.ended_by_themselves.append(f"{name} ({program.exit_code})")
                    self.tell(f"{name} ended by itself with {program.exit_code}")
                self._restart_at[name] = now + chance.uniform(*RESTART_SECONDS)
            elif now >= self._restart_at[name]:
                del self._restart_at[name]
                self._without_jvm.discard(name)
                program.start()
                self.tell(f"{name} is started again")

    @property
    def _is_recovering(self) -> bool:
        waiting = bool(self._restart_at or self._continue_at)
        return waiting or any(r.seconds is None for r in self.recoveries)

    def _unrecovered(self) -> str:
        names = [f"{r.kind} {r.victim}" for r in self.recoveries if r.seconds is None]
        return f"not survived: {', '.join(names)}\n{self._tails()}"

    def _tails(self) -> str:
        return "\n".join(f"--- {p.name}\n{p.output[-3_000:]}" for p in self.programs.values())

    def _note_recoveries(self) -> None:
        """Survived: the victim answers again, and then something was committed (or published)."""
        for recovery in self.recoveries:
            if recovery.seconds is not None or recovery.victim in self._continue_at:
                continue
            if recovery.back_at is None:
                if self._is_back(recovery.victim):
                    recovery.back_at = time.time()
                    recovery.away_seconds = time.monotonic() - recovery.at
                continue
            workers = ["stream"] if recovery.kind == "stream" else list(ARCHIVERS)
            if not any(self._works(name, recovery.back_at) for name in workers):
                continue
            if recovery.kind != "stream" and not all(self._is_back(name) for name in workers):
                continue
            recovery.seconds = time.time() - recovery.back_at
            self.tell(
                f"{recovery.victim} was away for {recovery.away_seconds:.1f} s, survived "
                f"{recovery.seconds:.1f} s later"
            )

    def _is_back(self, name: str) -> bool:
        if not self.programs[name].is_running or name in self._continue_at:
            return False
        if name in self.pages:
            return self.pages[name].is_ready
        address = self.minio.endpoint if name == "store" else f"//{self.kafka.bootstrap_servers}"
        where = urlsplit(address)
        try:
            socket.create_connection((where.hostname, where.port), 1).close()
        except OSError:
            return False
        return True

    def _works(self, name: str, since: float) -> bool:
        """Whether it has committed or published anything since that time of the day."""
        last = (
            "lmslake_stream_last_publication_timestamp_seconds"
            if name == "stream"
            else "lmslake_archiver_last_commit_timestamp_seconds"
        )
        if name in self._continue_at:
            return False
        return self.pages[name].metric(last) > since

    def _rest(self) -> None:
        """No more events; all that came is taken, and everything but broker and store ends."""
        # It may still be waiting for its next attempt to reach the broker.
        sent = self.acknowledged.stat().st_size
        self._wait(lambda: self.acknowledged.stat().st_size > sent, "the producer goes on")
        self._ends_well(self.producer)
        self.tell("the producer has ended")
        for name in ARCHIVERS:
            self._ends_well(self.programs[name])
        self._finishes("archive", "--once")
        if "stream" in self.programs:
            self._ends_well(self.programs["stream"])
            self._finishes("stream", "--once")

    def _ends_well(self, program: Program) -> None:
        code = program.stop()
        assert code == 0, f"{program.name} ended with {code}\n{program.output[-4_000:]}"

    def _finishes(self, *arguments: str) -> None:
        code, output = self.lmslake(*arguments)
        assert code == 0, f"lmslake {' '.join(arguments)} ended with {code}\n{output[-4_000:]}"
        self.tell(f"lmslake {' '.join(arguments)} has taken the rest")

    def _wait(self, is_so: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not is_so():
            assert time.monotonic() < deadline, f"not yet: {what}\n{self._tails()}"
            time.sleep(TICK_SECONDS)


@contextmanager
def platform(folder: Path, plan: Plan, say: Callable[[str], None] = print) -> Iterator[Platform]:
    """A platform whose broker and store run; `run` starts the rest. All ends with the block."""
    with ExitStack() as stack:
        places = {name: folder / name for name in ("kafka", "minio", "logs", "cache")}
        for place in places.values():
            place.mkdir()
        kafka = stack.enter_context(running_kafka(places["kafka"]))
        minio = stack.enter_context(running_minio(places["minio"]))
        environment = _environment(kafka, minio)
        if plan.has_upkeep:
            environment["LMSLAKE_MAX_EVENT_AGE_DAYS"] = str(MAX_EVENT_AGE_DAYS)
        programs, pages = {}, {}
        for name, mark in (
            ("broker", str(places["kafka"] / "server.properties")),
            ("store", str(places["minio"] / "data")),
        ):
            process = _child_with(mark)
            programs[name] = Program(
                name, process.cmdline(), process.environ(), places["logs"] / f"{name}.log"
            )
            programs[name].adopt(process)
        commands = {name: ["archive"] for name in ARCHIVERS}
        if plan.has_stream:
            commands["stream"] = ["stream", "--interval", "5"]
        for name, arguments in commands.items():
            pages[name] = Pages(free_port(), seconds=10.0)
            ports = {
                "LMSLAKE_METRICS_PORT": str(pages[name].port),
                "LMSLAKE_STREAM_METRICS_PORT": str(pages[name].port),
            }
            programs[name] = _lmslake(name, arguments, environment | ports, places["logs"])
        acknowledged = folder / "acknowledged.tsv"
        producer = _lmslake("producer", _produce(plan, acknowledged), environment, places["logs"])
        running = Platform(
            folder, kafka, minio, environment, programs, pages, producer, acknowledged, say
        )
        stack.callback(running.clear_away)
        yield running


def _environment(kafka: Kafka, minio: Minio) -> dict[str, str]:
    outside = {k: v for k, v in os.environ.items() if not k.startswith("LMSLAKE_")}
    kept = {k: v for k, v in os.environ.items() if k == "LMSLAKE_CACHE_DIR"}
    return {
        **outside,
        **kept,
        **minio.environment(),
        "LMSLAKE_ROOT": f"s3a://{minio.bucket}/chaos",
        "LMSLAKE_PSEUDONYM_KEY": KEY,
        "LMSLAKE_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "LMSLAKE_KAFKA_TOPICS": ",".join(TOPICS),
        "LMSLAKE_KAFKA_SESSION_TIMEOUT_SECONDS": str(SESSION_SECONDS),
        "LMSLAKE_ARCHIVE_FLUSH_SECONDS": "2",
        "LMSLAKE_METRICS_PORT": "0",
        "LMSLAKE_STREAM_METRICS_PORT": "0",
        "LMSLAKE_DRIVER_MEMORY": "2g",
        "LMSLAKE_SPARK_MASTER": "local[2]",
        "JAVA_TOOL_OPTIONS": SMALL_JVM,
    }


def _produce(plan: Plan, acknowledged: Path) -> list[str]:
    return [
        "produce", "--rate", str(plan.rate), "--students", "500", "--seed", str(plan.seed),
        "--late", str(plan.late), "--duplicates", "0.01", "--broken", "0.005",
        "--acknowledged", str(acknowledged),
    ]  # fmt: skip


def _lmslake(name: str, arguments: list[str], environment: dict[str, str], logs: Path) -> Program:
    program = str(Path(sys.executable).with_name("lmslake"))
    return Program(name, [program, *arguments], environment, logs / f"{name}.log")


def _child_with(mark: str) -> psutil.Process:
    """The child of this process whose command line names the path."""
    (found,) = [
        child
        for child in psutil.Process().children()
        if any(mark in part for part in child.cmdline())
    ]
    return found
