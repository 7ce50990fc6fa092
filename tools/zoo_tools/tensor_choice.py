"""Which tensors of a checkpoint are written, under which names and in which type; and which of them are the same."""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from zoo.checkpoint import Checkpoint, DType, EncodedBytes, TensorPlan, TensorRecord, read_bytes
from zoo.checkpoint.aliases import RESERVED_KEYS, with_aliases
from zoo.checkpoint.describe import listed, quoted
from zoo.checkpoint.dtype_cast import CASTABLE, cast_bytes, require_rounding
from zoo.checkpoint.reading import stored_bytes
from zoo.checkpoint.writer import Piece
from zoo.errors import SaveError
from zoo_tools.elements import first_differences

__all__ = ["ChosenTensor", "TensorChoice", "choose_tensors"]


@dataclass(frozen=True, slots=True)
class ChosenTensor:
    """A tensor that is written. dtype: what it is written as, where that is not its own type."""

    record: TensorRecord
    dtype: DType


@dataclass(frozen=True, slots=True)
class TensorChoice:
    """What is written. tensors: by their new names. aliases: further names of tied tensors -> the name that is kept.

    dropped: names that the rules left out. renamed: old -> new name. unmatched: rules that fitted no tensor.
    """

    tensors: Mapping[str, ChosenTensor]
    aliases: Mapping[str, str]
    dropped: tuple[str, ...]
    renamed: Mapping[str, str]
    unmatched: tuple[str, ...]

    @property
    def plans(self) -> list[TensorPlan]:
        """The tensors as the writer plans them."""
        return [TensorPlan(name, chosen.dtype, chosen.record.shape) for name, chosen in self.tensors.items()]

    @property
    def cast(self) -> dict[str, int]:
        """How many tensors are rounded, e.g. {"F32 -> BF16": 12}."""
        return _counted(
            f"{chosen.record.dtype.name} -> {chosen.dtype.name}"
            for chosen in self.tensors.values()
            if chosen.dtype is not chosen.record.dtype
        )

    @property
    def decoded(self) -> dict[str, int]:
        """How many tensors are decoded, which can't be undone, e.g. {"Q4_K -> F32": 80}."""
        return _counted(
            f"{chosen.record.data.encoding} -> {chosen.record.dtype.name}"
            for chosen in self.tensors.values()
            if isinstance(chosen.record.data, EncodedBytes) and not chosen.record.data.exact
        )

    def source(self, name: str) -> Piece | Iterable[Piece]:
        """The bytes of a tensor (see TensorSource), as a range of its file where they lie there as they are to be."""
        chosen = self.tensors[name]
        if chosen.dtype is not chosen.record.dtype:
            return cast_bytes(chosen.record, chosen.dtype)
        stored = stored_bytes(chosen.record)
        return read_bytes(chosen.record) if stored is None else stored


def choose_tensors(
    checkpoint: Checkpoint,
    *,
    rename: Sequence[str] = (),
    drop: Sequence[str] = (),
    keep: Sequence[str] = (),
    dtype: DType | None = None,
    taken: Collection[str] = (),
) -> TensorChoice:
    r"""Apply the rules to the names of a checkpoint, those of tied tensors too.

    drop, keep: regular expressions for whole names. rename: "regex=template" for whole names, e.g. r"module\.(.*)=\1";
    of several the first that matches counts. taken: keys of the metadata, which no other name of a tensor can have.
    Raises SaveError for rules that are no regular expressions, for two tensors that get one name, and when no tensor is
    left. Tensors are tied when they are described alike and, unless both are one range of a file, hold the same bytes;
    of those few the elements are read.
    """
    rules = [_Rule.parse(text) for text in rename]
    kept = _Patterns("keep", keep)
    left_out = _Patterns("drop", drop)
    names: dict[str, str] = {}
    dropped = []
    records = with_aliases(checkpoint)
    for name in records:
        if (kept.given and not kept.match(name)) or left_out.match(name):
            dropped.append(name)
        else:
            names[name] = _renamed(name, rules)
    _refuse_collisions(names)
    if records and not names:
        raise SaveError("No tensor is left: the rules of --keep and --drop leave out all of them.")
    tensors: dict[str, ChosenTensor] = {}
    aliases: dict[str, str] = {}
    first: dict[Hashable, str] = {}
    for old, new in names.items():
        record = records[old]
        key = _identity(record)
        may_be_alias = key in first and new not in RESERVED_KEYS and new not in taken
        if may_be_alias and _holds_the_same(record, tensors[first[key]].record):
            aliases[new] = first[key]
            continue
        if key is not None:
            first.setdefault(key, new)
        tensors[new] = ChosenTensor(record, _written_as(record, dtype))
    if any(chosen.dtype is not chosen.record.dtype for chosen in tensors.values()):
        require_rounding()
    return TensorChoice(
        tensors,
        aliases,
        tuple(dropped),
        {old: new for old, new in names.items() if old != new},
        (*kept.unmatched(), *left_out.unmatched(), *(rule.text for rule in rules if not rule.used)),
    )


