"""The books: which releases are under watch, and the one store that all their accounts write to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from locant.observation import ModelAttached
from locant.sidecar.accountant.account import Account
from locant.sidecar.accountant.birth import KnownCheck, counters_at_zero, identity
from locant.sidecar.accountant.subject import Subject
from locant.sidecar.config import AgentConfig
from locant.sidecar.measured import reference_of
from locant.sidecar.references import References
from locant.sidecar.saved import SavedCosts, SavedRelease
from locant.sidecar.store import Store
from locant_slo.catalogue import ALL, Tier, metrics

_LIVENESS = (metrics.LAST_OBSERVATION, metrics.WATCH_COVERAGE, metrics.PEAK_MEMORY)
"""What stops being true the moment a watch is closed; the rest waits for a last scrape."""
Release = tuple[str, str]
_MOST_RELEASES = 128
_KEPT_SECONDS = 7 * 86_400.0
"""How long the statistics of a release that left are kept for its return, as after a rollback."""


class Books:
    """Accounts by model and version. Several probes (replicas, processes) of one release share an account."""

    def __init__(
        self,
        store: Store,
        config: AgentConfig,
        references: References,
        objectives: Mapping[str, float],
        checks: Iterable[KnownCheck],
    ) -> None:
        self._store = store
        self._config = config
        self._references = references
        self._objectives = dict(objectives)
        self._checks = tuple(checks)
        self._releases: dict[int, Release] = {}
        self._accounts: dict[Release, Account] = {}
        self._leaving: dict[Release, float] = {}
        self._saved: dict[Release, SavedRelease] = {}

    def full_for(self, observation: ModelAttached) -> bool:
        """Whether there is no room for one more release; those that are known always have theirs."""
        release = (observation.model, observation.model_version)
        return release not in self._accounts and len(self._accounts) >= _MOST_RELEASES

    def attach(self, observation: ModelAttached, now: float) -> None:
        """Open an account, or update its profile when the release is known already."""
        release = (observation.model, observation.model_version)
        if self._releases.get(observation.model_id, release) != release:
            self.detach(observation.model_id, now)
        self._releases[observation.model_id] = release
        self._leaving.pop(release, None)
        reference = self._references.models.get(observation.model)
        subject = Subject(*release, observation.profile, self._config, reference)
        if release in self._accounts:
            self._accounts[release].subject = subject
        else:
            account = self._accounts[release] = Account(subject, now)
            self._store.apply(counters_at_zero(subject, self._checks))
            if release in self._saved:
                self._store.apply(account.restore(self._saved.pop(release)))
        self._store.forget(metrics.MODEL_INFO, lambda labels: labels[:2] == release)
        self._store.apply(identity(subject, self._objectives))
        self._publish_reference(subject)

    def detach(self, model_id: int, now: float) -> None:
        """Close one probe's part; with the last one the release leaves, after a time of grace for its last scrape."""
        release = self._releases.pop(model_id, None)
        if release is None:
            return
        account = self._accounts[release]
        self._store.apply(account.close(model_id, now))
        if release in self._releases.values():
            return
        for metric in _LIVENESS:
            self._store.forget(metric, lambda labels: labels[-2:] == release)
        self._leaving[release] = now + self._config.detach_grace_seconds
        self._expire(now)

    def account(self, model_id: int) -> Account | None:
        """The account that a probe's observations belong to; None when it never attached, or has gone."""
        release = self._releases.get(model_id)
        return self._accounts[release] if release is not None else None

    def refresh(self, now: float) -> None:
        """Bring what depends on time up to `now`."""
        self._expire(now)
        for release, account in self._accounts.items():
            if release not in self._leaving:
                self._store.apply(account.live(now))
                self._keep_heat_in_focus(account)

    def measured(self, now: float, costs: Mapping[Release, SavedCosts]) -> References | None:
        """The references with every model's replaced by what was measured; of two releases, the one attached last.

        None when nothing was measured of any.
        """
        references = self._references
        for account in sorted(self._accounts.values(), key=lambda one: one.subject.labels not in self._leaving):
            references = references.with_model(account.subject.model, reference_of(_priced(account.saved(now), costs)))
        return references if references is not self._references else None

    def saved(self, now: float, costs: Mapping[Release, SavedCosts]) -> tuple[SavedRelease, ...]:
        """The statistics of every release, those included that left or were not seen again since the last start."""
        present = [account.saved(now) for account in self._accounts.values()]
        absent = [one for one in self._saved.values() if now - one.time <= _KEPT_SECONDS]
        absent.sort(key=lambda one: one.time, reverse=True)
        every = (*present, *absent[: max(0, _MOST_RELEASES - len(present))])
        return tuple(_priced(one, costs) for one in every)

    def restore(self, saved: Iterable[SavedRelease]) -> None:
        """Have these ready for when their releases come under watch."""
        self._saved.update({(one.model, one.version): one for one in saved})

    def adopt(self, references: References) -> None:
        """Compare with these references from now on."""
        self._references = references
        for account in self._accounts.values():
            account.subject = replace(account.subject, reference=references.models.get(account.subject.model))
            self._publish_reference(account.subject)

    def reconfigure(self, config: AgentConfig) -> None:
        """Judge by these limits from now on. The debug tier's series go when it is switched off."""
        self._config = config
        for account in self._accounts.values():
            account.subject = replace(account.subject, config=config)
        if not config.debug_metrics:
            for metric in ALL:
                if metric.tier is Tier.DEBUG:
                    self._store.forget(metric, lambda labels: True)

    def _publish_reference(self, subject: Subject) -> None:
        lengths = subject.reference.lengths if subject.reference is not None else None
        if lengths is not None:
            self._store.replace_histogram(metrics.REFERENCE_LENGTH, subject.labels, lengths.counts, lengths.sum_tokens)

    def _keep_heat_in_focus(self, account: Account) -> None:
        """One heat map per release: the series of the last focus go when it moves on."""
        if account.focus is not None:
            focus, own = tuple(map(str, account.focus)), account.subject.labels
            self._store.forget(metrics.HEAD_HEAT, lambda labels: labels[-2:] == own and labels[:2] != focus)

    def _expire(self, now: float) -> None:
        for release in [release for release, deadline in self._leaving.items() if now >= deadline]:
            self.restore([self._accounts.pop(release).saved(now)])
            del self._leaving[release]
            while len(self._saved) > _MOST_RELEASES:
                del self._saved[next(iter(self._saved))]
            self._store.forget_model(*release)


def _priced(saved: SavedRelease, costs: Mapping[Release, SavedCosts]) -> SavedRelease:
    return replace(saved, costs=costs.get((saved.model, saved.version)))
