"""Problems as they are found, and what may be mended. Knows no format and no photo."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from leafloop.learning.datasets.formats.problems import Problem, problem


@dataclass(frozen=True)
class Repairs:
    """What may be mended, by the command line's options. Without one, what is wrong refuses the whole import."""

    clip: bool = False
    drop_bad_boxes: bool = False
    drop_bad_photos: bool = False
    missing_is_empty: bool = False

    def mend(self, code: str) -> bool:
        """Whether an option repairs this kind."""
        return {
            "box_outside": self.clip,
            "box_malformed": self.drop_bad_boxes,
            "box_not_finite": self.drop_bad_boxes,
            "box_empty": self.drop_bad_boxes,
            "box_class_unknown": self.drop_bad_boxes,
            "missing_label": self.missing_is_empty or self.drop_bad_photos,
            "photo_missing": self.drop_bad_photos,
            "photo_unreadable": self.drop_bad_photos,
            "size_differs": self.drop_bad_photos,
            "class_ambiguous": self.drop_bad_photos,
            "copies_disagree": self.drop_bad_photos,
        }.get(code, False)


@dataclass
class Notes:
    """Problems as they are found. Safe to use from several threads."""

    repairs: Repairs
    problems: list[Problem] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, found: Problem) -> None:
        with self._lock:
            self.problems.append(found.mended() if self.repairs.mend(found.code) else found)

    def note(self, code: str, place: str, detail: str, *, count: int = 1) -> None:
        self.add(problem(code, place, detail, count=count))
