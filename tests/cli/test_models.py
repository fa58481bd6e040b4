"""`leafloop models`: list, import, promote, roll back."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Leafloop

BUNDLED = Path(__file__).resolve().parents[2] / "src/leafloop/bundled"


def test_a_fresh_home_has_the_bundled_model_as_champion(leafloop: Leafloop) -> None:
    (only,) = leafloop("models", "list", "--json").json
    assert only["aliases"] == ["champion"]
    assert {"version", "bundle", "created_at"} <= set(only)


def test_a_file_that_is_no_model_is_refused_with_the_reason(leafloop: Leafloop, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    done = leafloop("models", "import", "model.onnx", "--json")
    assert done.code == 1
    assert "bundle_rejected" in done.err
    assert len(leafloop("models", "list", "--json").json) == 1


def test_importing_the_same_bundle_twice_gives_the_same_version(leafloop: Leafloop) -> None:
    (only,) = leafloop("models", "list", "--json").json
    again = leafloop("models", "import", BUNDLED, "--json")
    assert again.code == 0, again.err
    assert again.json == {"version": only["version"], "bundle": only["bundle"]}


def test_promoting_an_unknown_version_moves_nothing(leafloop: Leafloop) -> None:
    done = leafloop("models", "promote", "99", "--reason", "a try")
    assert done.code == 1
    assert "not_found" in done.err
    assert leafloop("models", "list", "--json").json[0]["aliases"] == ["champion"]


def test_a_promotion_needs_a_reason(leafloop: Leafloop) -> None:
    assert leafloop("models", "promote", "1").code == 2
    assert leafloop("models", "promote", "1", "--reason", " ").code == 1


def test_there_is_nothing_to_go_back_to_on_a_fresh_home(leafloop: Leafloop) -> None:
    done = leafloop("models", "rollback", "--reason", "a try", "--json")
    assert done.code == 1
    assert done.err.strip()
