"""OpenSLO's alert policies as burn-rate tiers."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from locant_slo.durations import format_duration
from locant_slo.interop.openslo_objects import Objects
from locant_slo.interop.openslo_window import Window, shorthand
from locant_slo.interop.place import Place, named
from locant_slo.interop.tiers import are_usual, plain

SHORT = "locant.dev/short"
"""An annotation of a condition: the short window that a tier has here and the standard does not know."""
TIER = "locant.dev/tier"
"""An annotation of a condition: the tier's name."""
ROUTED = "locant.dev/routed"
"""An annotation of a target that stands for the routes that are made from a spec anyway."""
_PAGES = ("page", "critical", "crit", "urgent", "high", "sev0", "sev1", "p0", "p1", "1")
_TICKETS = ("ticket", "warning", "warn", "low", "medium", "info", "sev2", "sev3", "sev4", "p2", "p3", "p4", "2", "3")
_SHORT_SHARE, _SHORTEST_SECONDS = 12, 120


def alerting_of(spec: Place, objects: Objects, window: Window, target: Decimal) -> dict[str, object]:
    """`alerting`, and under `notify` the names of the notification targets. No policy: nobody is told."""
    policies = list(_policies(spec, objects))
    tiers: list[dict[str, object]] = []
    targets: list[str] = []
    silent = True
    for policy in policies:
        inside = policy.child("spec")
        silent = silent and not inside.flag("alertWhenNoData", default=False)
        inside.lost(("description",), "every alert has words of its own here; left out")
        if not inside.flag("alertWhenResolved", default=False):
            inside.note("alertWhenResolved", "who is told of a breach is told of its end too; Alertmanager sends both")
        targets += _targets(inside, objects)
        if inside.flag("alertWhenBreaching", default=True):
            tiers += _tiers(inside, objects, window, target)
    if not policies:
        spec.note("alertPolicies", "no policy, so nobody is told; delete alerting here for the usual four tiers")
    notify = {"notify": ",".join(dict.fromkeys(targets))} if targets else {}
    if not tiers and silent:
        return {"enabled": False, **notify}
    no_data = {"no_data": {"action": "ignore"}} if silent else {}
    return {**({} if are_usual(tiers, window.seconds) else {"tiers": _apart(tiers)}), **no_data, **notify}


def _policies(spec: Place, objects: Objects) -> Iterator[Place]:
    """Inline, as `alertPolicyRef`, or as a plain name, for the standard's own tools have read it in all three ways."""
    listed = spec.content.get("alertPolicies")
    place = spec
    if isinstance(listed, list):
        named_ones = [{"alertPolicyRef": one} if isinstance(one, str) else one for one in listed]
        place = Place({"alertPolicies": named_ones}, spec.path, spec.findings)
    for policy in place.children("alertPolicies"):
        found = policy if policy.has("spec") else objects.inlined(policy, "", "alertPolicyRef", "AlertPolicy")
        if found is not None:
            yield found


def _targets(policy: Place, objects: Objects) -> Iterator[str]:
    for target in policy.children("notificationTargets"):
        found = target if target.has("spec") else objects.inlined(target, "", "targetRef", "AlertNotificationTarget")
        if found is not None and not found.child("metadata").child("annotations").has(ROUTED):
            yield found.child("metadata").text("name") or found.child("spec").text("target")


def _tiers(policy: Place, objects: Objects, window: Window, target: Decimal) -> Iterator[dict[str, object]]:
    if not policy.children("conditions"):
        policy.fault("conditions", "a policy needs a condition")
    for condition in policy.children("conditions"):
        found = condition if condition.has("spec") else objects.inlined(condition, "", "conditionRef", "AlertCondition")
        if found is not None and (tier := _tier(found, window, target)) is not None:
            yield tier


def _tier(condition: Place, window: Window, target: Decimal) -> dict[str, object] | None:
    spec = condition.child("spec")
    inside = spec.child("condition")
    kind = inside.text("kind") or "burnrate"
    if kind.lower() != "burnrate":
        inside.fault("kind", f"{kind!r} is not known; the standard has burnrate alone")
        return None
    if (operator := inside.text("op")) and operator not in {"gt", "gte"}:
        inside.note("op", f"says {operator}, and a burn rate alerts when it is exceeded; exceeding is taken")
    factor, long = inside.decimal("threshold"), shorthand(inside, "lookbackWindow")
    if factor is None or long <= 0:
        inside.fault("threshold", "a burn rate needs threshold and lookbackWindow")
        return None
    if doubt := _doubt(factor, long, window, target):
        inside.note("threshold", f"the condition is left out: {doubt}")
        return None
    metadata = condition.child("metadata")
    name = metadata.child("annotations").text(TIER) or metadata.text("name") or "burn"
    return {
        "name": named(name, condition, "metadata.name"),
        "severity": _severity(spec),
        "budget": plain(factor * long / window.seconds),
        "long": format_duration(long),
        "short": _short(condition, inside, long),
        "hold": format_duration(max(1, shorthand(inside, "alertAfter", may_be_zero=True))),
    }


def _doubt(factor: Decimal, long: int, window: Window, target: Decimal) -> str:
    if factor < 1:
        return f"at {factor} times the sustainable speed it would fire while the budget lasts"
    if factor * (1 - target) >= 1:
        return f"{factor} times the budget of {target} is more than all events, so it could never fire"
    if factor * long >= window.seconds:
        return f"{factor} times the speed over {format_duration(long)} is more than the whole budget of the window"
    return ""


def _short(condition: Place, inside: Place, long: int) -> str:
    """A twelfth of the long window, or what our own export noted."""
    if text := condition.child("metadata").child("annotations").text(SHORT):
        return text
    short = max(_SHORTEST_SECONDS, long // _SHORT_SHARE // 60 * 60)
    inside.note("lookbackWindow", f"a second window of {format_duration(short)} is added, so that the alert ends soon")
    return format_duration(short)


def _severity(spec: Place) -> str:
    text = spec.text("severity", needed=True)
    if text.lower() in {"page", "ticket"}:
        return text.lower()
    found = "page" if text.lower() in _PAGES else "ticket"
    known = text.lower() in (*_PAGES, *_TICKETS)
    spec.note("severity", f"{text!r} is taken for {found}" + ("" if known else "; it is no word that is known here"))
    return found


def _apart(tiers: list[dict[str, object]]) -> list[dict[str, object]]:
    """Tiers with names of their own."""
    seen: dict[object, int] = {}
    for tier in tiers:
        seen[tier["name"]] = count = seen.get(tier["name"], 0) + 1
        if count > 1:
            tier["name"] = f"{tier['name']}-{count}"
    return tiers
