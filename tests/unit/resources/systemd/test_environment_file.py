"""Files that units read their environment from."""

from __future__ import annotations

from encamp.resources.systemd.environment_file import environment_of


def test_an_environment_file_is_read_as_systemd_does() -> None:
    text = '# c\nA=1\nB="two \\"words\\" \\$x \\\\"\n\n; no\nC=\n'
    assert environment_of(text) == {"A": "1", "B": 'two "words" $x \\', "C": ""}
