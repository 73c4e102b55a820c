"""The words that a claim letter and a notice have beyond those of a statement."""

from collections.abc import Mapping

from collector.documents.word import Word

LETTER: Mapping[str, Word] = {
    "letter_title": Word("Claim for service credits", "索赔函"),
    "letter_final": Word("on the final statement", "依据终版结算单"),
    "letter_provisional": Word("on a provisional statement", "依据待确认结算单"),
    "letter_to": Word("To", "致"),
    "letter_from": Word("Claimant", "索赔方"),
    "letter_subject": Word("About", "事由"),
    "letter_about": Word(
        "Contract {}, billing period {}: service below what was promised",
        "合同（编号：{}）{} 结算周期服务未达约定标准的赔偿事宜",
    ),
    "registered": Word("{}, registration {}", "{}（统一社会信用代码／登记号：{}）"),
    "letter_total": Word("Amount claimed", "索赔金额合计"),
    "letter_nothing": Word("In this period no credit was earned.", "本结算周期内未产生服务赔偿。"),
    "letter_body": Word("The claim", "致函内容"),
    "letter_claimed": Word(
        "Under the contract named above, the units listed below did not receive the service that it promises for the "
        "period. We claim the credits that the contract gives for it, as the attached statement reckons them.",
        "依据上述合同，下列单元在本结算周期内未达到合同约定的服务标准。现依约提出索赔，"
        "金额以所附结算单的计算为准，请贵方按合同约定予以确认并支付或抵扣。",
    ),
    "letter_most": Word(
        "Some time is still to come, or is unknown and held by the contract: the amounts are the most that can be "
        "owed, as the attached statement shows line by line.",
        "部分时间尚未到来，或属未知且依约暂予保留：所列金额为可能应付的最高额，逐项见所附结算单。",
    ),
    "letter_until": Word(
        "To be claimed before {}: as of {} there was {} left.",
        "申请截止（不含）：{}。截至 {}，尚未逾期，剩余 {}。",
    ),
    "letter_past": Word(
        "Was to be claimed before {}: as of {} that is past.",
        "申请截止（不含）：{}。截至 {}，已逾期。",
    ),
    "letter_lapsed": Word(
        "Lapsed, and not part of the amount: {}.", "已逾期失效、未计入合计的金额：{}。"
    ),
    "letter_claims": Word("Credits claimed", "索赔明细"),
    "letter_units": Word("What was promised, and what came", "约定标准与实际情况"),
    "letter_evidence": Word("What the claim rests on", "证据"),
    "letter_log": Word("Head of the log that holds the evidence", "存证日志的检查点"),
    "letter_attached": Word("Attached", "附件"),
    "attached_statement": Word(
        "1. Statement of service ({}), as canonical JSON, SHA-256 {}",
        "1. 服务结算单（{}），规范 JSON，SHA-256：{}",
    ),
    "attached_evidence": Word(
        "2. List of evidence: outages, notices, and the versions that judged",
        "2. 证据清单：故障、通知及判定所用版本",
    ),
    "is_past": Word("Past, as of the statement", "截至数据时间是否逾期"),
    # A notice, as a letter
    "notice_title.maintenance": Word("Notice of maintenance", "维护通知书"),
    "notice_title.cause": Word("Notice of a cause", "原因说明函"),
    "notice_title.claim": Word("Claim", "索赔通知书"),
    "notice_title.event": Word("Notice", "工作联系函"),
    "notice_title.cancelled": Word("Notice of termination", "解除合同通知书"),
    "notice_title.not_delivered": Word("Demand for delivery", "催告函（逾期未交付）"),
    "notice_title.delivered": Word("Notice of delivery", "交付通知书"),
    "notice_title.acceptance_signed": Word("Notice of acceptance", "验收确认书"),
    "notice_title.acceptance_refused": Word("Refusal of acceptance", "拒收通知书（书面异议）"),
    "notice_title.batch_accepted": Word("Acceptance of a batch", "分批验收确认书"),
    "notice_title.fault_reported": Word("Report of a fault", "故障报修单"),
    "notice_title.maintenance_withdrawn": Word("Maintenance called off", "维护撤回通知书"),
    "notice_title.claim_accepted": Word("Answer to a claim", "索赔答复函"),
    "notice_title.claim_refused": Word("Answer to a claim", "索赔答复函"),
    "notice_title.credit_paid": Word("Notice of payment", "付款通知书"),
    "notice_title.credit_set_off": Word("Notice of set-off", "抵销通知书"),
    "notice_title.period_agreed": Word("Agreement on a period", "结算确认书"),
    "notice_entry": Word("entry {} of the log", "日志第 {} 条"),
    "notice_about": Word("What is said", "事项"),
    "notice_from": Word("Said by", "发函方"),
    "notice_at": Word("When it happened", "发生时间"),
    "notice_received": Word("Received by the collector", "采集端收到时间"),
    "notice_details": Word("Details", "具体内容"),
    "detail": Word("Detail", "名目"),
    "told": Word("As said", "所述"),
    "detail.amount": Word("amount", "金额"),
    "detail.digest": Word("digest of the statement", "结算单哈希值"),
    "detail.id": Word("name of the window", "维护编号"),
    "detail.new": Word("now", "现设备"),
    "detail.old": Word("before", "原设备"),
    "detail.party": Word("party", "提出方"),
    "detail.period": Word("period", "结算周期"),
    "detail.probe": Word("test", "测试"),
    "detail.reason": Word("reason", "理由"),
    "detail.severity": Word("severity", "严重程度"),
    "detail.value": Word("value", "数值"),
    "detail.version": Word("version", "版本"),
    "notice_counts": Word(
        "A notice counts from when the collector received it. What it means for the contract, the statement of the "
        "period shows.",
        "通知自采集端收到时起计；其对合同的影响以相应周期的结算单为准。",
    ),
    "notice_sign": Word("Signed for the party that gives this notice.", "特此通知。"),
    "letter_sign": Word("Signed for the lessee.", "特此函告。"),
}
