"""Which special and added tokens a tokenizer has, gathered from all the files and spellings that may say so.

The rules are those of the Hub's reference (transformers 5): with `added_tokens_decoder` in tokenizer_config.json that
file decides alone; without it special_tokens_map.json, added_tokens.json and tokenizer.json are read besides.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken

from zoo.errors import PreprocessorError
from zoo.preprocess.tokenizer_files import TokenizerFiles

__all__ = ["SpecialTokens", "gather_special_tokens"]

_ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")

Token = str | AddedToken


@dataclass(frozen=True)
class SpecialTokens:
    """roles: the text of the token for each role ("eos_token"). to_add: what the tokenizer is to be given, in order."""

    roles: Mapping[str, str]
    to_add: tuple[AddedToken, ...]


def gather_special_tokens(
    files: TokenizerFiles, own: Mapping[int, AddedToken], present: Collection[str], defaults: Mapping[str, str]
) -> SpecialTokens:
    """own: the added tokens of tokenizer.json. present: the texts of those that the tokenizer has already.

    defaults: what fills a role that no file fills.
    """
    settings = dict(files.config)
    _rename(settings)
    if "added_tokens_decoder" in settings:
        added = _added_tokens(files, settings["added_tokens_decoder"])
    else:
        _merge_special_tokens_map(files, settings)
        added = {**_older_added_tokens(files, settings), **own}
        settings.setdefault("extra_special_tokens", settings.get("additional_special_tokens"))
    settings = {**defaults, **settings}

    roles = _roles(files, settings)
    to_add = [added[index] for index in sorted(added)]
    known = {*present, *(token.content for token in to_add)}
    for token in (*roles.values(), *_extra(files, settings)):
        if str(token) not in known:
            known.add(str(token))
            to_add.append(AddedToken(token, special=True) if isinstance(token, str) else token)
    texts = {role: str(token) for role, token in roles.items()}
    for new in to_add:
        new.special = new.special or new.content in texts.values()
    return SpecialTokens(texts, tuple(to_add))


def _rename(settings: dict[str, Any]) -> None:
    """`additional_special_tokens` was the name of `extra_special_tokens` until transformers 5."""
    if "additional_special_tokens" in settings and not settings.get("extra_special_tokens"):
        settings["extra_special_tokens"] = settings.pop("additional_special_tokens")


def _merge_special_tokens_map(files: TokenizerFiles, settings: dict[str, Any]) -> None:
    for key, value in files.special_tokens.items():
        if isinstance(value, dict) and key != "extra_special_tokens":
            settings[key] = {**value, "special": True}
        elif key == "extra_special_tokens" and isinstance(value, list):
            settings[key] = [*(settings.get(key) or []), *value]
        else:
            settings[key] = value


def _added_tokens(files: TokenizerFiles, values: Any) -> dict[int, AddedToken]:
    place = files.place("tokenizer_config.json")
    if not isinstance(values, dict):
        raise PreprocessorError(
            f"{place}: field 'added_tokens_decoder': an object was expected; found {type(values).__name__}."
        )
    added = {}
    for key, value in values.items():
        token = _token(value, f"{place}: field 'added_tokens_decoder'[{key!r}]")
        if not key.isdecimal() or not isinstance(token, AddedToken):
            raise PreprocessorError(
                f"{place}: field 'added_tokens_decoder': token ids with an object each were expected; "
                f"found {key!r}: {value!r}."
            )
        added[int(key)] = token
    return added


def _older_added_tokens(files: TokenizerFiles, settings: Mapping[str, Any]) -> dict[int, AddedToken]:
    """added_tokens.json: text -> id; what is special among them is known from the roles."""
    special = {str(token) for role, token in _roles(files, settings).items() if role in _ROLES}
    special.update(str(token) for token in _extra(files, settings))
    added = {}
    for text, index in files.added_tokens.items():
        if not isinstance(index, int):
            raise PreprocessorError(
                f"{files.place('added_tokens.json')}: {text!r}: a token id was expected; found {index!r}."
            )
        added[index] = AddedToken(text, normalized=text not in special, special=text in special)
    return added


def _roles(files: TokenizerFiles, settings: Mapping[str, Any]) -> dict[str, Token]:
    """The tokens under "*_token", and those that `extra_special_tokens` names; new ones get ids in this order."""
    place = files.place("tokenizer_config.json")
    roles = {
        role: _token(settings[role], f"{place}: field '{role}'") for role in _ROLES if settings.get(role) is not None
    }
    for key, value in settings.items():
        if key.endswith("_token") and key not in _ROLES and isinstance(value, (str, dict)):
            roles[key] = _token(value, f"{place}: field '{key}'")
    extra = settings.get("extra_special_tokens")
    if isinstance(extra, dict):
        roles.update(
            {key: _token(value, f"{place}: field 'extra_special_tokens'[{key!r}]") for key, value in extra.items()}
        )
    return roles


def _extra(files: TokenizerFiles, settings: Mapping[str, Any]) -> list[Token]:
    value = settings.get("extra_special_tokens") or []
    place = f"{files.place('tokenizer_config.json')}: field 'extra_special_tokens'"
    if isinstance(value, dict):
        return []
    if not isinstance(value, list):
        raise PreprocessorError(f"{place}: a list or an object was expected; found {type(value).__name__}.")
    return [_token(item, f"{place}[{index}]") for index, item in enumerate(value)]


def _token(value: Any, place: str) -> Token:
    """A token: its text, or an object with its text under 'content' and its flags."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and isinstance(value.get("content"), str):
        flags = {key: flag for key, flag in value.items() if key in _FLAGS}
        if all(isinstance(flag, bool) for flag in flags.values()):
            return AddedToken(value["content"], **flags)
    raise PreprocessorError(
        f"{place}: a token was expected, as a string or as an object with 'content' and flags; found {value!r}."
    )
