"""Random legal traffic of many kinds, and the faults that can strike each kind."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from checks_traffic import FIRST_WORD, PAD, WORDS, Cache, Token, World

from locant.observation import ModelProfile, RotaryFacts

Rows = list[list[Token]]
Masks = list[list[int]]


def profile(scheme: str, *, base: int = 0, window: int | None = None, causal: bool = True) -> ModelProfile:
    absolute = scheme in ("learned", "sinusoidal")
    return ModelProfile(
        family=f"{scheme}-family",
        scheme=scheme,
        kind="decoder" if causal else "encoder",
        absolute=absolute,
        base=base,
        trained_tokens=512,
        table_rows=512 + base if scheme == "learned" else None,
        pad_id=PAD,
        separator_id=None,
        token_types=0,
        window=window,
        causal=causal,
        layers=2,
        heads=4,
        head_size=16,
        cache_bytes_per_token=None,
        config_hash="",
        parameters=1,
    )


PROFILES = (
    profile("learned"),
    profile("learned", base=2),
    profile("sinusoidal"),
    profile("rope"),
    profile("rope", window=8),
    profile("alibi"),
    profile("learned", causal=False),
    profile("learned", base=1, causal=False),
    profile("rope", causal=False),
    profile("relative_bias", causal=False),
)


@dataclass(frozen=True)
class Spec:
    """One scenario, drawn once, run with or without a fault."""

    seed: int
    flow: str
    profile: ModelProfile
    lengths: tuple[int, ...]
    side: str  # none, left, right
    steps: int
    chunk: int
    shift: int  # session offset, relative families only
    bare: bool  # no mask where nothing is padded
    told: bool  # request ids or segments are declared
    bos_is_pad: bool
    amount: int  # how far the fault goes

    @property
    def numbered(self) -> bool:
        return self.profile.scheme not in ("alibi", "relative_bias")

    @property
    def start(self) -> int:
        return self.profile.base + self.shift

    def token(self, request: object, index: int, position: int | tuple[int, ...] | None = None) -> Token:
        ident = random.Random(f"{self.seed}{request}{index}").randrange(FIRST_WORD, WORDS)
        if self.bos_is_pad and index == 0:
            ident = PAD
        where = self.start + index if position is None else position
        positions = (where if isinstance(where, tuple) else (where,)) if self.numbered else ()
        return Token(("t", request, index), ident, positions, request)

    def pad(self, row: int, slot: int, position: int = 0) -> Token:
        return Token(("pad", row, slot), PAD, (position,) if self.numbered else (), None)


def draw(seed: int, flow: str | None = None) -> Spec:
    """A random scenario."""
    rng = random.Random(seed)
    kind = flow or rng.choice(tuple(FLOWS))
    causal = kind != "score" or rng.random() < 0.5
    choice = rng.choice([p for p in PROFILES if p.causal == causal])
    if kind in ("evict", "mrope", "restored"):
        choice = profile("mrope") if kind == "mrope" else profile("rope")
    batch = 1 if kind in ("speculate", "sessions", "mrope", "evict", "restored") else rng.randint(1, 5)
    side = rng.choice(("none", "left", "right"))
    lengths = [rng.randint(4, 24) for _ in range(batch)]
    if side == "none":
        lengths = [lengths[0]] * batch
    return Spec(
        seed=seed,
        flow=kind,
        profile=choice,
        lengths=tuple(lengths),
        side=side,
        steps=rng.randint(3, 8),
        chunk=rng.choice((0, 0, 3, 7)),
        shift=0 if choice.absolute or rng.random() < 0.6 else rng.choice((7, 100, 3000)),
        bare=rng.random() < 0.5,
        told=rng.random() < 0.3,
        bos_is_pad=rng.random() < 0.15,
        amount=rng.randint(1, 9),
    )


def world(spec: Spec, fault: str) -> World:
    """Healthy traffic loses some observations on the way; a fault's evidence is left alone."""
    rng = random.Random(spec.seed + 1)
    lossy = not fault and spec.seed % 5 == 0
    shown = (
        replace(spec.profile, table_rows=max(spec.lengths) - 1 + spec.profile.base)
        if fault == "overflow"
        else spec.profile
    )
    shown = replace(shown, trained_tokens=max(spec.lengths) - 1) if fault == "too_long" else shown
    return World(
        shown, rng, sample_rate=1.0 if fault in SEEN_ONLY_IN_ATTENTION else 0.5, drop_rate=0.05 if lossy else 0.0
    )