@dataclass(slots=True)
class _Rule:
    text: str
    pattern: re.Pattern[str]
    template: str
    used: bool = False

    @classmethod
    def parse(cls, text: str) -> _Rule:
        pattern, separator, template = text.rpartition("=")
        if not separator or not pattern:
            raise SaveError(
                f"--rename {text!r}: expected 'regex=template'.",
                hint=r"For instance 'module\.(.*)=\1', which takes a leading 'module.' away.",
            )
        return cls(text, _compiled("rename", pattern), template)

    def apply(self, name: str) -> str | None:
        match = self.pattern.fullmatch(name)
        if match is None:
            return None
        try:
            new = match.expand(self.template)
        except (re.error, IndexError) as error:
            raise SaveError(f"--rename {self.text!r}: the template {self.template!r} is not valid: {error}.") from error
        if not new:
            raise SaveError(f"--rename {self.text!r}: {quoted(name)} would get a name without a character.")
        self.used = True
        return new


class _Patterns:
    def __init__(self, option: str, patterns: Iterable[str]) -> None:
        self._unused = {text: _compiled(option, text) for text in patterns}
        self._all = dict(self._unused)
        self.given = bool(self._all)

    def match(self, name: str) -> bool:
        matching = [text for text, pattern in self._all.items() if pattern.fullmatch(name)]
        for text in matching:
            self._unused.pop(text, None)
        return bool(matching)

    def unmatched(self) -> tuple[str, ...]:
        return tuple(self._unused)


def _compiled(option: str, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise SaveError(f"--{option} {text!r} is no regular expression: {error}.") from error


def _renamed(name: str, rules: Iterable[_Rule]) -> str:
    for rule in rules:
        new = rule.apply(name)
        if new is not None:
            return new
    return name


def _refuse_collisions(names: Mapping[str, str]) -> None:
    origins: dict[str, list[str]] = {}
    for old, new in names.items():
        origins.setdefault(new, []).append(old)
    collisions = [
        f"{' and '.join(map(quoted, olds))} -> {quoted(new)}" for new, olds in origins.items() if len(olds) > 1
    ]
    if collisions:
        raise SaveError(f"Several tensors would get the same name: {listed(collisions)}.")


def _identity(record: TensorRecord) -> Hashable:
    """What two names of one tensor have in common; None for what is empty, which is nowhere and so no one's."""
    return (record.data, record.dtype, record.shape) if record.elements else None


def _holds_the_same(record: TensorRecord, kept: TensorRecord) -> bool:
    """Whether a tensor can be left out for another one. A description alike is no proof where elements are decoded."""
    stored = stored_bytes(record)
    if stored is not None and stored == stored_bytes(kept):
        return True
    return first_differences([(record, kept)]) == [None]


def _written_as(record: TensorRecord, dtype: DType | None) -> DType:
    return dtype if dtype is not None and record.dtype in CASTABLE else record.dtype


def _counted(items: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for item in items:
        counts[item] = counts.get(item, 0) + 1
    return counts
