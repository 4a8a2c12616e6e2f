"""Waves: stage order, and one go for a host that is alone."""

from __future__ import annotations

from encamp.planning.rollout import waves


def plain(stages: list[tuple[str, list[str]]]) -> list[dict[str, tuple[str, ...]]]:
    return [wave.hosts for wave in waves(stages)]


def test_one_box_does_everything_in_one_go() -> None:
    assert plain([("server", ["vm1"]), ("worker", ["vm1"])]) == [{"vm1": ("server", "worker")}]


def test_a_server_that_also_works_goes_first_and_its_peers_wait_for_it() -> None:
    found = plain([("server", ["vm1"]), ("worker", ["vm1", "w1", "w2"])])
    assert found == [{"vm1": ("server", "worker")}, {"w1": ("worker",), "w2": ("worker",)}]


def test_two_servers_are_both_healthy_before_any_worker_starts() -> None:
    found = plain([("server", ["a", "b"]), ("worker", ["a", "w"])])
    assert found == [{"a": ("server",), "b": ("server",)}, {"a": ("worker",), "w": ("worker",)}]


def test_a_stage_between_keeps_later_stages_apart() -> None:
    found = plain([("database", ["db"]), ("server", ["api"]), ("worker", ["db"])])
    assert found == [{"db": ("database",)}, {"api": ("server",)}, {"db": ("worker",)}]


def test_empty_stages_are_no_waves() -> None:
    assert plain([("server", []), ("worker", ["w"])]) == [{"w": ("worker",)}]