SEEN_ONLY_IN_ATTENTION = frozenset({"mask_ignored", "not_isolated", "window_wide", "window_narrow", "future", "blind"})


def run(spec: Spec, fault: str = "") -> World:
    """Play the scenario; `fault` is one of `faults_of(spec)` or empty."""
    stage = world(spec, fault)
    FLOWS[spec.flow](spec, stage, fault)
    return stage


# --- layouts


def padded(spec: Spec, rows: Sequence[Sequence[Token]], fill: int = 0) -> tuple[Rows, Masks]:
    """Rows brought to one length, with their mask."""
    width = max(len(row) for row in rows)
    out, masks = [], []
    for i, row in enumerate(rows):
        pads = [spec.pad(i, s, fill) for s in range(width - len(row))]
        left = spec.side != "right"
        out.append([*pads, *row] if left else [*row, *pads])
        masks.append([0] * len(pads) + [1] * len(row) if left else [1] * len(row) + [0] * len(pads))
    return out, masks


def renumbered(rows: Rows, position: Callable[[int, int, Token], int]) -> Rows:
    """The same tokens at other positions, by row, column and token."""
    return [
        [replace(token, position=(position(i, j, token),)) if token.position else token for j, token in enumerate(row)]
        for i, row in enumerate(rows)
    ]


def prompts(spec: Spec) -> Rows:
    return [[spec.token(r, i) for i in range(n)] for r, n in enumerate(spec.lengths)]


def given(spec: Spec, masks: Masks) -> Masks | None:
    """The mask as the caller passes it: none where nothing is padded and the caller does without."""
    return None if spec.bare and all(all(row) for row in masks) else masks


def distort(spec: Spec, rows: Rows, masks: Masks, fault: str) -> Rows:
    """Positions of a fresh batch as a fault numbers them."""
    base = spec.profile.base
    if fault == "left_counted" or counts_columns(spec, fault):
        return renumbered(rows, lambda i, j, t: spec.start + j)
    if fault == "base_wrong":
        return renumbered(rows, lambda i, j, t: t.position[0] + (spec.amount if base == 0 else -base))
    if fault == "frozen":
        return renumbered(rows, lambda i, j, t: spec.start)
    if fault == "rounded":
        return renumbered(rows, lambda i, j, t: spec.start + round((t.position[0] - spec.start) / 2) * 2)
    if fault == "swapped":
        pads = [row.count(0) for row in masks]
        other = pads[1:] + pads[:1]
        return renumbered(rows, lambda i, j, t: spec.start + max(0, j - other[i]))
    if fault in ("one_row", "other_side"):
        pads = [row.count(0) for row in masks]
        off = pads if fault == "other_side" else [max(pads)] * len(pads)
        return renumbered(rows, lambda i, j, t: spec.start + max(0, j - off[i]))
    if fault == "crafted":
        return renumbered(rows, lambda i, j, t: t.position[0] + (50_000 * j if j > 1 else 0))
    return rows


def counts_columns(spec: Spec, fault: str) -> bool:
    """Legal on relative families: a left-padded batch numbered by column, padding included, from start to end."""
    return fault in ("", "mask_dropped") and spec.side == "left" and not spec.profile.absolute and spec.seed % 3 == 0


