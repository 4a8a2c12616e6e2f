"""Templates: every variable required, secrets stay secret, systemd's quoting rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from encamp.errors import PlanError
from encamp.planning.templates import SHIPPED, Templates, templates_of
from encamp.secrets.vault.values import Decrypted, DecryptedScalar
from encamp.shared.secret import Secret
from encamp.support import cache
from encamp.support.checkout import TEMPLATES
from encamp.support.quoting import env_value, unit_word


def test_a_missing_variable_is_an_error_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "t.j2").write_text("one\n{{ missing }}\n")
    with pytest.raises(PlanError) as caught:
        Templates((tmp_path,)).render("t.j2")
    assert "'missing' is undefined" in str(caught.value)
    assert str(caught.value.where).endswith("t.j2:2")


def test_a_syntax_error_is_an_error_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "t.j2").write_text("one\n{% if %}\n")
    with pytest.raises(PlanError) as caught:
        Templates((tmp_path,)).render("t.j2")
    assert str(caught.value.where).endswith("t.j2:2")


def test_text_that_used_a_secret_is_a_secret(tmp_path: Path) -> None:
    (tmp_path / "t.j2").write_text("password={{ p }}\n")
    found = Templates((tmp_path,)).render("t.j2", p=Secret("hunter2"))
    assert isinstance(found, Secret) and found.reveal() == "password=hunter2\n"
    assert Templates((tmp_path,)).render("t.j2", p="open") == "password=open\n"


def test_a_filtered_secret_is_still_one(tmp_path: Path) -> None:
    (tmp_path / "t.j2").write_text("password={{ p | env_value }}\n")
    found = Templates((tmp_path,)).render("t.j2", p=Secret("a b"))
    assert isinstance(found, Secret) and found.reveal() == 'password="a b"\n'


def test_a_kept_text_follows_template_and_variables(tmp_path: Path) -> None:
    (tmp_path / "t.j2").write_text("{{ a }}\n")
    assert [Templates((tmp_path,)).render("t.j2", a=a) for a in ("1", "2", "1")] == ["1\n", "2\n", "1\n"]
    (tmp_path / "t.j2").write_text("<{{ a }}>\n")
    assert Templates((tmp_path,)).render("t.j2", a="1") == "<1>\n"


def test_what_came_out_of_a_vault_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[bytes] = []
    monkeypatch.setattr(cache, "write", lambda name, data: kept.append(data))
    (tmp_path / "t.j2").write_text("{{ a.url }} {{ b[0] }}\n")
    texts = [
        Templates((tmp_path,)).render("t.j2", a={"url": Decrypted(f"one{n}")}, b=[DecryptedScalar("2", 2)])
        for n in "12"
    ]
    assert texts == ["one1 2\n", "one2 2\n"] and not kept


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("http://h:4200/api", "http://h:4200/api"),
        ("postgresql+asyncpg://u@/db?host=/run/pg", "postgresql+asyncpg://u@/db?host=/run/pg"),
        ("a b", '"a b"'),
        ("p%40$\\\"`'", '"p%40\\$\\\\\\"\\`\'"'),
        ("", '""'),
    ],
)
def test_environment_file_values(value: str, written: str) -> None:
    assert env_value(value) == written


def test_a_line_break_cannot_smuggle_in_another_variable() -> None:
    with pytest.raises(ValueError, match="line break"):
        env_value("a\nPREFECT_API_URL=x")


@pytest.mark.parametrize(
    ("word", "written"), [("/bin/x", "/bin/x"), ("50%", "50%%"), ("a b", '"a b"'), ("$HOME", "$$HOME")]
)
def test_unit_words(word: str, written: str) -> None:
    assert unit_word(word) == written


class TestTemplatesOfASite:
    """They go before encamp's own of the same name."""

    def test_the_sites_own_counts_and_the_others_stay(self, tmp_path: Path) -> None:
        path = tmp_path / "templates" / "prefect_server"
        path.mkdir(parents=True)
        (path / "server.env.j2").write_text("# ours\n")
        found = templates_of(tmp_path)
        assert found.render("prefect_server/server.env.j2", settings={}) == "# ours\n"
        assert found.read("prefect_worker/draining.py") == SHIPPED.read("prefect_worker/draining.py")
        (path / "server.env.j2").unlink()
        assert found.render("prefect_server/server.env.j2", settings={}) != "# ours\n"

    def test_a_template_that_includes_another_follows_it(self, tmp_path: Path) -> None:
        (tmp_path / "templates").mkdir()
        (tmp_path / "templates" / "mine.j2").write_text("{% include 'part.j2' %}")
        texts = []
        for text in ("one", "two"):
            (tmp_path / "templates" / "part.j2").write_text(text)
            texts.append(templates_of(tmp_path).render("mine.j2"))
        assert texts == ["one", "two"]

    def test_an_error_names_the_sites_file(self, tmp_path: Path) -> None:
        (tmp_path / "templates").mkdir()
        (tmp_path / "templates" / "mine.j2").write_text("\n{{ missing }}\n")
        with pytest.raises(PlanError) as caught:
            templates_of(tmp_path).render("mine.j2")
        assert str(caught.value.where).endswith("templates/mine.j2:2")

    def test_a_site_without_templates_and_the_checkout_have_encamps(self, tmp_path: Path) -> None:
        assert templates_of(tmp_path) == SHIPPED == templates_of(TEMPLATES.parent)

    def test_a_template_that_is_nowhere(self, tmp_path: Path) -> None:
        with pytest.raises(PlanError, match=r"there is no template nosuch\.j2"):
            templates_of(tmp_path).render("nosuch.j2")
