"""What has been said in a chat."""

from __future__ import annotations

__all__ = ["Conversation", "Message"]

Message = dict[str, str]
"""{"role": ..., "content": ...}."""


class Conversation:
    """The turns of a chat. system: a message that comes before all of them; None for none. It outlives `reset`."""

    def __init__(self, system: str | None = None) -> None:
        self.system = system
        self._turns: list[Message] = []

    def asking(self, message: str) -> list[Message]:
        """The messages for the model, with this one of the user at the end; it is not kept until it has an answer."""
        first = [] if self.system is None else [{"role": "system", "content": self.system}]
        return [*first, *self._turns, {"role": "user", "content": message}]

    def add(self, message: str, reply: str) -> None:
        """Keep a message and its reply. Neither is kept when nothing was replied, so that it can be asked again."""
        if reply:
            self._turns += [{"role": "user", "content": message}, {"role": "assistant", "content": reply}]

    def reset(self) -> None:
        """Forget all turns."""
        self._turns.clear()