def covered(spec: Spec, masks: Masks, fault: str) -> Masks | None:
    """The mask as a fault leaves it."""
    if fault == "mask_missing":
        return None
    if fault == "mask_ones":
        return [[1] * len(row) for row in masks]
    if fault == "mask_inverted":
        return [[1 - keep for keep in row] for row in masks]
    return given(spec, masks)


def geometry(fault: str) -> dict[str, object]:
    return {
        "ignore_mask": fault == "mask_ignored",
        "window_shift": {"window_wide": 1, "window_narrow": -1}.get(fault, 0),
        "future": int(fault == "future"),
        "blind": fault == "blind",
    }


# --- flows


def score(spec: Spec, stage: World, fault: str) -> None:
    """One pass without a cache: an encoder, or a decoder that scores."""
    rows, masks = padded(spec, prompts(spec), spec.seed % 2)
    rows = distort(spec, rows, masks, fault)
    stage.call(rows, mask=covered(spec, masks, fault), **geometry(fault))  # type: ignore[arg-type]


def generate(spec: Spec, stage: World, fault: str) -> None:
    """Prefill, whole or in chunks, then tokens one by one."""
    rows, masks = padded(spec, prompts(spec), spec.seed % 2)
    rows = distort(spec, rows, masks, fault)
    cache = stage.cache(len(rows))
    feed(spec, stage, cache, rows, masks, fault)
    width = len(rows[0])
    for step in range(spec.steps):
        one = [[decoded(spec, r, step, width, fault)] for r in range(len(rows))]
        masks = [[*row, 1] for row in masks]
        mask = covered(spec, masks, fault)
        if fault == "mask_dropped":
            mask = None
        stage.call(one, cache=cache, mask=mask, request_ids=ids(spec), **geometry(fault))  # type: ignore[arg-type]


def ids(spec: Spec) -> tuple[str, ...]:
    return tuple(f"r{i}" for i in range(len(spec.lengths))) if spec.told else ()


def feed(spec: Spec, stage: World, cache: Cache, rows: Rows, masks: Masks, fault: str) -> None:
    """The prompt, in chunks where the scenario has them."""
    width = len(rows[0])
    size = spec.chunk or width
    for start in range(0, width, size):
        part = [row[start : start + size] for row in rows]
        if fault == "chunk_overlap" and start:
            part = renumbered(part, lambda i, j, t: t.position[0] - 1)
        mask = covered(spec, [row[: start + size] for row in masks], fault)
        if fault == "mask_dropped":
            mask = [row[: start + size] for row in masks]
        rotary = RotaryFacts("float32", parameters_hash=1)
        stage.call(part, cache=cache, mask=mask, request_ids=ids(spec), rotary=rotary, **geometry(fault))  # type: ignore[arg-type]


def decoded(spec: Spec, request: int, step: int, width: int, fault: str) -> Token:
    """The next token of a request at its position, or where a fault puts it."""
    index = spec.lengths[request] + step
    token = spec.token(request, index)
    if not spec.numbered:
        return token
    if counts_columns(spec, fault):
        return replace(token, position=(spec.start + width + step,))
    where = {
        "decode_shift": spec.start + index + spec.amount,
        "decode_back": spec.start + index - 1,
        "decode_shared": spec.start + max(spec.lengths) + step,
        "decode_restart": spec.start + step,
        "left_counted": spec.start + max(spec.lengths) + step,
        "base_wrong": spec.start + index + (spec.amount if spec.profile.base == 0 else -spec.profile.base),
    }.get(fault, spec.start + index)
    if fault == "row_shift" and request == 0:
        where += spec.amount
    return replace(token, position=(where,))


