"""Collects the pages' texts, brings the catalogues up to date and compiles them: `make texts`; `--check` only says what is stale.

Texts are `_()` and `ngettext()` in templates and in `web/*.py`, and what the code says as data (`_said_elsewhere`). A text that
is new has an empty translation until somebody writes it into src/leafloop/locales/*/LC_MESSAGES/leafloop.po and runs `make texts`
again; a text that went away goes out of the catalogues, too. tests/web/test_languages.py fails while a translation is missing.

Where somebody who speaks a language from home has read its texts, put the name in the header X-Read-By of its .po.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from leafloop.storage import removal
from leafloop.vision import quality
from leafloop.web import languages, refusals

ROOT = Path(__file__).resolve().parent.parent
WEB = ROOT / "src" / "leafloop" / "web"
METHODS = [("templates/**.html", "jinja2"), ("**.py", "python")]
OPTIONS = {"templates/**.html": {"encoding": "utf-8", "trimmed": "false"}}
# Of the day when the first text was written: a date that changed with each run would make each run a change.
DATED = datetime(2026, 11, 27, tzinfo=UTC)
PLURALS = {"es": "nplurals=2; plural=(n != 1);", "fil": "nplurals=2; plural=(n > 1);"}


class Texts(Catalog):
    """A catalogue that says who has read it."""

    read_by = languages.NOBODY
    num_plurals = 2  # what people say of photos: Babel's third Spanish form begins at a million

    @property
    def mime_headers(self) -> list[tuple[str, str]]:
        theirs = [(name, value) for name, value in super().mime_headers if name not in ("Plural-Forms", "Generated-By")]
        return [*theirs, ("Plural-Forms", PLURALS[str(self.locale)]), ("X-Read-By", f"{self.read_by}\n")]

    @mime_headers.setter
    def mime_headers(self, headers: list[tuple[str, str]]) -> None:
        Catalog._set_mime_headers(self, headers)


def po(code: str) -> Path:
    return languages.LOCALES / code / "LC_MESSAGES" / f"{languages.DOMAIN}.po"


def collected() -> Catalog:
    """Every text of the program."""
    found = Catalog()
    for name, line, message, comments, context in extract_from_dir(
        WEB, method_map=METHODS, options_map=OPTIONS, keywords={"_": None, "gettext": None, "ngettext": (1, 2)}
    ):
        del line  # it would change with every line above it
        found.add(message, None, [(f"web/{name}", None)], auto_comments=comments, context=context)
    for where, message in _said_elsewhere():
        found.add(message, None, [(where, None)])
    return found


def _said_elsewhere() -> Iterator[tuple[str, str]]:
    """Words that other parts say in English and the pages in the reader's language."""
    for message in quality.MESSAGES.values():
        yield "vision/quality.py", message
    for message in refusals.messages().values():
        yield "errors.py", message
    for message in removal.WHY:
        yield "storage/removal.py", message


def updated(code: str, found: Catalog) -> Texts:
    """The catalogue of a language with exactly the texts of the program, and the translations that it has."""
    said, read_by = {}, languages.NOBODY
    if po(code).is_file():
        text = po(code).read_text("utf-8")
        said = {_id(message): message.string for message in read_po(io.StringIO(text), locale=code) if message.id}
        read_by = (re.search(r'^"X-Read-By: (.*)\\n"$', text, re.MULTILINE) or ["", read_by])[1]
    made = Texts(
        locale=code,
        domain=languages.DOMAIN,
        project="Leafloop",
        version="1",
        msgid_bugs_address="the project's issues",
        last_translator="see X-Read-By",
        language_team=languages.LANGUAGES[code],
        header_comment="# Leafloop's pages. Written by `make texts`, but for the translations.",
        creation_date=DATED,
        revision_date=DATED,
        fuzzy=False,
    )
    made.read_by = read_by
    for message in found:
        if message.id:
            empty = ("", "") if isinstance(message.id, tuple) else ""
            made.add(message.id, said.get(_id(message), empty), message.locations, flags=message.flags)
    return made


def _id(message: Message) -> str:
    return message.id[0] if isinstance(message.id, tuple) else message.id


def files(code: str, found: Catalog) -> dict[Path, bytes]:
    """What the two files of a language have to hold."""
    catalogue, as_po, as_mo = updated(code, found), io.BytesIO(), io.BytesIO()
    write_po(as_po, catalogue, width=110, sort_output=True, include_lineno=False)
    write_mo(as_mo, catalogue)
    return {po(code): as_po.getvalue(), po(code).with_suffix(".mo"): as_mo.getvalue()}


def stale() -> dict[Path, bytes]:
    """Files that are not what they have to be, and what that is."""
    found = collected()
    wanted = {path: data for code in PLURALS for path, data in files(code, found).items()}
    return {path: data for path, data in wanted.items() if not path.is_file() or path.read_bytes() != data}


def missing() -> list[str]:
    """Texts without a translation, by language."""
    found = collected()
    return [
        f"{code}: {_id(message)}"
        for code in PLURALS
        for message in updated(code, found)
        if message.id and not all([message.string] if isinstance(message.string, str) else message.string)
    ]


def main(check: bool) -> int:
    found = stale()
    for path, data in found.items() if not check else ():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    names = ", ".join(str(path.relative_to(ROOT)) for path in found)
    if names:
        print(f"{'stale' if check else 'written'}: {names}")
    for text in missing():
        print(f"not translated: {text}")
    return 1 if check and found else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
