"""What a preprocessor_config.json says: how an image is resized, cropped, scaled, normalised and padded. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, TypeGuard

from zoo.errors import PreprocessorError
from zoo.preprocess.image_geometry import Size

__all__ = ["IMAGE_FILE", "ImageSettings", "ResizeRule", "read_image_settings"]

IMAGE_FILE = "preprocessor_config.json"
"""The Hub's file."""

Triple = tuple[float, float, float]

_HALF: Triple = (0.5, 0.5, 0.5)
_IMAGENET: tuple[Triple, Triple] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CLIP: tuple[Triple, Triple] = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))

_NEAREST, _LANCZOS, _BILINEAR, _BICUBIC, _BOX, _HAMMING = range(6)


@dataclass(frozen=True, kw_only=True)
class ResizeRule:
    """The size that an image is brought to.

    kind "exact": height x width. "shortest_edge": the shorter edge becomes `height`, and the other follows, to at most
    `width` unless that is 0. "within": the largest of the same shape in height x width. "multiple": height x width
    rounded to multiples of `multiple`; with `keep_shape`, the edge that changes least decides the scale of both (DPT).
    """

    kind: Literal["exact", "shortest_edge", "within", "multiple"]
    height: int
    width: int = 0
    multiple: int = 1
    keep_shape: bool = False

    def target(self, size: Size) -> Size:
        """The new height and width of an image of this size, rounded as the reference rounds them."""
        match self.kind:
            case "exact":
                return self.height, self.width
            case "shortest_edge":
                return self._by_shortest_edge(size)
            case "within":
                scale = min(self.height / size[0], self.width / size[1])
                return int(size[0] * scale), int(size[1] * scale)
            case "multiple":
                return self._by_multiple(size)

    def _by_shortest_edge(self, size: Size) -> Size:
        short, long = sorted(size)
        edge: float = self.height
        if self.width and long / short * edge > self.width:
            edge = self.width * short / long
        new_short = round(edge)
        if short == new_short and self.width:
            new_long = long
        else:
            new_long = int(edge * long / short)
        return (new_long, new_short) if size[1] <= size[0] else (new_short, new_long)

    def _by_multiple(self, size: Size) -> Size:
        scale_height, scale_width = self.height / size[0], self.width / size[1]
        if self.keep_shape:
            fits_width = abs(1 - scale_width) < abs(1 - scale_height)
            scale_height = scale_width = scale_width if fits_width else scale_height
        return self._rounded(scale_height * size[0]), self._rounded(scale_width * size[1])

    def _rounded(self, length: float) -> int:
        return round(length / self.multiple) * self.multiple


@dataclass(frozen=True, kw_only=True)
class ImageSettings:
    """The steps, in their order; None leaves a step out. The defaults are those of ViT.

    whiten: whether transparency is put on white; otherwise it is dropped. resample: Pillow's number of a filter.
    rescale: what 8-bit values are multiplied by. mean, std: per channel, of rescaled values. pad: to this size, with
    zeros on the right and below. pad_multiple: to multiples of it, with zeros on all sides.
    """

    whiten: bool = False
    resize: ResizeRule | None = ResizeRule(kind="exact", height=224, width=224)
    resample: int = _BILINEAR
    crop: Size | None = None
    rescale: float | None = 1 / 255
    normalise: tuple[Triple, Triple] | None = (_HALF, _HALF)
    pad: Size | None = None
    pad_multiple: int | None = None


@dataclass(frozen=True, kw_only=True)
class _Family:
    """What a class of image processors takes for what its file leaves out, and which steps it has.

    multiples: whether sizes are rounded to multiples.
    """

    size: Mapping[str, int]
    normalise: tuple[Triple, Triple]
    resample: int
    crop: int | None = None
    crops: bool = False
    can_crop: bool = True
    square: bool = True
    whiten: bool = False
    pads: Literal["never", "to size", "to multiples"] = "to size"
    multiples: bool = False


def _square(length: int) -> Mapping[str, int]:
    return MappingProxyType({"height": length, "width": length})


