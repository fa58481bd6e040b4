"""The whole of "a dataset is brought in": read, look at everything, report, and keep all of it or nothing.

    files -> what the format reads -> each photo through its decoder -> boxes in pixels, classes of the taxonomy
          -> copies, groups, leaks -> what is here already -> the report -> objects -> all rows in one transaction

Whatever is wrong and not repaired by a named option refuses the whole import, with every reason and not the first alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from leafloop.errors import DatasetRejected
from leafloop.learning.datasets import copies, formats, grouping, inspection, intake, looking
from leafloop.learning.datasets.copies import Placed
from leafloop.learning.datasets.formats import Dataset, Files
from leafloop.learning.datasets.formats.notes import Notes, Repairs
from leafloop.learning.datasets.formats.problems import KINDS, Problem, as_label, counts_of
from leafloop.learning.datasets.inspection import Candidate, ClassMap
from leafloop.learning.datasets.intake import Place, Plan
from leafloop.learning.datasets.looking import Likenesses, Say
from leafloop.storage import imports
from leafloop.storage.tables import TrainingData
from leafloop.taxonomy import Taxonomy
from leafloop.vision.photo import PhotoLimits

MOST_KEPT = 200  # problems that the import's row holds one by one; the counts are of all


@dataclass(frozen=True)
class Wish:
    """How a dataset is to be read. `class_map`: name of the dataset -> class of the taxonomy, or None to drop its boxes."""

    name: str | None = None
    format: str | None = None
    class_map: Mapping[str, str | None] = field(default_factory=dict)
    group_regex: str | None = None
    repairs: Repairs = field(default_factory=Repairs)
    keep_splits: bool = False
    replace: bool = False
    dry_run: bool = False
    actor: str = "cli"


@dataclass(frozen=True)
class Report:
    """What was found and what was done. `photos`: new ones; `labels`: their boxes, and a whole-photo class counts as one."""

    name: str
    format: str
    import_id: str | None
    photos: int
    labels: int
    replaced: int
    found: dict[str, int]
    classes: dict[str, dict[str, Any]]
    sides: dict[str, int]
    grouped: dict[str, int]
    problems: tuple[Problem, ...]
    dry_run: bool

    @property
    def refused(self) -> bool:
        return any(problem.stops for problem in self.problems)

    @property
    def options(self) -> list[str]:
        """What would let this import through, as far as options can."""
        codes = dict.fromkeys(problem.code for problem in self.problems if problem.stops)
        wanted = [KINDS[code].option for code in codes if code != "class_unmapped"]
        maps = [problem.place for problem in self.problems if problem.code == "class_unmapped"]
        return [*dict.fromkeys(option for option in wanted if option), *(f"--map '{name}='..." for name in maps)]

    def as_dict(self, most_problems: int | None = None) -> dict[str, Any]:
        return {
            "photos": self.photos,
            "labels": self.labels,
            "problems": [problem.as_dict() for problem in self.problems[:most_problems]],
            "problem_counts": counts_of(self.problems),
            "refused": self.refused,
            "dry_run": self.dry_run,
            "import_id": self.import_id,
            "name": self.name,
            "format": self.format,
            "replaced": self.replaced,
            "found": self.found,
            "classes": self.classes,
            "sides": self.sides,
            "grouped": self.grouped,
            "options": self.options,
        }


def bring_in(
    place: Place, taxonomy: Taxonomy, files: Files, wish: Wish, limits: PhotoLimits, say: Say = lambda _w, _d, _o: None
) -> Report:
    """Import a dataset. Raises `DatasetRejected`, with the report in its fields, when anything stands against it.

    With `dry_run` the report is given and nothing is kept, whatever it says. Also raises the `Unavailable` errors.
    """
    with Likenesses() as likenesses:
        plan, report = _looked_at(place, taxonomy, files, wish, limits, likenesses, say)
        if wish.dry_run:
            return report
        if report.refused:
            raise DatasetRejected(_refusal(report), report=report)
        if plan.new or plan.replaced:
            plan.report.update(report.as_dict(MOST_KEPT))
            intake.take_in(place, plan, likenesses, say)
        return report


def _looked_at(
    place: Place, taxonomy: Taxonomy, files: Files, wish: Wish, limits: PhotoLimits, likenesses: Likenesses, say: Say
) -> tuple[Plan, Report]:
    """What would be written, and what there is to say. Writes nothing."""
    if wish.group_regex is not None:
        grouping.compiled(wish.group_regex)  # before an hour is spent on photos
    notes = Notes(wish.repairs)
    dataset = formats.read(files, wish.format)
    for problem in dataset.problems:
        notes.add(problem)
    name = as_label(wish.name or files.name, 100) or "dataset"
    classes = ClassMap(taxonomy, wish.class_map)
    used = _names_used(dataset)
    _note_unmapped(classes, used, notes)
    _note_unused(classes, used, notes)

    looked = looking.pictures(dataset.photos, place.decoders, limits, notes, likenesses, say, len(dataset.photos))
    labelled = [
        found for photo, seen in looked if (found := inspection.candidate(photo, seen, classes, notes)) is not None
    ]
    candidates, leaking = copies.without_copies(labelled, notes)
    leaking |= copies.near_leaks(candidates, likenesses, notes)
    grouped = grouping.group([each.read.name for each in candidates], wish.group_regex, name)
    told = [_as_said(each, group, name) for each, group in zip(candidates, grouped.photos, strict=True)]
    ready = copies.placed(candidates, told, leaking, notes, keep_sides=wish.keep_splits)
    new, replaced = _what_is_new(place, ready, wish, notes)
    _note_untestable(new, notes)

    plan = Plan(
        name=name,
        format=dataset.format,
        class_map=classes.as_dict(used),
        class_names=taxonomy.class_names,
        new=new,
        replaced=replaced,
        labels=_labels_of(new) + _labels_of(replaced),
        report={},
        actor=wish.actor,
    )
    return plan, _report(plan, dataset, classes, told, notes, wish)


def _note_unmapped(classes: ClassMap, used: Mapping[str, int], notes: Notes) -> None:
    for unknown in classes.unmapped(used):
        hint = f"{used[unknown]} labels have it. Add --map '{unknown}=CLASS', or --map '{unknown}=' to leave them out"
        notes.note("class_unmapped", unknown, f"{hint}. The classes are {', '.join(classes.taxonomy.class_names)}")


def _note_unused(classes: ClassMap, used: Mapping[str, int], notes: Notes) -> None:
    for name in classes.given.keys() - used.keys():
        there = ", ".join(used) or "none"
        notes.note("map_unused", name, f"no label has this class: is it written as there? The labels have {there}")


def _names_used(dataset: Dataset) -> dict[str, int]:
    """Each class that a label has, and how many have it."""
    used: dict[str, int] = {}
    for photo in dataset.photos:
        for name in photo.class_names if photo.boxes is None else (box.class_name for box in photo.boxes):
            used[name] = used.get(name, 0) + 1
    return used


def _as_said(each: Candidate, by_name: grouping.Grouped, dataset: str) -> grouping.Grouped:
    """A group that the dataset itself tells goes before one that only its name suggests."""
    if each.read.group is None or by_name.how == "by the expression":
        return by_name
    return grouping.Grouped(grouping.named(dataset, as_label(each.read.group)), True, "as the dataset says")


def _what_is_new(place: Place, ready: Sequence[Placed], wish: Wish, notes: Notes) -> tuple[list[Placed], list[Placed]]:
    """Photos without a label here, and those whose label is to be replaced."""
    with place.ledger.reading() as session:
        pictures = [each.candidate.picture for each in ready]
        known: dict[str, TrainingData] = imports.labels_of_objects(session, (seen.stored_sha256 for seen in pictures))
        by_bytes = imports.labels_of_bytes(session, (seen.sha256 for seen in pictures))
        refused = imports.refused(session, (seen.stored_sha256 for seen in pictures))
    new, replaced = [], []
    for each in ready:
        seen, name = each.candidate.picture, each.candidate.read.name
        label = known.get(seen.stored_sha256) or by_bytes.get(seen.sha256)
        if seen.stored_sha256 in refused:
            notes.note("consent_refused", name, "somebody sent the same photo and refused")
        elif label is None:
            new.append(each)
        elif wish.replace:
            if _differs(label, each.candidate):
                replaced.append(each)
        else:
            same = "the same" if not _differs(label, each.candidate) else "another"
            notes.note("already_here", name, f"it has {same} label here, from {label.validated_by or label.source}")
    return new, replaced


def _differs(label: TrainingData, found: Candidate) -> bool:
    # A dataset that shows nothing on a photo does not say whether it is healthy or no leaf: that is no other word.
    outcome = label.outcome if found.outcome is not None else None
    said = (label.bbox_data, label.class_id, outcome)
    return not label.is_validated or not inspection.same_label(said, found.label)


def _note_untestable(new: Sequence[Placed], notes: Notes) -> None:
    by_how: dict[str, list[str]] = {}
    for each in new:
        if not each.grouped.may_test:
            by_how.setdefault(each.grouped.how, []).append(each.candidate.read.name)
    for how, names in by_how.items():
        told = f"{len(names)} photos may train and never test ({how}). --group-regex says which photo each is of"
        notes.note("may_not_test", names[0], told, count=len(names))


def _labels_of(photos: Sequence[Placed]) -> int:
    return sum(1 if each.candidate.boxes is None else len(each.candidate.boxes) for each in photos)


def _report(
    plan: Plan,
    dataset: Dataset,
    classes: ClassMap,
    grouped: Sequence[grouping.Grouped],
    notes: Notes,
    wish: Wish,
) -> Report:
    refused = any(problem.stops for problem in notes.problems)
    # A refused import drops nothing, so nothing is said of what dropping would leave.
    problems = [each for each in notes.problems if not (refused and each.code == "photo_without_rest")]
    problems.sort(key=lambda each: (not each.stops, KINDS[each.code].severity))
    kept = 0 if refused else len(plan.new)
    sides = {
        str(side): sum(photo.side == side for photo in dataset.photos)
        for side in {p.side for p in dataset.photos}
        if side
    }
    return Report(
        name=plan.name,
        format=dataset.format,
        import_id=plan.id if not (refused or wish.dry_run) and (plan.new or plan.replaced) else None,
        photos=kept,
        labels=0 if refused else plan.labels,
        replaced=0 if refused else len(plan.replaced),
        found={
            "photos": len(dataset.photos),
            "boxes": sum(len(photo.boxes or ()) for photo in dataset.photos),
            "empty": sum(photo.boxes == () and not photo.lost for photo in dataset.photos),
            "whole_photo_classes": sum(photo.boxes is None and not photo.says_nothing for photo in dataset.photos),
        },
        classes=_classes(dataset, classes),
        sides=dict(sorted(sides.items())),
        grouped=grouping.Grouping(tuple(grouped)).recognised,
        problems=tuple(problems),
        dry_run=wish.dry_run,
    )


def _classes(dataset: Dataset, classes: ClassMap) -> dict[str, dict[str, Any]]:
    """Each class of the dataset: what it became, and how many labels and photos have it."""
    used = _names_used(dataset)
    photos: dict[str, int] = {}
    for photo in dataset.photos:
        for name in {box.class_name for box in photo.boxes or ()} or set(photo.class_names):
            photos[name] = photos.get(name, 0) + 1
    names = dict.fromkeys([*dataset.classes, *used])
    became = classes.as_dict(names)
    return {
        as_label(name): {"class": became[name], "labels": used.get(name, 0), "photos": photos.get(name, 0)}
        for name in names
    }


def _refusal(report: Report) -> str:
    counts = counts_of(problem for problem in report.problems if problem.stops)
    said = "; ".join(f"{count} x {code} ({KINDS[code].meaning})" for code, count in counts.items())
    options = (
        f" Mend it, or say what to do about it: {' '.join(report.options)}"
        if report.options
        else " Mend it, then import it."
    )
    return f"{report.name}: {said}. Nothing was kept.{options}"
