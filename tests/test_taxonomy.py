"""The class set: read as plain data, checked, and the only place that knows a class's name."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
import yaml

from leafloop import taxonomy
from leafloop.errors import TaxonomyInvalid
from leafloop.taxonomy import Taxonomy


def _plain() -> dict[str, object]:
    data = yaml.safe_load(taxonomy.BUILT_IN.read_text("utf-8"))
    assert isinstance(data, dict)
    return data


def _write(folder: Path, text: str) -> Path:
    path = folder / "taxonomy.yaml"
    path.write_text(text, "utf-8")
    return path


def test_the_built_in_set_has_seven_classes_and_one_means_healthy() -> None:
    built_in = taxonomy.load()
    assert built_in.class_names == ("Healthy", "Stage1", "Stage2", "Stage3", "Stage4", "Stage5", "Stage6")
    assert built_in.healthy_ids == {0}
    assert [c.severity for c in built_in.classes] == [0, 1, 2, 3, 4, 5, 6]


def test_every_class_has_a_title_and_advice() -> None:
    built_in = taxonomy.load()
    for class_id in range(len(built_in.classes)):
        assert built_in.title(class_id)
        assert built_in.advice_for(class_id)


def test_a_language_without_words_falls_back_to_english() -> None:
    built_in = taxonomy.load()
    assert built_in.title(3, "xx") == built_in.title(3, "en")
    assert built_in.advice_for(3, "xx") == built_in.advice_for(3, "en")


def test_the_copy_that_a_bundle_carries_comes_back_equal() -> None:
    built_in = taxonomy.load()
    assert Taxonomy.from_dict(built_in.as_dict()) == built_in


def test_an_unknown_class_is_refused_with_the_list_of_classes() -> None:
    with pytest.raises(TaxonomyInvalid, match="Stage7.*The classes are: Healthy, Stage1"):
        taxonomy.load().id_of("Stage7")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"classes": []}, "classes"),
        ({"classes": [{"name": "A", "colour": "#000000", "severity": 0}] * 2}, "two classes have one name"),
        ({"classes": [{"name": "A", "colour": "red", "severity": 0}]}, "colour"),
        ({"name": "../../etc"}, "name"),
        ({"download": "import os"}, "download"),
        ({"advice": {"author": "x", "version": "1", "texts": {"Stage9": {"en": "?"}}}}, "Stage9"),
    ],
)
def test_an_inconsistent_file_is_refused_naming_the_place(change: dict[str, object], words: str) -> None:
    with pytest.raises(TaxonomyInvalid, match=words):
        Taxonomy.from_dict({**_plain(), **change})


def test_a_tag_that_would_run_code_is_refused(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    path = _write(tmp_path, f"name: !!python/object/apply:os.mkdir ['{marker}']\n")
    with pytest.raises(TaxonomyInvalid, match="not plain YAML"):
        taxonomy.load(path)
    assert not marker.exists()


def test_aliases_that_unfold_to_gigabytes_are_refused_at_once(tmp_path: Path) -> None:
    laughs = ["a: &a [x,x,x,x,x,x,x,x,x,x]"] + [
        f"{c}: &{c} [{','.join(['*' + p] * 10)}]" for p, c in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    began = time.monotonic()
    with pytest.raises(TaxonomyInvalid, match="aliases"):
        taxonomy.load(_write(tmp_path, "\n".join(laughs)))
    assert time.monotonic() - began < 2


def test_a_file_that_is_absent_too_large_or_binary_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TaxonomyInvalid, match="cannot be read"):
        taxonomy.load(tmp_path / "absent.yaml")
    with pytest.raises(TaxonomyInvalid, match="larger than"):
        taxonomy.load(_write(tmp_path, "#" * (taxonomy.MAX_BYTES + 1)))
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TaxonomyInvalid, match="not plain YAML"):
        taxonomy.load(tmp_path / "binary.yaml")


def test_no_class_name_of_a_crop_stands_in_the_code() -> None:
    names = re.compile(r"\b(Healthy|Stage[1-9])\b")
    source = Path(taxonomy.__file__).parent
    found = [
        f"{path.relative_to(source)}:{number}"
        for suffix in ("*.py", "*.html", "*.js", "*.css")
        for path in source.rglob(suffix)
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if names.search(line)
    ]
    assert found == []