_SHORTEST_224: Mapping[str, int] = MappingProxyType({"shortest_edge": 224})

_OF_CLIP = _Family(
    size=_SHORTEST_224, normalise=_CLIP, resample=_BICUBIC, crop=224, crops=True, square=False, whiten=True
)
_FAMILIES: Mapping[str, _Family] = MappingProxyType(
    {
        "ViT": _Family(size=_square(224), normalise=(_HALF, _HALF), resample=_BILINEAR),
        "DeiT": _Family(size=_square(256), normalise=(_HALF, _HALF), resample=_BICUBIC, crop=224, crops=True),
        "Beit": _Family(size=_square(224), normalise=(_HALF, _HALF), resample=_BICUBIC, crop=224, pads="never"),
        "Bit": _OF_CLIP,
        "CLIP": _OF_CLIP,
        "Segformer": _Family(size=_square(512), normalise=_IMAGENET, resample=_BILINEAR, can_crop=False, pads="never"),
        "DPT": _Family(
            size=_square(384),
            normalise=(_HALF, _HALF),
            resample=_BICUBIC,
            can_crop=False,
            pads="to multiples",
            multiples=True,
        ),
    }
)
_SUFFIXES = ("ImageProcessorFast", "ImageProcessorPil", "ImageProcessor", "FeatureExtractor")
_STEPS = ("do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb", "do_pad", "do_reduce_labels")


def read_image_settings(values: Mapping[str, Any], place: str) -> ImageSettings:
    """The settings of a preprocessor_config.json, with its class's defaults for what is absent or null.

    place: of the file, for messages. Raises PreprocessorError for a class or step that is not known, and for values
    that are not what they should be, naming the field.
    """
    reader = _Reader(values, place)
    family = reader.family()
    reader.refuse_other_steps()
    crops = reader.flag("do_center_crop", family.crops) and family.can_crop
    pads = family.pads if reader.flag("do_pad", False) else "never"
    return ImageSettings(
        whiten=reader.flag("do_convert_rgb", family.whiten),
        resize=reader.resize(family) if reader.flag("do_resize", True) else None,
        resample=reader.resample(family.resample),
        crop=reader.pair("crop_size", family.crop) if crops else None,
        rescale=reader.number("rescale_factor", 1 / 255) if reader.flag("do_rescale", True) else None,
        normalise=reader.normalise(family.normalise) if reader.flag("do_normalize", True) else None,
        pad=reader.pair("pad_size", None) if pads == "to size" else None,
        pad_multiple=reader.whole("size_divisor") if pads == "to multiples" else None,
    )