def speculate(spec: Spec, stage: World, fault: str) -> None:
    """Drafts of several tokens, partly rejected and taken back."""
    rng = random.Random(spec.seed + 2)
    cache = stage.cache(1)
    length = spec.lengths[0]
    stage.call([[spec.token(0, i) for i in range(length)]], cache=cache)
    position = spec.start + length
    for number in range(spec.steps + 4):
        draft, accepted = rng.randint(2, 6), 0
        accepted = rng.randint(1, draft)
        start = position if fault == "no_rewind" else spec.start + length
        lag = 1 if fault == "draft_shift" and number else 0
        row = []
        for i in range(draft):
            token = spec.token(0, length + i, start + i + lag)
            row.append(token if i < accepted else replace(token, uid=("rejected", number, i), ident=FIRST_WORD + i))
        stage.call([row], cache=cache)
        position = start + draft
        length += accepted
        if fault != "no_crop":
            cache.crop(cache.tokens - (draft - accepted))


def sessions(spec: Spec, stage: World, fault: str) -> None:
    """Requests one after another on one cache: cleared, cut back to a shared prefix, or gone on with."""
    rng = random.Random(spec.seed + 3)
    cache = stage.cache(1)
    length, history = 0, 0
    for turn in range(spec.steps):
        kind = rng.choice(("clear", "new", "cut", "on"))
        if turn and kind in ("clear", "new") and fault == "not_cleared":
            kind, length, history = "stale", 0, history + 1
        if kind == "clear":
            cache.crop(0)
            length, history = 0, history + 1
        elif kind == "new":
            cache, length, history = stage.cache(1), 0, history + 1
        elif kind == "cut" and length > 3:
            length = rng.randint(1, length - 1)
            cache.crop(length)
        count = rng.randint(1, 9)
        row = [spec.token((history, turn), length + i, spec.start + length + i) for i in range(count)]
        stage.call([row], cache=cache)
        length += count


def prefix(spec: Spec, stage: World, fault: str) -> None:
    """A shared prefix computed once, copied for each request."""
    shared = 6
    parent = stage.cache(1)
    stage.call([[spec.token("prefix", i) for i in range(shared)]], cache=parent)
    for request, length in enumerate(spec.lengths):
        cache = stage.cache(1, parent)
        if not spec.told and not fault:
            cache.parent = 0
        lag = {"prefix_restart": -shared, "prefix_shift": -1}.get(fault, 0)
        for start, count in ((0, length), *((length + s, 1) for s in range(spec.steps))):
            row = [spec.token(request, shared + start + i, spec.start + shared + start + i + lag) for i in range(count)]
            stage.call([row], cache=cache)


