"""The Hub's files that make a text preprocessor, as they were read: tokenizer, its configuration, chat templates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.checkpoint.files import ModelFiles, read_json
from zoo.errors import MalformedCheckpoint, PreprocessorError

__all__ = ["TokenizerFiles", "read_tokenizer_files", "tokenizer_file_names"]

_TOKENIZER = "tokenizer.json"
_CONFIG = "tokenizer_config.json"
_SPECIAL_TOKENS = "special_tokens_map.json"
_ADDED_TOKENS = "added_tokens.json"
_TEMPLATE = "chat_template.jinja"
_TEMPLATE_FOLDER = "additional_chat_templates/"
_USUAL_TEMPLATES = ("rag", "tool_use")  # read by name, since a listing of files need not go into folders

# Other forms of a vocabulary. They are kept when a model is saved, for the programs that read them.
_VOCABULARIES = (
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "tekken.json",
    "tiktoken.model",
)

_NAMES = (_TOKENIZER, _CONFIG, _SPECIAL_TOKENS, _ADDED_TOKENS, _TEMPLATE, *_VOCABULARIES)
_READ_BY_OTHERS = ("chat_template.json",)


@dataclass(frozen=True, kw_only=True)
class TokenizerFiles:
    """What was read. location: for messages. contents: each file's bytes, by name.

    config: tokenizer_config.json. special_tokens, added_tokens: the older files that a tokenizer_config.json with
    `added_tokens_decoder` made superfluous. templates: chat templates by name; the usual one is "default".
    """

    location: str
    contents: Mapping[str, bytes]
    config: Mapping[str, Any]
    special_tokens: Mapping[str, Any]
    added_tokens: Mapping[str, Any]
    templates: Mapping[str, str]

    @property
    def tokenizer(self) -> bytes:
        """tokenizer.json."""
        return self.contents[_TOKENIZER]

    def place(self, name: str = _TOKENIZER) -> str:
        """A file, for messages."""
        return f"{self.location}: {name}"


def read_tokenizer_files(files: ModelFiles) -> TokenizerFiles | None:
    """Read all of them; None when there are none.

    Raises PreprocessorError for a vocabulary without tokenizer.json, and for files that are not what they should be.
    """
    names = [*_NAMES, *_template_names(files)]
    contents = {name: content for name in names if (content := files.read(name)) is not None}
    if not contents:
        return None
    if _TOKENIZER not in contents:
        raise PreprocessorError(
            f"{files.location}: there is {', '.join(contents)}, but no {_TOKENIZER}, which is what zoo reads.",
            hint="Make it with transformers: AutoTokenizer.from_pretrained(directory).save_pretrained(directory).",
        )
    config = _read_object(files, _CONFIG)
    return TokenizerFiles(
        location=files.location,
        contents=contents,
        config=config,
        special_tokens=_read_object(files, _SPECIAL_TOKENS),
        added_tokens=_read_object(files, _ADDED_TOKENS),
        templates=_template_files(files.location, contents) or _config_templates(files.location, config),
    )


def tokenizer_file_names(directory: Path) -> tuple[str, ...]:
    """The names of all that belongs to a tokenizer in a directory, whether it is there or not: what must not stay there
    when another tokenizer is written.
    """
    templates = (f"{_TEMPLATE_FOLDER}{path.name}" for path in (directory / _TEMPLATE_FOLDER).glob("*.jinja"))
    return (*_NAMES, *_READ_BY_OTHERS, *sorted(templates))


def _template_names(files: ModelFiles) -> list[str]:
    listed = [name for name in files.names() if name.startswith(_TEMPLATE_FOLDER) and name.endswith(".jinja")]
    return sorted({*listed, *(f"{_TEMPLATE_FOLDER}{name}.jinja" for name in _USUAL_TEMPLATES)})


def _template_files(location: str, contents: Mapping[str, bytes]) -> dict[str, str]:
    templates = {}
    for name, content in contents.items():
        if name == _TEMPLATE or name.startswith(_TEMPLATE_FOLDER):
            key = "default" if name == _TEMPLATE else name.removeprefix(_TEMPLATE_FOLDER).removesuffix(".jinja")
            try:
                templates[key] = content.decode("utf-8")
            except UnicodeDecodeError as error:
                raise PreprocessorError(f"{location}: {name} is not UTF-8: {error}.") from error
    return templates


def _config_templates(location: str, config: Mapping[str, Any]) -> dict[str, str]:
    """The field `chat_template`: a string, or a list of {"name": ..., "template": ...}."""
    value = config.get("chat_template")
    if value is None:
        return {}
    if isinstance(value, str):
        return {"default": value}
    entries = value if isinstance(value, list) else [value]
    templates = {}
    for entry in entries:
        name, template = (entry.get("name"), entry.get("template")) if isinstance(entry, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(template, str):
            raise PreprocessorError(
                f"{location}: {_CONFIG}: field 'chat_template': a string, or a list of objects with the strings 'name' "
                f"and 'template', was expected; found {type(entry).__name__}."
            )
        templates[name] = template
    return templates


def _read_object(files: ModelFiles, name: str) -> dict[str, Any]:
    try:
        return read_json(files, name) or {}
    except MalformedCheckpoint as error:
        raise PreprocessorError(error.message, hint=error.hint) from error
