"""A stored answer (the /predict body) becomes what a page shows: boxes in percent, a legend, words; knows no HTTP."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leafloop.taxonomy import Taxonomy
from leafloop.web import languages
from leafloop.web.contexts import AdviceView, AnswerRow, AnswerView, Box, LegendEntry

# The relative luminance at which black and white ink read equally well (WCAG 2.2, 1.4.3: (L + 0.05)^2 = 0.05 * 1.05), 4.6 to 1.
_BLACK_INK_ABOVE = 0.179


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What was stored beside an answer and is not in its body."""

    created_at: str | None = None
    group: str | None = None
    location: str | None = None
    file_name: str | None = None


def view(answer: Mapping[str, Any], taxonomy: Taxonomy, beside: Beside) -> AnswerView:
    """Everything that the answer card says. `answer` is the body of /predict, as it was stored."""
    boxes = _boxes(answer, taxonomy)
    model = answer.get("model") or {}
    return AnswerView(
        id=str(answer["prediction_id"]),
        outcome=str(answer["outcome"]),
        title=_title(answer, taxonomy),
        disease=taxonomy.disease_in(languages.language()),
        crop=taxonomy.crop_in(languages.language()),
        percent=_percent_of_class(answer),
        reliable=bool(answer.get("reliable")),
        advice=_advice(answer, taxonomy),
        warnings=tuple(languages.gettext(str(w["message"])) for w in (answer.get("quality") or {}).get("warnings", [])),
        boxes=boxes,
        legend=_legend(boxes),
        width=int(answer["image_size"]["width"]),
        height=int(answer["image_size"]["height"]),
        model=str(model.get("name", "")),
        version=str(model.get("version", "")),
        created_at=beside.created_at,
        user_id=answer.get("user_id"),
        group=beside.group,
        location=beside.location,
        file_name=beside.file_name,
    )


def row(answer: Mapping[str, Any], taxonomy: Taxonomy, *, created_at: str, mark: str | None = None) -> AnswerRow:
    """One line of the list of recent answers. `mark`: what came of it (`storage.replies.marks`)."""
    return AnswerRow(
        id=str(answer["prediction_id"]),
        outcome=str(answer["outcome"]),
        title=_title(answer, taxonomy),
        percent=_percent_of_class(answer),
        created_at=created_at,
        user_id=answer.get("user_id"),
        findings=len(answer.get("detections", ())),
        mark=mark,
    )


def percent(confidence: float) -> int:
    """A confidence from 0 to 1 in whole percent. Never 100: no model is that sure."""
    return min(99, max(0, round(confidence * 100)))


def _percent_of_class(answer: Mapping[str, Any]) -> int | None:
    confidence = answer.get("confidence")
    return None if answer.get("class_id") is None or confidence is None else percent(float(confidence))


def _title(answer: Mapping[str, Any], taxonomy: Taxonomy) -> str | None:
    class_id = answer.get("class_id")
    return None if class_id is None else _class_title(int(class_id), answer.get("class_name"), taxonomy)


def _class_title(class_id: int, name: str | None, taxonomy: Taxonomy) -> str:
    """The class's words; an answer of an older class set keeps the name that it was given."""
    known = _is_known(class_id, name, taxonomy)
    return taxonomy.title(class_id, languages.language()) if known else str(name)


def _is_known(class_id: int, name: str | None, taxonomy: Taxonomy) -> bool:
    return 0 <= class_id < len(taxonomy.classes) and name in (None, taxonomy.class_names[class_id])


def _advice(answer: Mapping[str, Any], taxonomy: Taxonomy) -> AdviceView | None:
    """What was said, in English as it was stored; in another language what the class set says now."""
    text, class_id = answer.get("advice"), answer.get("class_id")
    source = taxonomy.advice
    english = languages.language() == languages.ENGLISH
    if text and not english and class_id is not None and _is_known(int(class_id), answer.get("class_name"), taxonomy):
        text = taxonomy.advice_for(int(class_id), languages.language())
    return AdviceView(str(text), source.author, source.version, source.reviewed) if text else None


def _boxes(answer: Mapping[str, Any], taxonomy: Taxonomy) -> tuple[Box, ...]:
    width, height = float(answer["image_size"]["width"]), float(answer["image_size"]["height"])
    found: Sequence[Mapping[str, Any]] = answer.get("detections", ())
    surest_last = sorted(found, key=lambda d: float(d["confidence"]))  # painted last, so that nothing covers it
    return tuple(_box(d, len(found) - i, width, height, taxonomy) for i, d in enumerate(surest_last))


def _box(detection: Mapping[str, Any], number: int, width: float, height: float, taxonomy: Taxonomy) -> Box:
    class_id, bbox = int(detection["class_id"]), detection["bbox"]
    colour = taxonomy.classes[class_id].colour if 0 <= class_id < len(taxonomy.classes) else "#555555"
    left, top = 100 * float(bbox["x1"]) / width, 100 * float(bbox["y1"]) / height
    across, down = 100 * float(bbox["x2"]) / width - left, 100 * float(bbox["y2"]) / height - top
    return Box(
        number=number,
        mark=str(class_id),
        title=_class_title(class_id, detection.get("class_name"), taxonomy),
        colour=colour,
        ink=ink_on(colour),
        percent=percent(float(detection["confidence"])),
        place=_place(left + across / 2, top + down / 2),
        left=round(left, 3),
        top=round(top, 3),
        width=round(across, 3),
        height=round(down, 3),
    )


def _place(x_percent: float, y_percent: float) -> str:
    """Where a finding is, as one of nine codes: `top-left`, `middle`, ... The template has the words."""
    thirds = (33.4, 66.7)
    row_name = ("top", "middle", "bottom")[sum(y_percent > t for t in thirds)]
    column = ("left", "middle", "right")[sum(x_percent > t for t in thirds)]
    return row_name if column == "middle" else f"{row_name}-{column}"


def _legend(boxes: Sequence[Box]) -> tuple[LegendEntry, ...]:
    counts = Counter((b.mark, b.title, b.colour, b.ink) for b in boxes)
    return tuple(LegendEntry(*key, count) for key, count in sorted(counts.items(), key=lambda item: int(item[0][0])))


def ink_on(colour: str) -> str:
    """Black or white, whichever reads better on `#rrggbb`."""
    return "#000000" if _luminance(colour) > _BLACK_INK_ABOVE else "#ffffff"


def _luminance(colour: str) -> float:
    """Relative luminance, 0-1 (https://www.w3.org/TR/WCAG22/#dfn-relative-luminance)."""
    shares = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
