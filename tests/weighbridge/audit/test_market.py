"""Every fraud of the market is flagged by its day, and no honest deal is on any of those days."""

from collections import defaultdict
from functools import cache

import pytest

from tests.weighbridge.audit.deals import HUNDRED, KEYS, market
from tests.weighbridge.audit.market import DAY_US, at, portfolio
from weighbridge.audit.auditing import flags
from weighbridge.audit.flag import flag_rows

DEALS = {one.name: one for one in market()}
RAISED = [(one.name, code, day) for one in DEALS.values() for code, day in one.flags.items()]
DAYS = sorted({day for *_, day in RAISED})
LAST = "2026-03-20"


@cache
def known(day: str) -> dict[str, set[str]]:
    """By contract the codes that are raised at the end of a day."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for flag in flags(portfolio(DEALS.values(), at(day) + DAY_US - 1, KEYS)):
        for name in flag.contracts:
            found[name].add(flag.code)
    return found


def test_the_market_has_a_hundred_deals_and_every_flag_is_raised_by_one_of_them() -> None:
    assert len(DEALS) == HUNDRED
    assert {code for _, code, _ in RAISED} == set(flag_rows())


@pytest.mark.parametrize(("name", "code", "day"), RAISED)
def test_each_fraud_is_flagged_by_its_day(name: str, code: str, day: str) -> None:
    assert code in known(day)[name]


@pytest.mark.parametrize("day", [*DAYS, LAST])
def test_no_honest_deal_is_flagged_on_any_of_these_days(day: str) -> None:
    honest = {name for name, one in DEALS.items() if not one.flags}
    assert {name: codes for name, codes in known(day).items() if name in honest} == {}
