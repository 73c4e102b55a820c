"""What one key may cost in an hour: beyond it that key waits, and nobody else."""

from pathlib import Path

import pytest

from collector.log.budgets import Budgets, Costs
from tests.collector.building import Agent, make_store, serving, set_config
from weighbridge.wire.problems import Problem

HOURLY = Costs(bytes=1000, reports=10, chains=2, findings=100)


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def refused(budgets: Budgets, key: str) -> Problem:
    with pytest.raises(Problem) as caught:
        budgets.charge({key: Costs(1, 1)})
    return caught.value


@pytest.mark.parametrize("cost", [Costs(bytes=1000), Costs(reports=10), Costs(chains=2)])
def test_a_key_that_has_used_up_one_of_them_waits_for_as_long_as_it_says(cost: Costs) -> None:
    clock = Clock()
    budgets = Budgets(HOURLY, clock)
    budgets.charge({"a": cost})
    budgets.charge({"b": Costs(1, 1, 1)})
    problem = refused(budgets, "a")
    assert (problem.code, problem.status) == ("over_budget", 429)
    assert problem.retry_after_seconds is not None
    clock.now_s += problem.retry_after_seconds
    budgets.charge({"a": Costs(1, 1)})


def test_what_judging_brings_is_a_debt_that_time_pays() -> None:
    clock = Clock()
    budgets = Budgets(HOURLY, clock)
    budgets.charge({"a": Costs(1, 1)})
    budgets.found("a", 300)
    assert "findings" in refused(budgets, "a").detail
    clock.now_s += 3600
    refused(budgets, "a")
    clock.now_s += 2 * 3600
    budgets.charge({"a": Costs(1, 1)})


def test_what_was_sent_before_this_process_costs_nothing() -> None:
    budgets = Budgets(HOURLY, Clock())
    budgets.found("a", 10_000)
    budgets.charge({"a": Costs(1, 1)})


def test_a_real_collector_answers_429_says_when_to_come_again_and_counts_it(tmp_path: Path) -> None:
    one, other = Agent("node-0", gpus=1), Agent("node-1", gpus=1)
    store = make_store(tmp_path / "store", [one, other])
    set_config(store, limits="{hourly_reports = 3}")
    with serving(store) as server:
        assert [server.report(one.next()).status for _ in range(3)] == [200, 200, 200]
        answer = server.report(one.next())
        assert (answer.status, answer.json["code"]) == (429, "over_budget")
        assert 1 <= int(answer.headers["Retry-After"]) <= 3600
        assert server.report(other.next()).status == 200
        assert 'result="over_budget"} 1' in server.get("/metrics").body.decode()


def test_what_the_log_has_already_is_not_its_keys_to_pay_whoever_sends_it_again(
    tmp_path: Path,
) -> None:
    """Whoever was given a bundle has the reports in it, and could use up the key's hour with them."""
    one, other = Agent("node-0", gpus=1), Agent("node-1", gpus=1)
    store = make_store(tmp_path / "store", [one, other])
    set_config(store, limits="{hourly_reports = 4}")
    with serving(store) as server:
        known = one.next()
        assert server.report(known).status == 200
        again = [server.report(known).status for _ in range(6)]
        assert again == [200, 200, 200, 200, 429, 429], "who sends it again pays, to an end"
        assert [server.report(one.next()).status for _ in range(3)] == [200, 200, 200]
        assert server.report(one.next()).status == 429
        assert server.report(other.next()).status == 200
