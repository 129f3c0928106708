"""The agent: observations in, snapshots and findings out. One owner of the state, in a thread or in a sidecar."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from locant.observation import Detached, ModelAttached, Observation
from locant.sidecar.accountant import Books, Deltas, KnownCheck, drops
from locant.sidecar.attendance import Attendance
from locant.sidecar.checks import KNOWN_CHECKS
from locant.sidecar.config import AgentConfig
from locant.sidecar.judging import Judging
from locant.sidecar.kept.keeper import Keeper
from locant.sidecar.references import References
from locant.sidecar.saved import SavedState
from locant.sidecar.store import LONGEST_LABEL, FindingLog, Store
from locant.sidecar.usage import Usage
from locant_slo.catalogue import metrics
from locant_slo.catalogue.labels import EXPORTER, OUTCOME, STAGE
from locant_slo.errors import ConfigError
from locant_slo.findings import Finding
from locant_slo.snapshot import Snapshot

_LOG = logging.getLogger("locant.agent")
_LOG_INTERVAL_SECONDS = 60.0
_OK, _ERROR = OUTCOME.values
_AHEAD_SECONDS = 60.0
"""How far a probe's clock may run ahead: its time drives what is forgotten, and that of other models with it."""
_, _DRAIN, _JUDGE, _SNAPSHOT = STAGE.values


