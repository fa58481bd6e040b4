"""`leafloop feedback`: say what is right or wrong of an answer, take it back, see what was said, count how often it was right."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated, Any, get_args

import typer

from leafloop import settings, taxonomy
from leafloop.api.feedback_schemas import Status
from leafloop.cli.output import Json, people, print_json, print_table, says_errors
from leafloop.learning.words import tally
from leafloop.learning.words.word import Word
from leafloop.live import speaking
from leafloop.live.parts import open_ledger
from leafloop.live.speaking import Speaker
from leafloop.storage import words

app = typer.Typer(no_args_is_help=True, help="What people say of answers: right, wrong, and what it is instead.")

PredictionId = Annotated[str, typer.Argument(help="The answer's id, as 'predict' and the pages show it.")]
User = Annotated[str | None, typer.Option("--user", help="Who says it.")]
COLUMNS = ("timestamp", "prediction_id", "says", "status", "user_id", "comment")


@app.command()
@says_errors
def submit(
    prediction_id: PredictionId,
    right: Annotated[bool | None, typer.Option("--right/--wrong", help="Is the answer right?")] = None,
    class_name: Annotated[str | None, typer.Option("--class", help="Wrong: it is this class.")] = None,
    nothing_there: Annotated[bool, typer.Option("--nothing-there", help="Wrong: the leaf is healthy.")] = False,
    no_leaf: Annotated[bool, typer.Option("--no-leaf", help="Wrong: this is not a leaf.")] = False,
    boxes: Annotated[
        list[str] | None,
        typer.Option(
            "--box", metavar="CLASS:X1,Y1,X2,Y2", help="Wrong: this is there, in pixels of the upright photo."
        ),
    ] = None,
    ask_expert: Annotated[
        bool, typer.Option("--ask-expert", help="A reviewer looks, and replies on the answer.")
    ] = False,
    comment: Annotated[str | None, typer.Option(help="What else there is to say.")] = None,
    rating: Annotated[int | None, typer.Option(min=1, max=5, help="How sure you are.")] = None,
    user: User = None,
    as_json: Json = False,
) -> None:
    """Say what you think of an answer. A second word by the same user comes in the place of the first."""
    outcome = _outcome(right, class_name, nothing_there, no_leaf, drawn=bool(boxes))
    word = Word(
        right,
        correct_class_name=class_name,
        correct_outcome=outcome,
        corrected_boxes=tuple(_box(text) for text in boxes) if boxes else None,
        ask_expert=ask_expert,
        comment=comment,
        rating=rating,
        source="cli",
    )
    chosen = settings.load()
    classes = taxonomy.load(chosen.taxonomy or taxonomy.BUILT_IN)
    with closing(open_ledger(chosen)) as ledger:
        _say(speaking.submit(ledger, classes, _speaker(user), prediction_id, word), as_json)


@app.command()
@says_errors
def undo(
    prediction_id: PredictionId,
    word_id: Annotated[
        str | None, typer.Option("--word", help="The word that is meant: asking twice then takes one back, not two.")
    ] = None,
    user: User = None,
    as_json: Json = False,
) -> None:
    """Take the last word on an answer back; the one before it counts again."""
    with closing(open_ledger(settings.load())) as ledger:
        _say(speaking.undo(ledger, _speaker(user), prediction_id, word_id=word_id), as_json)


@app.command()
@says_errors
def stats(
    days: Annotated[int, typer.Option(min=1, max=365, help="Answers of so many last days.")] = 7,
    model_version: Annotated[str | None, typer.Option(help="Answers of this version alone.")] = None,
    as_json: Json = False,
) -> None:
    """How often people found answers right."""
    with closing(open_ledger(settings.load())) as ledger, ledger.reading() as session:
        found = tally.stats(session, days=days, model_version=model_version)
    if as_json:
        print_json(found)
        return
    rows = [{"class": name, **counts} for name, counts in found["class_statistics"].items()]
    print_table(
        rows,
        ["class", "total_predictions", "total_feedback", "correct", "incorrect", "accuracy"],
        empty=f"No answer in the last {days} days.",
    )
    people.print(_summary(found), markup=False)


@app.command("list")
@says_errors
def list_words(
    prediction_id: Annotated[str | None, typer.Option("--prediction", help="Words on this answer alone.")] = None,
    status: Annotated[str | None, typer.Option(help=f"One of {', '.join(get_args(Status))}.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="At most so many, newest first.")] = 50,
    as_json: Json = False,
) -> None:
    """List what was said, newest first. What was withdrawn is listed by `--status withdrawn`."""
    if status is not None and status not in get_args(Status):
        raise typer.BadParameter(f"a status is one of {', '.join(get_args(Status))}", param_hint="--status")
    filters = words.Filters(prediction_id=prediction_id, status=status)
    with closing(open_ledger(settings.load())) as ledger, ledger.reading() as session:
        found = [speaking.told(row) for row in words.find(session, filters, limit=limit).items]
    if as_json:
        print_json(found)
    else:
        print_table([_row(word) for word in found], COLUMNS, empty="Nobody has said anything yet.")


def _speaker(user: str | None) -> Speaker:
    """Whoever may run commands on this home may see all of it."""
    return Speaker(None, user, sees_all=True)


def _box(text: str) -> dict[str, Any]:
    """`CLASS:X1,Y1,X2,Y2`; a class's name may have colons of its own. Whether it is in the photo, `learning` checks."""
    class_name, _, edges = text.rpartition(":")
    try:
        x1, y1, x2, y2 = (float(edge) for edge in edges.split(","))
    except ValueError:
        raise typer.BadParameter(f"'{text}' is not CLASS:X1,Y1,X2,Y2", param_hint="--box") from None
    return {"class_name": class_name.strip(), "bbox": {"x1": x1, "y1": y1, "x2": x2, "y2": y2}}


def _outcome(
    right: bool | None, class_name: str | None, nothing_there: bool, no_leaf: bool, *, drawn: bool
) -> str | None:
    corrections = [option for option in (class_name or drawn, nothing_there, no_leaf) if option]
    options = "--class, --box, --nothing-there, --no-leaf"
    if corrections and right is not False:
        raise typer.BadParameter("a correction goes with --wrong", param_hint=options)
    if len(corrections) > 1:
        raise typer.BadParameter("one correction at a time", param_hint=options)
    return "healthy" if nothing_there else "no_leaf" if no_leaf else None


def _say(body: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(body)
    else:
        people.print(body["message"], markup=False)


def _row(word: dict[str, Any]) -> dict[str, Any]:
    return {
        **word,
        "says": _says(word),
        "comment": word["user_comment"],
        "timestamp": f"{word['timestamp']:%Y-%m-%d %H:%M}",
    }


def _says(word: dict[str, Any]) -> str:
    if word["is_correct"] is None:
        return "asks" if word["ask_expert"] else "-"
    if word["is_correct"]:
        return "right"
    boxes = word["corrected_boxes"]
    what = word["correct_class_name"] or word["correct_outcome"]
    return "wrong" + (f": {what}" if what else "") + (f", {len(boxes)} boxes" if boxes else "")


def _summary(found: dict[str, Any]) -> str:
    if found["overall_accuracy"] is None:
        return f"{found['total_predictions']} answers; nobody has said right or wrong yet."
    low, high = found["accuracy_interval"]
    return (
        f"{found['total_predictions']} answers, {found['total_feedback']} words: {found['overall_accuracy']:.0%} right "
        f"(95 %: {low:.0%} to {high:.0%})."
    )
