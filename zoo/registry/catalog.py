"""One kind of contribution: name -> entry, with aliases and full names, and without guessing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Generic

from zoo.errors import InvalidInput, NameNotFound
from zoo.plugins.discovery import normalise
from zoo.plugins.records import Entry, S
from zoo.registry.names import NOUNS, ambiguous_name, with_article

__all__ = ["Catalog", "only"]


class Catalog(Generic[S]):
    """The architectures, or the heads, and so on, of all plugins.

    A bare name means the only entry with that name or alias. Entries marked as fallback count only where no other
    claims the name; a preference for a distribution decides between several. A full name ("zoo-llama:llama") means the
    entry of that distribution. What is left undecided raises AmbiguousName, whatever order the entries came in.
    """

    def __init__(
        self,
        kind: str,
        entries: Iterable[Entry[S]],
        *,
        prefer: Mapping[str, str],
        unknown: Callable[[str, str], NameNotFound],
    ) -> None:
        """kind: "architectures" and so on. prefer: name -> distribution. unknown: (kind, name) -> the error."""
        self.kind = kind
        self._prefer = prefer
        self._unknown = unknown
        self._entries: tuple[Entry[S], ...] = ()
        self._claims: Mapping[str, Sequence[Entry[S]]] = {}
        self.replace(entries)

    def get(self, name: str) -> Entry[S]:
        """The entry of a name, alias or full name. Raises NameNotFound or AmbiguousName."""
        entry = self.find(name)
        if entry is None:
            raise self._unknown(self.kind, name)
        return entry

    def find(self, name: str) -> Entry[S] | None:
        """Like `get`, but None for a name that nothing goes by."""
        if not isinstance(name, str):
            raise InvalidInput(
                f"The name of {with_article(NOUNS[self.kind])} is a text; found {type(name).__name__} {name!r}."
            )
        distribution, _, bare = name.rpartition(":")
        claims = self._claims.get(bare, ())
        if distribution:
            claims = [entry for entry in claims if entry.distribution == normalise(distribution)]
        return only(f"{NOUNS[self.kind]} name", bare, claims, self._prefer.get(bare))

    def meant_by(self, distribution: str, name: str) -> Entry[S]:
        """The entry that a spec of a distribution means by a name: its own before any other, so that a second claimant
        of the bare name is no obstacle. Raises NameNotFound or AmbiguousName.
        """
        own = self.find(f"{distribution}:{name}") if ":" not in name else None
        return own if own is not None else self.get(name)

    def entries(self) -> tuple[Entry[S], ...]:
        """All entries, sorted by name and then by distribution."""
        return self._entries

    def names(self) -> frozenset[str]:
        """All names and aliases, without distributions."""
        return frozenset(self._claims)

    def replace(self, entries: Iterable[Entry[S]]) -> None:
        """Hold these entries instead. Who reads meanwhile, in another thread, finds the old ones or the new."""
        self._entries = tuple(sorted(entries, key=_order))
        claims: dict[str, list[Entry[S]]] = {}
        for entry in self._entries:
            for name in dict.fromkeys((entry.spec.name, *entry.spec.aliases)):
                claims.setdefault(name, []).append(entry)
        self._claims = claims

    def __iter__(self) -> Iterator[Entry[S]]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"Catalog({self.kind}: {', '.join(entry.full_name for entry in self)})"


def _order(entry: Entry[S]) -> tuple[str, ...]:
    return entry.spec.name, entry.distribution, entry.plugin, *entry.spec.aliases


def only(what: str, name: str, claims: Sequence[Entry[S]], preferred: str | None) -> Entry[S] | None:
    """The one entry among the claims to a name, or None if there are none. Raises AmbiguousName.

    what: what is claimed, for the message, e.g. "architecture name". preferred: a distribution that decides between
    several; it may name a fallback.
    """
    if len(claims) > 1 and preferred is not None:
        of_preferred = [entry for entry in claims if entry.distribution == preferred]
        if len(of_preferred) == 1:
            return of_preferred[0]
    strongest = [entry for entry in claims if not entry.spec.fallback] or claims
    if len(strongest) > 1:
        raise ambiguous_name(what, name, strongest, preferred)
    return strongest[0] if strongest else None
