"""The class set of a crop: names, ids, order, colours, severity and advice, read from a YAML file; knows nobody."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from leafloop.errors import TaxonomyInvalid

BUILT_IN = Path(__file__).parent / "taxonomies" / "banana-black-sigatoka.yaml"
MAX_BYTES = 64 * 1024  # a class set is a page of text; more is a mistake or an attack


class LeafClass(BaseModel):
    """One class. Its id is its place in the list, counted from 0."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^\S(.{0,62}\S)?$")
    title: dict[str, str] = Field(default_factory=dict)
    colour: str = Field(pattern=r"^#[0-9a-f]{6}$")
    severity: int = Field(ge=0, le=1000)
    healthy: bool = False


class Advice(BaseModel):
    """What to do, by class name and language, and who answers for the words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    author: str
    version: str
    reviewed: str | None = None
    texts: dict[str, dict[str, str]] = Field(default_factory=dict)


class Names(BaseModel):
    """What crop and disease are called in another language."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    crop: str
    disease: str


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9-]{1,64}$")
    version: str
    crop: str
    disease: str
    called: dict[str, Names] = Field(default_factory=dict)
    classes: tuple[LeafClass, ...] = Field(min_length=1, max_length=1000)
    advice: Advice

    @model_validator(mode="after")
    def _consistent(self) -> _File:
        names = [c.name for c in self.classes]
        if len(set(names)) != len(names):
            raise ValueError("two classes have one name")
        if unknown := set(self.advice.texts) - set(names):
            raise ValueError(f"advice for classes that do not exist: {', '.join(sorted(unknown))}")
        return self


@dataclass(frozen=True)
class Taxonomy:
    """A checked class set. `classes[i]` has the id `i`."""

    name: str
    version: str
    crop: str
    disease: str
    classes: tuple[LeafClass, ...]
    advice: Advice
    called: dict[str, Names] = field(default_factory=dict)

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.classes)

    @cached_property
    def healthy_ids(self) -> frozenset[int]:
        return frozenset(i for i, c in enumerate(self.classes) if c.healthy)

    def id_of(self, name: str) -> int:
        """The id of a class name. Raises `TaxonomyInvalid` for a name that is not in the set."""
        try:
            return self.class_names.index(name)
        except ValueError:
            raise TaxonomyInvalid(
                f"'{name[:64]}' is not a class of {self.name}. The classes are: {', '.join(self.class_names)}."
            ) from None

    def crop_in(self, language: str) -> str:
        return self.called[language].crop if language in self.called else self.crop

    def disease_in(self, language: str) -> str:
        return self.called[language].disease if language in self.called else self.disease

    def title(self, class_id: int, language: str = "en") -> str:
        titles = self.classes[class_id].title
        return titles.get(language) or titles.get("en") or self.classes[class_id].name

    def advice_for(self, class_id: int, language: str = "en") -> str | None:
        texts = self.advice.texts.get(self.classes[class_id].name, {})
        return texts.get(language) or texts.get("en")

    def as_dict(self) -> dict[str, Any]:
        """Plain data that `Taxonomy.from_dict` takes back: the copy that a model bundle carries."""
        fields = ("name", "version", "crop", "disease")
        return {
            **{f: getattr(self, f) for f in fields},
            "called": {language: names.model_dump() for language, names in self.called.items()},
            "classes": [c.model_dump() for c in self.classes],
            "advice": self.advice.model_dump(),
        }

    @classmethod
    def from_dict(cls, data: object, *, where: str = "the taxonomy") -> Taxonomy:
        """Check plain data. Raises `TaxonomyInvalid`, naming each place that is wrong."""
        try:
            file = _File.model_validate(data)
        except ValidationError as error:
            places = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors()[:5])
            raise TaxonomyInvalid(f"{where} cannot be used: {places}.") from None
        return cls(file.name, file.version, file.crop, file.disease, file.classes, file.advice, file.called)


class _PlainLoader(yaml.SafeLoader):
    """Plain data alone: no tags, and no aliases (a few hundred bytes of them can unfold to gigabytes)."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not taken")
        return super().compose_node(parent, index)


def read_plain(text: str) -> Any:
    """Plain data out of YAML: no tags, no aliases, no depth that a page of text has not. Raises `yaml.YAMLError`."""
    try:
        return yaml.load(text, Loader=_PlainLoader)  # noqa: S506 (a SafeLoader, stricter)
    except RecursionError:
        raise yaml.YAMLError("it is nested too deep") from None
    except (ValueError, TypeError, LookupError, AttributeError) as error:  # a number, date or truth value that is none
        raise yaml.YAMLError(f"it holds a value that cannot be read ({error})") from None


def load(path: Path = BUILT_IN) -> Taxonomy:
    """Read a taxonomy file. Raises `TaxonomyInvalid` when it is absent, too large, not plain YAML, or inconsistent."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise TaxonomyInvalid(f"{path} is larger than {MAX_BYTES} bytes. A class set is a page of text.")
        data = read_plain(path.read_text("utf-8"))
    except OSError as error:
        raise TaxonomyInvalid(f"{path} cannot be read ({error.strerror}). Check LEAFLOOP_TAXONOMY.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TaxonomyInvalid(f"{path} is not plain YAML: {' '.join(str(error).split())[:200]}") from None
    return Taxonomy.from_dict(data, where=str(path))