class _Reader:
    """Fields of one file, checked."""

    def __init__(self, values: Mapping[str, Any], place: str) -> None:
        self.values = {key: value for key, value in values.items() if value is not None}
        self.place = place

    def wrong(self, field: str, expected: str, found: object) -> PreprocessorError:
        shown = repr(found)
        shown = shown if len(shown) <= 100 else f"{shown[:100]}..."
        return PreprocessorError(f"{self.place}: field '{field}': expected {expected}, found {shown}.")

    def family(self) -> _Family:
        field = "feature_extractor_type" if "image_processor_type" not in self.values else "image_processor_type"
        name = self.values.get(field)
        if isinstance(name, str):
            for suffix in _SUFFIXES:
                if name.endswith(suffix) and name.removesuffix(suffix) in _FAMILIES:
                    return _FAMILIES[name.removesuffix(suffix)]
        known = ", ".join(f"{family}ImageProcessor" for family in _FAMILIES)
        raise self.wrong("image_processor_type", f"one of {known}", name)

    def refuse_other_steps(self) -> None:
        others = [key for key in self.values if key.startswith("do_") and key not in _STEPS and self.values[key]]
        if others:
            raise PreprocessorError(
                f"{self.place}: field '{others[0]}': zoo has no such step; it has {', '.join(_STEPS)}."
            )

    def flag(self, field: str, default: bool) -> bool:
        value = self.values.get(field, default)
        if not isinstance(value, bool):
            raise self.wrong(field, "true or false", value)
        return value

    def number(self, field: str, default: float) -> float:
        value = self.values.get(field, default)
        if not _is_number(value):
            raise self.wrong(field, "a number", value)
        return float(value)

    def whole(self, field: str, default: int | None = None) -> int:
        value = self.values.get(field, default)
        if not _is_length(value):
            raise self.wrong(field, f"a whole number from 1 to {_MAX_LENGTH}", value)
        return value

    def resample(self, default: int) -> int:
        value = self.values.get("resample", default)
        if not isinstance(value, int) or isinstance(value, bool) or not _NEAREST <= value <= _HAMMING:
            raise self.wrong("resample", "the number of one of Pillow's filters, 0 to 5", value)
        return int(value)  # of Pillow's enumeration, perhaps

    def pair(self, field: str, default: int | None) -> Size:
        """Height and width: {"height": 1, "width": 2}, [1, 2], or 1 for both."""
        value = self.values.get(field, default)
        if _is_length(value):
            return value, value
        if isinstance(value, Mapping) and {*value} == {"height", "width"}:
            value = [value["height"], value["width"]]
        if isinstance(value, (list, tuple)) and len(value) == 2 and all(map(_is_length, value)):
            return int(value[0]), int(value[1])
        raise self.wrong(field, "an object with 'height' and 'width'", value)

    def resize(self, family: _Family) -> ResizeRule:
        value = self.values.get("size", family.size)
        if family.multiples:
            height, width = self.pair("size", family.size["height"])
            return ResizeRule(
                kind="multiple",
                height=height,
                width=width,
                multiple=self.whole("ensure_multiple_of", 1),
                keep_shape=self.flag("keep_aspect_ratio", False),
            )
        if _is_length(value) and not self.flag("default_to_square", family.square):
            value = {"shortest_edge": value}
        if isinstance(value, Mapping):
            keys, lengths = {*value}, list(value.values())
            if all(map(_is_length, lengths)):
                if keys in ({"shortest_edge"}, {"shortest_edge", "longest_edge"}):
                    longest = value.get("longest_edge", 0)
                    return ResizeRule(kind="shortest_edge", height=value["shortest_edge"], width=longest)
                if keys == {"max_height", "max_width"}:
                    return ResizeRule(kind="within", height=value["max_height"], width=value["max_width"])
            if keys != {"height", "width"}:
                expected = (
                    f"'height' and 'width', 'shortest_edge' (and 'longest_edge'), or 'max_height' and 'max_width', "
                    f"each from 1 to {_MAX_LENGTH}"
                )
                raise self.wrong("size", expected, dict(value))
            height, width = self.pair("size", None) if "size" in self.values else (value["height"], value["width"])
            return ResizeRule(kind="exact", height=height, width=width)
        height, width = self.pair("size", None)
        return ResizeRule(kind="exact", height=height, width=width)

    def normalise(self, default: tuple[Triple, Triple]) -> tuple[Triple, Triple]:
        mean, std = self._triple("image_mean", default[0]), self._triple("image_std", default[1])
        if any(abs(value) < _SMALLEST for value in std):
            raise self.wrong("image_std", f"numbers other than 0, of at least {_SMALLEST:g}", list(std))
        return mean, std

    def _triple(self, field: str, default: Triple) -> Triple:
        value = self.values.get(field, default)
        if _is_number(value):
            return (float(value),) * 3
        if isinstance(value, (list, tuple)) and len(value) == 3 and all(map(_is_number, value)):
            return float(value[0]), float(value[1]), float(value[2])
        raise self.wrong(field, "three numbers, of red, green and blue", value)


_MAX_LENGTH = 2**16
_SMALLEST = 1e-6  # of what values are divided by
_LARGEST = 1e15  # of any number, so that no value overflows


def _is_length(value: object) -> TypeGuard[int]:
    return type(value) is int and 1 <= value <= _MAX_LENGTH


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _LARGEST  # not NaN
