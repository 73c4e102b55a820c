"""The words of remedies that go beyond a period, and of what the parties paid each other."""

from collections.abc import Mapping

from collector.documents.word import Word

REMEDIES: Mapping[str, Word] = {
    "arose": Word("Arose", "成就时间"),
    "exit_amount": Word("Worth", "可得金额"),
    "more_than": Word("more than {} days", "超过 {} 日"),
    "at_least": Word("at least {} days", "达到 {} 日"),
    "lasting.outage": Word("outage", "持续中断"),
    "lasting.late_delivery": Word("late delivery", "逾期交付"),
    "limits": Word("Most of a year or of the term", "年度及合同期限额"),
    "per": Word("Time", "期间"),
    "most": Word("At most", "限额"),
    "used_before": Word("Used before", "此前已用"),
    "per.calendar_year": Word("calendar year", "自然年度"),
    "per.contract_year": Word("contract year", "合同年度"),
    "per.term": Word("term", "合同期"),
    "fact.days_late_before": Word("of them before the period", "其中本期之前天数"),
    "fact.ten_thousandths": Word("ten-thousandths a day", "每日万分之"),
    "flag.limit_use_unknown": Word(
        "What earlier periods used of a limit of the year or of the term is not known: what is left lies between"
        " nothing and all of it.",
        "此前各期对年度或合同期限额的占用尚不明确：剩余额度介于零与全额之间。",
    ),
}