def beams(spec: Spec, stage: World, fault: str) -> None:
    """Beam search: the rows of an item change places in the cache at every step."""
    rng = random.Random(spec.seed + 4)
    width = 3
    base_rows, base_masks = padded(spec, prompts(spec))
    rows = [row for row in base_rows for _ in range(width)]
    masks = [mask for mask in base_masks for _ in range(width)]
    cache = stage.cache(len(rows))
    stage.call(rows, cache=cache, mask=given(spec, masks))
    for step in range(spec.steps):
        origin = [item * width + rng.randrange(width) for item in range(len(spec.lengths)) for _ in range(width)]
        cache.rows = [list(cache.rows[i]) for i in origin]
        masks = [[*row, 1] for row in masks]
        one = []
        for r in range(len(rows)):
            token = decoded(spec, r // width, step, 0, fault if fault else "none")
            one.append([replace(token, uid=("beam", r, step))])
        stage.call(one, cache=cache, mask=given(spec, masks))


def packed(spec: Spec, stage: World, fault: str) -> None:
    """Several requests in one row, one after another."""
    row = [token for request in prompts(spec) for token in request]
    if fault == "not_reset":
        row = [replace(token, position=(spec.start + j,)) if token.position else token for j, token in enumerate(row)]
    mask = [[1] * len(row)] if fault == "not_isolated" else None
    declared = [spec.lengths] if spec.told or fault in ("not_reset",) else None
    stage.call([row], mask=mask, declared=declared, isolated=not fault)


def evict(spec: Spec, stage: World, fault: str) -> None:
    """The oldest keys leave a full cache. Positions run on, or go back and the kept keys are turned with them."""
    cache, position, index = stage.cache(1), spec.start, 0
    goes_back = bool(fault) or spec.seed % 2 == 0
    for step in range(spec.steps + 12):
        count = spec.lengths[0] if step == 0 else (1 if spec.chunk == 0 else spec.chunk)
        stage.call([[spec.token(0, index + i, position + i) for i in range(count)]], cache=cache)
        position, index, held = position + count, index + count, cache.tokens
        cache.evict(2, 12)
        gone = held - cache.tokens
        if goes_back and gone:
            position -= gone
            if fault != "not_turned":
                cache.turn(2, (spec.amount if fault == "turned_wrong" else 0) - gone)


def restored(spec: Spec, stage: World, fault: str) -> None:
    """A cache that leaves the device between the turns of a session and comes back: as it was, its slots in another
    order, or turned together with the positions. The fault: turned alone."""
    rng = random.Random(spec.seed + 7)
    cache, length, moved = stage.cache(1), 0, 0
    for turn in range(spec.steps):
        count = spec.lengths[0] if turn == 0 else spec.chunk or 1
        start = spec.start + moved + length
        stage.call([[spec.token(0, length + i, start + i) for i in range(count)]], cache=cache)
        length += count
        if fault or spec.seed % 3 == 0:
            cache.turn(0, spec.amount)
            moved += 0 if fault else spec.amount
        elif spec.seed % 3 == 1:
            cache.rows = [rng.sample(row, len(row)) for row in cache.rows]


def mrope(spec: Spec, stage: World, fault: str) -> None:
    """Text, an image, text, then decoding with the image's delta."""
    rng = random.Random(spec.seed + 5)
    high, wide = rng.randint(2, 4), rng.randint(2, 4)
    before, after = rng.randint(2, 6), rng.randint(3, 8)
    row, index = [], 0
    for _ in range(before):
        row.append(spec.token(0, index, (spec.shift + index,) * 3))
        index += 1
    origin = spec.shift + before
    for h in range(high):
        for w in range(wide):
            row.append(spec.token(0, index, (origin, origin + h, origin + w)))
            index += 1
    text = origin + max(high, wide)
    for i in range(after):
        row.append(spec.token(0, index, (text + i,) * 3))
        index += 1
    cache, following = stage.cache(1), text + after
    size = spec.chunk or len(row)
    for start in range(0, len(row), size):
        stage.call([row[start : start + size]], cache=cache)
    if fault == "delta_lost":
        following = spec.shift + len(row)
    for step in range(spec.steps):
        stage.call([[spec.token(0, index + step, (following + step,) * 3)]], cache=cache)


def slots(spec: Spec, stage: World, fault: str) -> None:
    """A rolling batch: a finished row's past is masked and a new request takes its place."""
    rng = random.Random(spec.seed + 6)
    rows, masks = padded(replace(spec, side="left"), prompts(spec))
    cache = stage.cache(len(rows))
    stage.call(rows, cache=cache, mask=masks)
    names, lengths = [(r, 0) for r in range(len(rows))], list(spec.lengths)
    for step in range(spec.steps):
        swap = rng.randrange(len(rows)) if step % 3 == 1 else None
        width = rng.randint(2, 6) if swap is not None else 1
        part, masks = [], [list(row) for row in masks]
        for r in range(len(rows)):
            count = width if r == swap else 1
            if r == swap:
                masks[r] = [0] * len(masks[r])
                names[r], lengths[r] = (r, step + 1), 0
            lag = spec.amount if fault == "row_shift" and r == 0 and names[0] == (0, 0) else 0
            tokens = [spec.token(names[r], lengths[r] + i, spec.start + lengths[r] + i + lag) for i in range(count)]
            part.append([*(spec.pad(r, (step, s)) for s in range(width - count)), *tokens])
            masks[r] += [0] * (width - count) + [1] * count
            lengths[r] += count
        stage.call(part, cache=cache, mask=masks)


FLOWS: dict[str, Callable[[Spec, World, str], None]] = {
    "score": score,
    "generate": generate,
    "speculate": speculate,
    "sessions": sessions,
    "prefix": prefix,
    "beams": beams,
    "packed": packed,
    "evict": evict,
    "restored": restored,
    "mrope": mrope,
    "slots": slots,
}


def faults_of(spec: Spec) -> tuple[str, ...]:
    """What can go wrong in this kind of traffic."""
    left = spec.side == "left" and len(set(spec.lengths)) > 1
    uneven = spec.side != "none" and len(set(spec.lengths)) > 1
    numbered, absolute, causal = spec.numbered, spec.profile.absolute, spec.profile.causal
    clear = uneven and max(spec.lengths) - min(spec.lengths) >= 3
    fresh = [
        ("left_counted", left and absolute),
        ("base_wrong", absolute),
        ("frozen", numbered),
        ("rounded", numbered and not spec.shift and max(spec.lengths) >= 12),
        ("swapped", left and numbered),
        ("one_row", left and numbered and not spec.shift and not spec.chunk),
        ("other_side", uneven and not left and numbered and not spec.shift and not spec.chunk),
        ("crafted", numbered),
        ("mask_missing", clear and (left or not causal)),
        ("mask_ones", clear and (left or not causal)),
        ("mask_inverted", uneven and max(spec.lengths) - min(spec.lengths) >= 2),
        ("mask_ignored", uneven and (left or not causal)),
        ("window_wide", spec.profile.window is not None and spec.side == "none"),
        ("window_narrow", spec.profile.window is not None and spec.side == "none"),
        ("future", causal and spec.side == "none"),
        ("blind", causal and spec.side == "none"),
        ("overflow", spec.profile.scheme == "learned"),
        (
            "too_long",
            spec.profile.scheme in ("rope", "sinusoidal") and spec.profile.window is None and not spec.bos_is_pad,
        ),
    ]
    decode = [
        ("decode_shift", numbered),
        ("decode_back", numbered),
        ("decode_shared", numbered and uneven),
        ("decode_restart", numbered),
        ("row_shift", numbered),
    ]
    streaming = [
        *decode,
        ("mask_dropped", uneven),
        ("mask_missing", clear and (left or not spec.chunk)),
        ("chunk_overlap", numbered and 0 < spec.chunk < max(spec.lengths)),
        *((name, fits) for name, fits in fresh if name not in ("mask_missing", "mask_inverted")),
    ]
    table = {
        "score": fresh,
        "generate": streaming,
        "speculate": [("no_crop", numbered), ("no_rewind", numbered), ("draft_shift", numbered)],
        "sessions": [("not_cleared", numbered)],
        "prefix": [("prefix_restart", numbered), ("prefix_shift", numbered)],
        "beams": decode,
        "packed": [
            ("not_reset", numbered and len(spec.lengths) > 1),
            ("not_isolated", numbered and len(spec.lengths) > 1),
        ],
        "evict": [("not_turned", True), ("turned_wrong", True)],
        "restored": [("turned_alone", True)],
        "mrope": [("delta_lost", True)],
        "slots": [("row_shift", numbered)],
    }
    return tuple(name for name, fits in table[spec.flow] if fits)


HARMFUL_BY_NATURE = frozenset({"overflow", "too_long"})


def changes_output(spec: Spec, fault: str) -> bool:
    """Whether any token sees something else than in the healthy run."""
    if fault in HARMFUL_BY_NATURE:
        return True
    healthy, faulty = run(spec).seen, run(spec, fault).seen
    return any(faulty.get(token) != seen for token, seen in healthy.items())
