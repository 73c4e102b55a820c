"""The words of notices: what parties say, the forms for it, and what it would change."""

from collections.abc import Mapping

from collector.documents.word import Word

NOTICES: Mapping[str, Word] = {
    "notices": Word("Notices", "通知"),
    "notices_of": Word("What the parties of {} said", "合同 {} 各方所述"),
    "nothing_said": Word("Nobody has said anything yet.", "尚无任何通知。"),
    "say_something": Word("Say something", "发出通知"),
    "say_nothing": Word(
        "You speak for no party of this contract: log in as one, or sign a notice with a party's key.",
        "您不代表本合同任何一方：请以合同一方身份登录，或用该方密钥签署通知。",
    ),
    "entered": Word("Entered in the log as entry {}.", "已写入日志，条目编号 {}。"),
    "said_by_whom": Word("Said by", "发出方"),
    "what_was_said": Word("What", "事项"),
    "received": Word("Received", "收到时间"),
    "how_known": Word("How it is known", "确认方式"),
    "what_became": Word("What became of it", "处理结果"),
    "log_entry": Word("Entry", "日志条目"),
    "answer_with": Word("Answer: {}", "答复：{}"),
    "as_letter": Word("Letter", "函件"),
    "of_unit": Word("of {}", "单元 {}"),
    "from_until": Word("{} to {}", "{} 至 {}"),
    "back_to_contract": Word("The contract", "返回合同"),
    "back_to_notices": Word("All notices", "全部通知"),
    "group.work": Word("Maintenance", "维护"),
    "group.faults": Word("Faults and repairs", "故障与修复"),
    "group.delivery": Word("Delivery and acceptance", "交付与验收"),
    "group.claims": Word("Claims and statements", "索赔与结算"),
    "group.money": Word("Payments and the deposit", "付款与押金"),
    "group.others": Word("Others", "其他"),
    "event.maintenance": Word("maintenance", "维护通知"),
    "event.cause": Word("cause of lost time", "说明中断原因"),
    "event.claim": Word("claim for the credits of a period", "提出索赔"),
    # What became of it
    "fate.stands": Word("stands", "有效"),
    "fate.cause_counts": Word("counts: the lessee said it", "计入：由承租方提出"),
    "fate.cause_waits": Word(
        "does not count until the lessee says the same", "待承租方同样提出后方可计入"
    ),
    "fate.said_too": Word("the other side said the same", "对方已作相同表示"),
    "fate.waits": Word("open until the other side says the same", "待对方作相同表示"),
    "fate.closed": Word("both sides agreed: the period is closed", "双方已确认，该期已结清"),
    "fate.unanswered": Word("not answered yet", "尚未答复"),
    "by_entry": Word("by entry {}", "见条目 {}"),
    # Forms
    "notice_party": Word("Who says it", "发出方"),
    "preview": Word("Preview what it changes", "预览影响"),
    "preview_first": Word(
        "Nothing is entered yet: the next page shows what it would change.",
        "提交后仅显示影响预览，尚不写入日志。",
    ),
    "optional": Word("may be left empty", "可不填"),
    "wrong_fields": Word("This cannot be said so", "填写有误"),
    "instant_hint": Word(
        "On the clocks of {}: year-month-day hour:minute:second", "按 {} 时间：年-月-日 时:分:秒"
    ),
    "amount_hint": Word("In {}, such as 12.50", "币种 {}，如 12.50"),
    "unit_hint": Word(
        "A node, or a slot of it such as n1.0; empty: all", "节点，或其槽位如 n1.0；不填：全部"
    ),
    "units_hint": Word(
        "Nodes or slots, with spaces between them; empty: all", "节点或槽位，以空格分隔；不填：全部"
    ),
    "claimable_hint": Word(
        "A unit as the statement names it; empty: all", "结算单所列单元；不填：全部"
    ),
    "batch_hint": Word("A batch of the delivery", "交付批次"),
    "digest_hint": Word(
        "The SHA-256 of the statement that was issued, in 64 hex digits",
        "已出具结算单的 SHA-256（64 位十六进制）",
    ),
    "period_hint": Word("As statements name it, such as {}", "结算单所用名称，如 {}"),
    "field.id": Word("Name of the window", "维护编号"),
    "field.from": Word("From", "开始"),
    "field.until": Word("Until", "结束"),
    "field.units": Word("Units", "单元"),
    "field.unit": Word("Unit", "单元"),
    "field.code": Word("Cause", "原因"),
    "field.period": Word("Period", "结算周期"),
    "field.at": Word("When it happened", "发生时间"),
    "field.since": Word("Since when", "起始时间"),
    "field.probe": Word("Test", "测试"),
    "field.value": Word("Value", "数值"),
    "field.version": Word("Version", "版本"),
    "field.severity": Word("Severity", "严重程度"),
    "field.reason": Word("Reason", "理由"),
    "field.amount": Word("Amount", "金额"),
    "field.digest": Word("Digest of the statement", "结算单哈希值"),
    "field.reference": Word("Reference of the payment", "付款凭证号"),
    "field.new": Word("UUID of the new GPU", "新 GPU 的 UUID"),
    "field.old": Word("UUID of the old GPU", "原 GPU 的 UUID"),
    # What is wrong
    "notice_error.needed": Word("This is needed.", "必填。"),
    "notice_error.too_long": Word("This is longer than {most}.", "超过长度上限 {most}。"),
    "notice_error.no_name": Word(
        "{named} is no name: letters, digits and . _ : / -, at most 128 of them.",
        "{named} 不是有效名称：仅限字母、数字及 . _ : / -，至多 128 个字符。",
    ),
    "notice_error.no_instant": Word(
        "{named} is no time such as 2026-10-05 08:00:00.",
        "{named} 不是有效时间，例：2026-10-05 08:00:00。",
    ),
    "notice_error.never_shown": Word(
        "Clocks in {zone} never show {named}: they are put forward then.",
        "{zone} 时间不存在 {named}（时钟拨快）。",
    ),
    "notice_error.shown_twice": Word(
        "Clocks in {zone} show {named} twice: write {first} or {second}.",
        "{zone} 时间 {named} 出现两次：请写明 {first} 或 {second}。",
    ),
    "notice_error.unshowable": Word(
        "The text holds control characters, or marks of direction.", "文本含控制字符或方向标记。"
    ),
    "notice_error.ends_first": Word("It ends before it begins.", "结束早于开始。"),
    "notice_error.no_cause": Word(
        "{named} is no cause of the contract; there are: {known}.",
        "合同无此原因：{named}；可选：{known}。",
    ),
    "notice_error.no_event": Word(
        "{named} is no event of the contract; there are: {known}.",
        "合同无此事件：{named}；可选：{known}。",
    ),
    "notice_error.no_party": Word(
        "{named} is no party of {contract}; there are: {known}.",
        "{named} 不是 {contract} 的一方；可选：{known}。",
    ),
    "notice_error.no_unit": Word(
        "{named} is nothing that this can be said of; there are: {known}.",
        "此事项不适用于 {named}；可选：{known}。",
    ),
    "notice_error.no_period": Word("This is no period: {why}.", "不是有效结算周期：{why}。"),
    "notice_error.outside_term": Word(
        "{period} lies outside the term of {contract}.", "{period} 不在 {contract} 的合同期内。"
    ),
    "notice_error.no_amount": Word(
        "{named} is no amount such as 12.50.", "{named} 不是有效金额，例：12.50。"
    ),
    "notice_error.no_digest": Word(
        "The digest is that of the statement: a SHA-256 in 64 hex digits.",
        "应为结算单的 SHA-256（64 位十六进制）。",
    ),
    "notice_error.missing": Word("{missing}: this is needed.", "{missing}：必填。"),
    "notice_error.for_itself": Word("A party cancels for itself alone.", "各方只能为自己解除。"),
    "notice_error.of_no_unit": Word("This is said of no unit.", "此事项不针对单元。"),
    "notice_error.no_objective": Word("A claim is for a unit, or for all.", "索赔针对单元或全部。"),
    "notice_error.not_for_role": Word(
        "This is not for the {role} to say, but for {may}.",
        "此事项不由 {role} 提出，应由 {may} 提出。",
    ),
    # Previews
    "preview_of": Word("What this would change", "影响预览"),
    "preview_means": Word(
        "Nothing is entered yet. These are the statements with the notice against without it, both as of {}."
        " It counts from when it is received.",
        "尚未写入日志。以下为有无该通知两种情形下结算单的对比，数据均截至 {}。通知自收到时起计。",
    ),
    "you_say": Word("{} says: {}", "{} 表示：{}"),
    "in_period": Word("Statement of {}", "{} 结算单"),
    "is_final": Word("final", "终版"),
    "is_provisional": Word("provisional", "待确认"),
    "without_it": Word("Without it", "无此通知"),
    "with_it": Word("With it", "有此通知"),
    "no_change": Word("This statement stays as it is.", "该结算单不变。"),
    "no_change_closed": Word(
        "This statement is closed: nothing that is said now changes it.",
        "该结算单已结清：现在所述均不再影响。",
    ),
    "no_change_final": Word(
        "This statement is final: what is said now of its time comes too late.",
        "该结算单已为终版：现在就该期所述已逾期。",
    ),
    "every_difference": Word("Every difference, as a statement lists it ({})", "全部差异（{} 处）"),
    "more_changes": Word("And {} more changes.", "另有 {} 处变化。"),
    "not_begun_yet": Word(
        "Nothing can be stated yet of {}: it has not begun.", "{} 尚未开始，暂无结算单。"
    ),
    "left_out": Word("Earlier periods are not worked out here: {}.", "更早的周期未列出：{}。"),
    "remark.cause_counts": Word(
        "A cause that the lessee names excludes time at once.", "承租方提出的原因即时生效。"
    ),
    "remark.cause_waits": Word(
        "A cause excludes time once the lessee says the same; by itself this changes nothing.",
        "原因须待承租方同样提出后方可剔除时长；单方提出不产生影响。",
    ),
    "remark.waits": Word(
        "Against the other side this is open until it says the same.",
        "对另一方而言，待其作相同表示前仍属未决。",
    ),
    "remark.agreement_waits": Word(
        "The period is closed once both sides agree on the same issued statement; one alone changes nothing.",
        "双方对同一份已出具的结算单均予确认后，该期方可结清；单方确认不产生影响。",
    ),
    "remark.changes_nothing": Word(
        "This changes nothing in the statements shown.", "此通知不改变所列结算单。"
    ),
    "remark.claim_of_nothing": Word(
        "There is nothing that this claims: no credit of the period was earned for it.",
        "该期没有可供索赔的服务赔偿。",
    ),
    "remark.claim": Word("Of what is claimed, some: {}.", "所索赔项目中部分：{}。"),
    "remark.maintenance": Word(
        "By itself the contract rules on this window: {}; {} of it would not count.",
        "合同对该维护的裁定：{}；其中 {} 不计入。",
    ),
    "remark.said_before": Word(
        "The same was said before, in entry {}: it is not entered again.",
        "相同内容已于条目 {} 提出，不再重复写入。",
    ),
    "attest": Word("Say it: the collector attests that you did", "确认发出（由采集端证明）"),
    "download": Word("Download, to sign it with a key", "下载后用密钥签署"),
    "change": Word("Change it", "返回修改"),
    "sign_how": Word(
        "A file is signed by <code>weighbridge notice sign FILE --key KEY</code>, and posted to"
        " <code>/v1/notices</code>.",
        "下载的文件用 <code>weighbridge notice sign FILE --key KEY</code> 签署，再提交至 <code>/v1/notices</code>。",
    ),
    "none_here": Word("—", "—"),
    # Lines of statements, and their values
    "lines.": Word("The whole", "整体"),
    "lines.flags": Word("To look at", "需人工核查"),
    "lines.exits": Word("Rights to leave", "单方解除权"),
    "lines.longer": Word("Longer service", "服务期延长"),
    "lines.swaps": Word("Replaced", "更换"),
    "lines.answers": Word("Answers to claims, and payments", "赔偿申请答复与支付"),
    "lines.payments": Word("Fees", "费用"),
    "lines.deposit": Word("Deposit", "押金"),
    "lines.service": Word("Service", "服务期"),
    "lines.units": Word("Availability", "可用率"),
    "lines.credits": Word("Credit", "服务赔偿"),
    "lines.others": Word("Other credits and damages", "其他服务赔偿与违约金"),
    "lines.by_lessee": Word("Owed by the lessee", "承租方应付"),
    "lines.probes": Word("Performance", "性能"),
    "lines.dues": Word("Claim", "索赔"),
    "lines.maintenance": Word("Maintenance", "维护"),
    "lines.clocks": Word("Answers and repairs", "响应与修复"),
    "lines.floors": Word("Least capacity", "最低算力保障"),
    "lines.fees": Word("Fees", "费用"),
    "lines.delivery": Word("Delivery", "交付"),
    "value.owed": Word("owed now", "现应付"),
    "value.outstanding": Word("not paid yet", "未结"),
    "value.final": Word("final", "终版"),
    "value.standing": Word("standing", "状态"),
    "value.total_seconds": Word("longer by, seconds", "延长秒数"),
    "value.until": Word("until", "至"),
    "value.at": Word("at", "时间"),
    "value.event": Word("said", "所述"),
    "value.left": Word("not paid", "未付"),
    "value.held": Word("held", "已收"),
    "value.lacking": Word("missing", "尚缺"),
    "value.service": Word("from and until", "起止"),
    "value.verdict": Word("verdict", "判定"),
    "value.service_seconds": Word("seconds of service", "服务秒数"),
    "value.counted_seconds": Word("counted seconds", "计入秒数"),
    "value.excluded_seconds": Word("excluded seconds", "剔除秒数"),
    "value.unknown_seconds": Word("unknown seconds", "未知秒数"),
    "value.availability": Word("availability", "可用率"),
    "value.share": Word("share", "占比"),
    "value.deadline": Word("to be claimed before", "申请截止"),
    "value.opens": Word("to be claimed from", "可申请起始"),
    "value.ruling": Word("ruling", "裁定"),
    "value.seconds": Word("seconds", "秒数"),
    "value.end": Word("end", "结束"),
    "value.net": Word("net", "净额"),
    "value.contracted_gpu_seconds": Word("contracted GPU-seconds", "约定 GPU·秒"),
}
