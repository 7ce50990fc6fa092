"""The text preprocessor: prompts and chats to token ids, and ids back to text, as the Hub's reference does it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self

from zoo.checkpoint.files import ModelFiles
from zoo.errors import InvalidInput, MissingDependency, TemplateError
from zoo.installing import install_hint
from zoo.preprocess.cleanup import clean_up_spaces
from zoo.preprocess.prompts import ChatPrompts
from zoo.preprocess.stream import StreamDecoder
from zoo.preprocess.tokenizer_files import TokenizerFiles, read_tokenizer_files
from zoo.registry import resolve_object

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

    from zoo.preprocess.tokenizer_backend import Backend

__all__ = ["TextItem", "TextPreprocessor"]

_PROBE = "the-reply-that-no-template-holds"


@dataclass(frozen=True)
class TextItem:
    """A prompt, ready to be collated: its text, after the chat template if it was a chat, and its token ids."""

    text: str
    ids: tuple[int, ...]


class TextPreprocessor:
    """A tokenizer and its chat templates.

    Ids, texts and prompts are those of transformers 5 for the same directory; `files` gives back what was read, byte
    for byte.
    """

    def __init__(
        self, files: TokenizerFiles, backend: Backend, *, padding_side: Literal["left", "right"] = "left"
    ) -> None:
        self.padding_side = padding_side
        self._files = files
        self._tokenizer: Tokenizer = backend.tokenizer
        self._roles = dict(backend.roles)
        self._cleans_up = backend.cleans_up
        self._prompts = ChatPrompts(files.location, files.templates, backend.roles)

    @classmethod
    def from_files(cls, files: ModelFiles, config: Mapping[str, Any]) -> Self | None:
        """Build from the Hub's files; None when there are none. config: the contents of config.json.

        Raises PreprocessorError for a vocabulary that is not in tokenizer.json, and for broken files.
        """
        found = read_tokenizer_files(files)
        if found is None:
            return None
        return cls(found, resolve_object("zoo.preprocess.tokenizer_backend:build_backend")(found, config))

    # ---- text and ids

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Token ids of a text. add_special_tokens: with those that the tokenizer puts before or after it."""
        return list(self._encode(text, add_special_tokens).ids)

    def encode_batch(self, texts: Sequence[str], *, add_special_tokens: bool = True) -> list[list[int]]:
        """Token ids of many texts, in parallel."""
        checked = [_text(text, f"texts[{index}]") for index, text in enumerate(texts)]
        return [
            list(encoding.ids)
            for encoding in self._tokenizer.encode_batch(checked, add_special_tokens=add_special_tokens)
        ]

    def decode(self, ids: Iterable[int], *, skip_special_tokens: bool = True) -> str:
        """The text of token ids (a list or a tensor). Ids without a token, as in a padded vocabulary, add nothing."""
        values = ids.tolist() if hasattr(ids, "tolist") else list(ids)
        try:
            text: str = self._tokenizer.decode(values, skip_special_tokens=skip_special_tokens)
        except OverflowError as error:
            raise InvalidInput("Token ids to decode must be between 0 and 2**32 - 1.") from error
        return clean_up_spaces(text) if self._cleans_up else text

    def stream_decoder(self, *, skip_special_tokens: bool = True) -> StreamDecoder:
        """Decodes ids as they come: `push(id)` gives the text that is settled, `finish()` the rest."""
        tokenizer, special = self._tokenizer, self.special_token_ids

        def skipped(token: int) -> bool:
            return (skip_special_tokens and token in special) or tokenizer.id_to_token(token) is None

        def decode(ids: Sequence[int]) -> str:
            text: str = tokenizer.decode(ids, skip_special_tokens=False)
            return text

        return StreamDecoder(decode, skipped=skipped, clean_up=self._cleans_up)

    def _encode(self, text: str, add_special_tokens: bool) -> Encoding:
        return self._tokenizer.encode(_text(text, "The text"), add_special_tokens=add_special_tokens)

    # ---- chats

    @property
    def chat_templates(self) -> Mapping[str, str]:
        """The sources of the chat templates by name; the usual one is "default"."""
        return self._prompts.templates

    def apply_chat_template(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        add_generation_prompt: bool = True,
        tools: Sequence[Mapping[str, Any]] | None = None,
        documents: Sequence[Mapping[str, Any]] | None = None,
        template: str | None = None,
        **variables: Any,
    ) -> str:
        """The prompt that a chat makes.

        messages: each with a `role` and `content`. tools: JSON schemas. template: the name of one of `chat_templates`,
        or jinja2 source. variables: what else the template shall see. Raises InvalidInput for messages that are none,
        TemplateError for a template that is missing or fails.
        """
        return self._prompts.render(
            messages,
            add_generation_prompt=add_generation_prompt,
            tools=tools,
            documents=documents,
            template=template,
            **variables,
        ).text

    def encode_chat(self, messages: Sequence[Mapping[str, Any]], **options: Any) -> list[int]:
        """Token ids of the prompt that `apply_chat_template` makes, which brings its own special tokens."""
        return self.encode(self.apply_chat_template(messages, **options), add_special_tokens=False)

    def encode_chat_with_mask(
        self, messages: Sequence[Mapping[str, Any]], *, add_generation_prompt: bool = False, **options: Any
    ) -> tuple[list[int], list[int]]:
        """Token ids of a conversation, and 1 for each that the assistant wrote, as `{% generation %}` marks them."""
        rendered = self._prompts.render(messages, add_generation_prompt=add_generation_prompt, **options)
        encoding = self._encode(rendered.text, add_special_tokens=False)
        mask = [0] * len(encoding.ids)
        for start, end in rendered.generations:
            first, last = encoding.char_to_token(start), encoding.char_to_token(end - 1)
            if first is not None:
                stop = len(mask) if last is None else last + 1
                mask[first:stop] = [1] * (stop - first)
        return list(encoding.ids), mask

    def end_of_turn_ids(self) -> frozenset[int]:
        """The id of the token with which the chat template ends the assistant's turn; empty when there is none."""
        return self._end_of_turn_ids

    @cached_property
    def _end_of_turn_ids(self) -> frozenset[int]:
        if not self.chat_templates:
            return frozenset()
        probe = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": _PROBE}]
        try:
            text = self.apply_chat_template(probe, add_generation_prompt=False)
        except TemplateError:  # it wants other messages than these, and nothing is known of its turns
            return frozenset()
        _, found, rest = text.rpartition(_PROBE)
        marks = self._turn_marks()
        following = [token for token in self.encode(rest, add_special_tokens=False) if token in marks] if found else []
        return frozenset(following[:1])

    def _turn_marks(self) -> frozenset[int]:
        """What may end a turn: special tokens, and other added ones that are not white space, as some models have."""
        added = self._tokenizer.get_added_tokens_decoder()
        return frozenset(index for index, token in added.items() if token.special or not token.content.isspace())

    # ---- batches

    def __call__(
        self,
        items: Sequence[str | Sequence[Mapping[str, Any]]],
        *,
        add_special_tokens: bool = True,
        **chat_options: Any,
    ) -> list[TextItem]:
        """Texts, and chats (lists of messages), to items with ids.

        chat_options: those of `apply_chat_template`. Raises InvalidInput naming an item that can't be used.
        """
        if isinstance(items, (str, Mapping)):
            raise InvalidInput(
                f"A list of texts or chats was expected; found one {type(items).__name__}. Put it in a list."
            )
        if "messages" in chat_options:
            raise InvalidInput("messages: no option of a chat; each item is itself a list of messages.")
        return [self._item(index, item, add_special_tokens, chat_options) for index, item in enumerate(items)]

    def _item(self, index: int, item: Any, add_special_tokens: bool, chat_options: Mapping[str, Any]) -> TextItem:
        if isinstance(item, Mapping):
            raise InvalidInput(
                f"items[{index}] is one message; a text, or a chat, which is a list of messages, was expected.",
                hint="Wrap the messages once more: [[{'role': 'user', 'content': 'Hello'}]].",
            )
        if isinstance(item, str):
            if chat_options:
                raise InvalidInput(
                    f"items[{index}] is a text; {', '.join(chat_options)}: only chats take these options."
                )
            text = item
        else:
            try:
                text = self.apply_chat_template(item, **chat_options)
            except InvalidInput as error:
                raise InvalidInput(f"items[{index}]: {error.message}", hint=error.hint) from error
            add_special_tokens = False
        ids = self._tokenizer.encode(_text(text, f"items[{index}]"), add_special_tokens=add_special_tokens).ids
        if not ids:
            raise InvalidInput(f"items[{index}] is an empty prompt: it has no tokens, so there is nothing to continue.")
        return TextItem(text, tuple(ids))

    def collate(self, items: Sequence[TextItem]) -> dict[str, Any]:
        """`input_ids` (batch, length), padded at `padding_side`; `attention_mask`, 1 where real, None where all are."""
        if not items:
            raise InvalidInput("There are no items to collate.")
        try:
            import torch
        except ImportError as error:
            raise MissingDependency(
                "Batches are torch tensors, and torch is not installed.", hint=install_hint("torch")
            ) from error

        length = max(len(item.ids) for item in items)
        input_ids = torch.full((len(items), length), self._padding_id, dtype=torch.long)
        attention_mask = torch.zeros(len(items), length, dtype=torch.long)
        for row, item in enumerate(items):
            columns = slice(length - len(item.ids), None) if self.padding_side == "left" else slice(len(item.ids))
            input_ids[row, columns] = torch.tensor(item.ids)
            attention_mask[row, columns] = 1
        padded = any(len(item.ids) < length for item in items)
        return {"input_ids": input_ids, "attention_mask": attention_mask if padded else None}

    def postprocess(self, output: Iterable[Any], items: Sequence[TextItem]) -> list[str]:
        """The texts of generated token ids (lists or tensors), one per item."""
        rows = list(output)
        if len(rows) != len(items):
            raise InvalidInput(f"There are {len(rows)} outputs for {len(items)} items.")
        return [self.decode(row) for row in rows]

    # ---- tokens

    @property
    def vocab_size(self) -> int:
        """How many tokens there are, the added ones among them. A model's embedding may have more rows."""
        size: int = self._tokenizer.get_vocab_size(with_added_tokens=True)
        return size

    @property
    def special_tokens(self) -> Mapping[str, str]:
        """Roles to texts: {"eos_token": "</s>", ...}."""
        return dict(self._roles)

    @cached_property
    def special_token_ids(self) -> frozenset[int]:
        """The ids that `decode` leaves out by default."""
        return frozenset(index for index, token in self._tokenizer.get_added_tokens_decoder().items() if token.special)

    @property
    def bos_token_id(self) -> int | None:
        """The token at the beginning of a text."""
        return self._role_id("bos_token")

    @property
    def eos_token_id(self) -> int | None:
        """The token at the end of a text. `generation_config.json` may name others besides."""
        return self._role_id("eos_token")

    @property
    def unk_token_id(self) -> int | None:
        """The token for what the vocabulary has no other for."""
        return self._role_id("unk_token")

    @property
    def pad_token_id(self) -> int | None:
        """The padding token, if the tokenizer has one; `collate` does without."""
        return self._role_id("pad_token")

    @property
    def _padding_id(self) -> int:
        candidates = (self.pad_token_id, self.eos_token_id, 0)
        return next(index for index in candidates if index is not None)

    def _role_id(self, role: str) -> int | None:
        token = self._roles.get(role)
        index: int | None = None if token is None else self._tokenizer.token_to_id(token)
        return index

    # ---- files

    def files(self) -> dict[str, bytes]:
        """The files to save beside the weights, as they were read."""
        return dict(self._files.contents)

    def __repr__(self) -> str:
        return f"TextPreprocessor({self._files.location!r}, vocab_size={self.vocab_size})"


def _text(value: Any, place: str) -> str:
    """The value, if it is text that can be encoded."""
    if not isinstance(value, str):
        raise InvalidInput(f"{place} is a value of type {type(value).__name__}; a str was expected.")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"{place} holds half of a character (a lone surrogate) at position {error.start}; it is not valid Unicode."
        ) from error
    return value
