"""What speaks against the log itself is found for every contract, those that come later too, and once."""

from weighbridge.judge.log_findings import LogCredit
from weighbridge.judge.snapshot import dump, restore
from weighbridge.log.entries import Contradiction


def said(size: int = 7, ours: str | None = None, *, proven: bool = True) -> Contradiction:
    return Contradiction(
        key_id="0" * 64, node="n1", size=size, root="a" * 64, ours=ours, proven=proven
    )


def test_each_contract_is_told_once_also_after_a_restart() -> None:
    credit = LogCredit()
    assert list(credit.findings(["a"])) == []
    credit.see(said(), 5)
    (found,) = credit.findings(["a"])
    assert (found.contract, found.code, found.since_us) == ("a", "log_shrank", 5)
    credit = restore(dump(credit), LogCredit)
    credit.see(said(9), 6)
    assert [one.contract for one in credit.findings(["a", "b"])] == ["b"]
    assert list(credit.findings(["a", "b"])) == []


def test_proof_stands_beside_a_word_and_names_no_tenant() -> None:
    credit = LogCredit()
    credit.see(said(ours="b" * 64, proven=False), 5)
    credit.see(said(ours="b" * 64), 6)
    found = list(credit.findings(["a"]))
    assert [(one.code, one.severity, one.level) for one in found] == [
        ("log_forked_said", "warning", "E0"),
        ("log_forked", "error", "E1"),
    ]
    assert not any("n1" in str(one) for one in found)