class Agent:
    """Judge, books and store behind one lock, which is held for one observation or one snapshot at a time.

    An observation that cannot be processed is dropped, counted and logged at most once a minute; it never stops the
    agent. `clock` gives Unix seconds and drives windows and grace times; `timer` measures the agent itself and who fell
    silent. `usage`, where the agent has a process of its own, says what that costs. `keeper` gets to see everything.
    """

    def __init__(
        self,
        config: AgentConfig,
        judge: Judging,
        *,
        references: References | None = None,
        objectives: Mapping[str, float] | None = None,
        checks: Iterable[KnownCheck] = KNOWN_CHECKS,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.perf_counter,
        usage: Callable[[], Usage] | None = None,
        keeper: Keeper | None = None,
    ) -> None:
        self._keeper = keeper
        self._judge = judge
        self._clock = clock
        self._timer = timer
        self._lock = threading.Lock()
        self._usage = usage
        self._silent_seconds = config.silent_model_seconds
        self._attendance = Attendance()
        self._channel = Deltas()
        self._logged_at: float | None = None
        self._latest: float | None = None
        self._started_at = clock()
        findings = FindingLog(config.finding_capacity)
        self._store = Store(started_at=self._started_at, series_limit=config.series_limit, findings=findings)
        self._books = Books(self._store, config, references or References(), objectives or {}, checks)
        self._adopt(references or References())
        self._introduce()

    def ingest(self, observations: Iterable[Observation]) -> None:
        """Judge and count observations, in order."""
        started = self._timer()
        for observation in observations:
            try:
                with self._lock:
                    self._take(observation)
            except Exception as error:
                self._lose(observation, error)
        with self._lock:
            self._spent(_DRAIN, started)
            if self._latest is not None:
                self._store.set(metrics.OBSERVATION_LAG, (), max(self._clock() - self._latest, 0.0))

    def snapshot(self) -> Snapshot:
        """Everything as it stands now, immutable."""
        with self._lock:
            started, now = self._timer(), self._clock()
            self._forget_silent(now)
            self._books.refresh(now)
            self._weigh()
            snapshot = self._store.snapshot(now)
            self._spent(_SNAPSHOT, started)
            return snapshot

    def findings(self) -> tuple[Finding, ...]:
        """What is wrong, worst first; equal findings are one with a count."""
        with self._lock:
            return self._store.findings()

    def pin_reference(self, path: str | Path) -> None:
        """Write what was measured so far as the reference, and compare with it from now on.

        Raises ConfigError when there is nothing to pin, MachineError when the file cannot be written.
        """
        with self._lock:
            now = self._clock()
            self._books.refresh(now)
            references = self._books.measured(now, self._judge.costs())
        if references is None:
            raise ConfigError(f"{path}: nothing was measured yet; serve traffic or run the canary, then pin")
        references.save(path)
        with self._lock:
            self._adopt(references)

    def reconfigure(self, config: AgentConfig, references: References | None = None) -> None:
        """Go on with another configuration, and other references where given. Counters keep counting."""
        with self._lock:
            self._store.limit(series=config.series_limit, findings=config.finding_capacity)
            self._silent_seconds = config.silent_model_seconds
            self._books.reconfigure(config)
            if references is not None:
                self._adopt(references)

    def saved(self) -> SavedState:
        """What outlives this process: statistics of releases and findings."""
        with self._lock:
            return SavedState(self._books.saved(self._clock(), self._judge.costs()), self._store.findings())

    def restore(self, state: SavedState) -> None:
        """Go on where an earlier process left; call it before the first observation."""
        with self._lock:
            self._books.restore(state.releases)
            self._judge.recall(state.releases)
            for finding in state.findings:
                self._store.recall(finding)

    def note_channel(self, depth: int, dropped: Mapping[str, int]) -> None:
        """What the channel before this agent says: observations waiting, and all its losses so far, by reason."""
        with self._lock:
            self._store.set(metrics.QUEUE_DEPTH, (), depth)
            self._store.apply(drops(self._channel, dropped))

    def note_exports(self, exporter: str, ok: int, errors: int, seconds: float) -> None:
        """All of an exporter's snapshots so far that went out, and that failed to, and how long they took together."""
        with self._lock:
            spent = self._channel.take(f"{exporter} seconds", seconds)
            self._store.add(metrics.EXPORT_DURATION, (exporter,), spent)
            for outcome, total in ((_OK, ok), (_ERROR, errors)):
                news = self._channel.take(f"{exporter} {outcome}", total)
                self._store.add(metrics.EXPORTS, (exporter, outcome), news)

    def _adopt(self, references: References) -> None:
        self._books.adopt(references)
        self._judge.compare(references.models)

    def _introduce(self) -> None:
        self._store.set(metrics.BUILD_INFO, (metadata.version("locant"),), 1)
        self._store.set(metrics.QUEUE_DEPTH, (), 0)
        for stage in STAGE.values:
            self._store.observe(metrics.PROBE_DURATION, (stage,), 0.0, 0)
        for exporter in EXPORTER.values:
            self._store.add(metrics.EXPORT_DURATION, (exporter,), 0)
            for outcome in OUTCOME.values:
                self._store.add(metrics.EXPORTS, (exporter, outcome), 0)

    def _take(self, observation: Observation) -> None:
        now = self._clock()
        if isinstance(observation, ModelAttached):
            if self._books.full_for(observation) or not _nameable(observation):
                self._store.drop("refused")
                return
            self._books.attach(observation, now)
        account = self._books.account(observation.model_id)
        if account is None:
            self._store.drop("invalid", not isinstance(observation, Detached))
            return
        if not observation.time <= now + _AHEAD_SECONDS:
            observation = replace(observation, time=now)
        self._latest = observation.time
        self._attend(observation.model_id, now)
        started = self._timer()
        verdict = self._judge.judge(observation)
        self._spent(_JUDGE, started)
        updates = tuple(account.take(observation, verdict, now))
        self._store.apply(updates)
        found = [_signed(finding, *account.subject.labels, observation.time) for finding in verdict.findings]
        for finding in found:
            self._store.merge(finding)
        if self._keeper is not None:
            self._keeper.see(observation, found)
        if isinstance(observation, Detached):
            self._books.detach(observation.model_id, now)
            self._attendance.leave(observation.model_id)

    def _attend(self, model_id: int, now: float) -> None:
        known = len(self._attendance)
        self._attendance.note(model_id, self._timer())
        if len(self._attendance) > known:
            self._forget_silent(now)

    def _forget_silent(self, now: float) -> None:
        for model_id in self._attendance.absent(self._timer(), self._silent_seconds):
            self._judge.forget(model_id)
            if self._keeper is not None:
                self._keeper.forget(model_id)
            self._books.detach(model_id, now)

    def _weigh(self) -> None:
        if self._usage is not None:
            usage = self._usage()
            self._store.add(metrics.AGENT_CPU, (), self._channel.take("cpu", usage.cpu_seconds))
            self._store.set(metrics.AGENT_MEMORY, (), usage.memory_bytes)

    def _lose(self, observation: Observation, error: Exception) -> None:
        now = self._clock()
        with self._lock:
            self._store.drop("decode_error")
        if self._logged_at is None or not 0 <= now - self._logged_at < _LOG_INTERVAL_SECONDS:
            self._logged_at = now
            _LOG.warning("dropped a %s that could not be processed", type(observation).__name__, exc_info=error)

    def _spent(self, stage: str, started: float) -> None:
        self._store.observe(metrics.PROBE_DURATION, (stage,), max(self._timer() - started, 0.0))


def _nameable(attached: ModelAttached) -> bool:
    """Whether the release's names can be label values."""
    return max(len(attached.model), len(attached.model_version)) <= LONGEST_LABEL


def _signed(finding: Finding, model: str, version: str, when: float) -> Finding:
    """A finding with the release and the times that its check left open."""
    return replace(
        finding,
        model=finding.model or model,
        model_version=finding.model_version or version,
        first_seen=finding.first_seen or when,
        last_seen=finding.last_seen or finding.first_seen or when,
    )
