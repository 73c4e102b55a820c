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
    "longer": Word("Longer service, in seconds", "服务期顺延（秒）"),
    "lost": Word("Lost in the period", "本期损失时长"),
    "adds": Word("Longer for it", "本期顺延"),
    "longer_in_all": Word("Longer in all", "累计顺延"),
    "ends": Word("The term ends", "顺延后到期"),
    "limits": Word("Most of a year or of the term", "年度及合同期限额"),
    "per": Word("Time", "期间"),
    "most": Word("At most", "限额"),
    "used_before": Word("Used before", "此前已用"),
    "per.calendar_year": Word("calendar year", "自然年度"),
    "per.contract_year": Word("contract year", "合同年度"),
    "per.term": Word("term", "合同期"),
    "fact.days_late_before": Word("of them before the period", "其中本期之前天数"),
    "fact.ten_thousandths": Word("ten-thousandths a day", "每日万分之"),
    "payments": Word("Fees as they were paid", "费用支付情况"),
    "payments_note": Word(
        "To be paid before {0}: {1}. Left: {2}.", "应于 {0} 之前支付：{1}。未付：{2}。"
    ),
    "confirmed": Word("Confirmed by who received it", "收款方已确认"),
    "days_late": Word("Days late", "逾期天数"),
    "reference": Word("For, or reference", "用途或凭证号"),
    "interest": Word("Late payment", "逾期付款违约金"),
    "ten_thousandths": Word("Ten-thousandths a day", "每日万分之"),
    "late_amount": Word("Owed for it", "应付逾期违约金"),
    "deposit": Word("Deposit", "押金"),
    "deposit_note": Word(
        "Agreed: {0}; held: {1}; missing: {2}. To be returned before {3}.",
        "约定：{0}；现存：{1}；欠缴：{2}。应于 {3} 之前退还。",
    ),
    "deposit.deposit_paid": Word("paid", "已收取"),
    "deposit.deposit_taken": Word("taken from it", "已扣除"),
    "deposit.deposit_returned": Word("returned", "已退还"),
    "flag.payment_late": Word(
        "Fees were not paid in time, by what was told.", "根据已告知的付款情况，费用未按期支付。"
    ),
    "flag.deposit_overdue": Word(
        "A deposit is held after the day on which it was to be returned.", "押金逾期未退还。"
    ),
    "flag.limit_use_unknown": Word(
        "What earlier periods used of a limit of the year or of the term is not known: what is left lies between"
        " nothing and all of it.",
        "此前各期对年度或合同期限额的占用尚不明确：剩余额度介于零与全额之间。",
    ),
}
