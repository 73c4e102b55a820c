"""Every word of the renderings, in both languages, in one table; and how numbers, times and money are written.

Those of the delivery note and the certificate alone come from `handover_words`, those of an audit from `audit_words`,
those of a claim letter from `letter_words`,
those of remedies beyond a period from `remedy_words`.
"""

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

from collector.documents.audit_words import AUDIT
from collector.documents.handover_words import HANDOVER
from collector.documents.letter_words import LETTER
from collector.documents.remedy_words import REMEDIES
from collector.documents.word import Word
from weighbridge.catalogue.currencies import currencies
from weighbridge.codes import Note, Value
from weighbridge.settlement.statement import path_text

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")


WORDS: Mapping[str, Word] = {
    "title": Word("Statement of service", "服务结算单"),
    "simulated": Word("SIMULATED", "模拟数据"),
    "simulated_long": Word(
        "SIMULATED: nothing on this statement was measured on real hardware.",
        "模拟数据：本结算单中的任何数据均非在真实硬件上测得。",
    ),
    "final": Word("final", "终版"),
    "provisional": Word("provisional", "待确认"),
    "contract": Word("Contract", "合同"),
    "version": Word("Version", "版本"),
    "version_of_contract": Word("Version of the contract", "合同版本"),
    "from": Word("From", "起"),
    "until": Word("To (not included)", "止（不含）"),
    "from_utc": Word("From, in UTC", "起（UTC）"),
    "until_utc": Word("To, in UTC", "止（UTC）"),
    "status": Word("Status", "状态"),
    "as_of": Word("As of", "数据截至"),
    "engine": Word("Engine", "结算引擎"),
    "currencies": Word("Table of currencies", "货币代码表"),
    "judge": Word("Judge", "判定引擎"),
    "zone_data": Word("Time zone data", "时区数据版本"),
    "calendars": Word("Calendars of working days", "工作日历"),
    "tables": Word("SHA-256 of the reference tables", "参考数据表 SHA-256"),
    "inputs": Word("SHA-256 of the inputs", "输入数据 SHA-256"),
    "json_digest": Word(
        "SHA-256 of the statement as canonical JSON", "本结算单规范 JSON 的 SHA-256"
    ),
    "text_digest": Word("SHA-256 of the contract's text", "合同文本 SHA-256"),
    "time_zone": Word("Time zone", "时区"),
    "times_told": Word(
        "Times in tables are on the clocks that their heads name ({}); JSON, CSV and web page hold them in UTC too. "
        "Intervals include their start and not their end.",
        "表中时间以表头所注时间为准（{}）；JSON、CSV 及网页同时载有 UTC 时间。时间区间含起点、不含终点。",
    ),
    "beside": Word("{} ({})", "{}（{}）"),
    "on_clocks": Word("{} ({})", "{}（{}）"),
    "zone.Asia/Shanghai": Word("Beijing time", "北京时间"),
    "in_words": Word("In Chinese words: {}", "大写：{}"),
    "days_hours": Word("{} d {} h", "{} 天 {} 小时"),
    "per_cent": Word("{} %", "{}%"),
    "credits_due": Word("Service credits due", "应付服务赔偿"),
    "to": Word("to", "至"),
    "open": Word("open: the contract gives no answer", "未决：合同未作约定"),
    "none": Word("none", "无"),
    "yes": Word("yes", "是"),
    "no": Word("no", "否"),
    "colon": Word(": ", "："),
    "comma": Word(", ", "、"),
    "held": Word(
        "Unknown time is held: amounts are a range until it is settled.",
        "未知时间暂予保留：在其解决之前，金额以区间表示。",
    ),
    "to_claim": Word(
        "Still to be claimed: at most {}. The first claim must be made before {}.",
        "尚可申请：至多 {}。最早的申请截止：{}（不含）。",
    ),
    "to_claim_ever": Word(
        "Still to be claimed, without a deadline: at most {}.", "尚可申请，无截止日期：至多 {}。"
    ),
    # Sections
    "parties": Word("Parties", "合同各方"),
    "counts": Word("Four counts", "四项计数"),
    "verdicts": Word("Verdicts", "判定汇总"),
    "delivery": Word("Contracted and delivered", "约定量与交付量"),
    "invoice": Word("To be paid", "应付汇总"),
    "invoice_lines": Word("Invoice: fees of the period", "账单：本期费用明细"),
    "invoice_taxes": Word("Tax by rate", "分税率税额"),
    "invoice_note": Word(
        "What this statement asks to be paid for the period. The tax document itself is issued by the provider.",
        "本页为依本结算单得出的本期应付款项；税务发票由出租方另行开具。",
    ),
    "fees": Word("Fees", "费用"),
    "units": Word("Availability", "可用率"),
    "time": Word("Time of each unit", "各单元时间"),
    "states": Word("Seconds by state", "各状态秒数"),
    "evidence": Word(
        "Evidence: whose agents saw the time, in seconds", "证据：各方代理所见时间（秒）"
    ),
    "cadence": Word("Cadence of the samples, over full hours", "采样节奏（按整小时）"),
    "interval": Word("Promised interval s", "约定间隔 秒"),
    "heard_gpu_seconds": Word("Heard GPU-h", "已上报 卡时"),
    "sampled_gpu_seconds": Word("On samples GPU-h", "有样本 卡时"),
    "kept": Word("Cadence kept", "节奏履行率"),
    "coverage": Word("Share on samples", "样本覆盖率"),
    "reach": Word(
        "Reachability: what a quorum of witnesses says, in seconds",
        "可达性：见证方达到法定数所述（秒）",
    ),
    "reached_s": Word("Reached s", "可达 秒"),
    "unreached_s": Word("Not reached s", "不可达 秒"),
    "said_by": Word("Each witness: reached / not s", "各见证方：可达 / 不可达 秒"),
    "agreed": Word("Both, alike s", "双方一致 秒"),
    "provider_alone": Word("Provider alone s", "仅出租方 秒"),
    "lessee_alone": Word("Lessee alone s", "仅承租方 秒"),
    "contradicted": Word("Contradicted s", "双方矛盾 秒"),
    "words": Word("Words of each", "各方所述"),
    "heard_late": Word("Heard late s", "迟到 秒"),
    "late": Word(
        "Evidence that nobody heard in time, in GPU-seconds, and what rests on it",
        "未及时收到的证据（GPU·秒）及其影响",
    ),
    "late.counted": Word("as told", "按所述计入"),
    "late.held": Word("held between told and unknown", "在所述与未知之间暂予保留"),
    "late.refused": Word("unknown", "视为未知"),
    "consequence": Word("Counts as", "处理方式"),
    "if_told": Word("Claimed, and as told", "申请后若按所述"),
    "if_unknown": Word("Claimed, and unknown", "申请后若视为未知"),
    "against.up_against_degraded": Word(
        "provider up, lessee degraded", "出租方：正常；承租方：降级"
    ),
    "against.up_against_down": Word("provider up, lessee down", "出租方：正常；承租方：中断"),
    "against.degraded_against_up": Word(
        "provider degraded, lessee up", "出租方：降级；承租方：正常"
    ),
    "against.degraded_against_down": Word(
        "provider degraded, lessee down", "出租方：降级；承租方：中断"
    ),
    "against.down_against_up": Word("provider down, lessee up", "出租方：中断；承租方：正常"),
    "against.down_against_degraded": Word(
        "provider down, lessee degraded", "出租方：中断；承租方：降级"
    ),
    "timeline": Word("Timeline", "时间线"),
    "outages": Word("Outages", "中断清单"),
    "windows": Word("Moving windows", "滚动窗口"),
    "probes": Word("Performance", "性能"),
    "series": Word("Proofs of compute", "算力证明"),
    "asked_by": Word("Asked for by", "发起方式"),
    "asked.schedule": Word("the contract's schedule", "合同排程"),
    "asked.command": Word("hand", "人工"),
    "proof": Word("Result", "结果"),
    "proof.met": Word("met", "达标"),
    "proof.failed": Word("failed", "未达标"),
    "proof.not assessed": Word("not assessed", "未评估"),
    "proof.void": Word("void", "无效"),
    "proof.unknown": Word("unknown", "未知"),
    "least_rate": Word("Least rate of exact products FLOP/s", "最低精确乘法速率 FLOP/s"),
    "credits": Word("Credits, line by line", "服务赔偿明细"),
    "caps": Word("Caps hit", "触及上限"),
    "floors": Word("Least capacity", "最低算力保障"),
    "clocks": Word("Answers and repairs", "响应与修复"),
    "by_lessee": Word("Owed by the lessee", "承租方应付"),
    "exits": Word("Rights to leave", "单方解除权"),
    "others": Word("Other credits and damages", "其他服务赔偿与违约金"),
    "maintenance": Word("Maintenance", "维护台账"),
    "claims": Word("Claims", "赔偿申请"),
    "answers": Word("Answers to claims, and payments", "赔偿申请答复与支付"),
    "answer": Word("Answer", "答复"),
    "reason": Word("Reason", "理由"),
    "paid_and_left": Word("Paid or set off: {0}; left: {1}.", "已支付或抵扣：{0}；未结：{1}。"),
    "answer.claim_accepted": Word("accepted", "接受"),
    "answer.claim_refused": Word("refused", "拒绝"),
    "answer.credit_paid": Word("paid", "已支付"),
    "answer.credit_set_off": Word("set off", "已抵扣"),
    "swaps": Word("Replaced GPUs and nodes", "更换的 GPU 与节点"),
    "flags": Word("To look at", "需人工核查"),
    "notes": Word("Notes", "说明"),
    "differences": Word("Difference from the previous version", "与上一版本的差异"),
    "terms": Word("Terms, every default written out", "合同条款（含全部默认值）"),
    "signatures": Word("Signatures", "签署"),
    # Columns
    "role": Word("Role", "角色"),
    "name": Word("Name", "名称"),
    "registration": Word("Registration", "统一社会信用代码／登记号"),
    "resource": Word("Resource", "资源"),
    "objective": Word("Objective", "指标"),
    "unit": Word("Unit", "单元"),
    "verdict": Word("Verdict", "判定"),
    "target": Word("Target", "目标"),
    "availability": Word("Availability", "可用率"),
    "exactly": Word("Exactly", "精确分数"),
    "service": Word("Service s", "服务 秒"),
    "denominator": Word("Of s", "分母 秒"),
    "counted": Word("Counted s", "计入 秒"),
    "raw": Word("Raw down s", "原始中断 秒"),
    "uncounted": Word("Uncounted down s", "未计入中断 秒"),
    "excluded": Word("Excluded s", "剔除时长 秒"),
    "unknown": Word("Unknown s", "未知 秒"),
    "contested": Word("Contested s", "争议 秒"),
    "start": Word("From", "开始"),
    "end": Word("To", "结束"),
    "seconds": Word("Seconds", "秒数"),
    "is_counted": Word("Counted", "计入"),
    "counted.held": Word("held", "待定"),
    "held_time": Word("Held from – to", "待定时段"),
    "cause": Word("Cause", "原因"),
    "credit": Word("Credit", "赔偿项"),
    "formula": Word("Formula", "计算式"),
    "base": Word("Base", "基数"),
    "tier": Word("Tier", "档位"),
    "owed": Word("Owed now", "现应付"),
    "amount": Word("Amount", "金额"),
    "remarks": Word("Remarks", "备注"),
    "notice": Word("Notice received", "通知收到"),
    "ruling": Word("Ruling", "裁定"),
    "standing": Word("Standing", "状态"),
    "deadline": Word("Claim before", "申请截止"),
    "opens": Word("Claim from", "可申请起始"),
    "contracted_gpu_seconds": Word("Contracted GPU-h", "约定 卡时"),
    "reporting_gpu_seconds": Word("Reporting GPU-h", "上报 卡时"),
    "healthy_gpu_seconds": Word("Healthy GPU-h", "健康 卡时"),
    "contracted_p": Word("Contracted P-h", "约定 P·时"),
    "healthy_p": Word("Healthy P-h", "健康 P·时"),
    "in_use_gpu_seconds": Word("In use GPU-h", "在用 卡时"),
    "utilization": Word("Utilization", "利用率"),
    "energy": Word("Energy J", "能耗 焦耳"),
    "price": Word("Price per", "计价单位"),
    "tax": Word("Tax", "税额"),
    "rate": Word("Tax rate %", "税率 %"),
    "included": Word("Inside the price", "单价含税"),
    "taxable": Word("Without tax", "不含税金额"),
    "words_taxable": Word("Without tax, in Chinese words", "不含税金额（大写）"),
    "words_tax": Word("Tax, in Chinese words", "税额（大写）"),
    "words_total": Word("With tax, in Chinese words", "价税合计（大写）"),
    "words_payable": Word("Net payable, in Chinese words", "本期应付净额（大写）"),
    "total": Word("With tax", "价税合计"),
    "prepaid": Word("Prepaid", "预付"),
    "entries": Word("Log entries", "日志条目"),
    "form": Word("Form", "形式"),
    "expires": Word("Lapses", "失效时间"),
    "earned": Word("Earned at most", "应得（至多）"),
    "floor": Word("At least", "至少"),
    "least_healthy": Word("Least healthy", "最低健康量"),
    "short_hours": Word("Missing, hours", "缺口·时"),
    "allowed": Word("Allowed s", "限时 秒"),
    "running": Word("still running", "仍在计时"),
    "party": Word("Party", "一方"),
    "condition": Word("Condition", "条件"),
    "of_periods": Word("{} of {} periods missed", "{1} 期中 {0} 期未达标"),
    "not_settled": Word("not settled: {}", "未结算：{}"),
    "replaced": Word("Replaced", "更换"),
    "old": Word("Before", "此前"),
    "new": Word("Now", "现在"),
    "remedy": Word("What follows", "后果"),
    "missed": Word("Missed in", "未达标期"),
    "open_periods": Word("Open", "未决期"),
    "gross": Word("Gross", "总额"),
    "unbilled": Word("Not billed", "不计费"),
    "net": Word("Net", "净额"),
    "scheduled": Word("Due", "应测"),
    "valid": Word("Answered", "已答"),
    "good": Word("Good", "合格"),
    "share": Word("Share", "占比"),
    "path": Word("Item", "项目"),
    "before": Word("Before", "此前"),
    "after": Word("Now", "现在"),
    "flag": Word("Flag", "标记"),
    "meaning": Word("Meaning", "含义"),
    "item": Word("Item", "项目"),
    "measure": Word("Measure", "计量单位"),
    # Counts
    "contracted": Word("Contracted", "约定"),
    "reporting": Word("Reporting", "上报"),
    "healthy": Word("Healthy", "健康"),
    "in_use": Word("In use", "在用"),
    "gpu_hours": Word("GPU-h", "卡时"),
    "counts_note": Word(
        "GPU-hours over the period. Contracted: promised. Reporting: seen at all. Healthy: seen and up. "
        "In use: drawing more than idle power, or holding memory.",
        "结算周期内的卡时。约定：合同承诺；上报：有数据可见；健康：可见且正常；在用：功耗高于空闲或占用显存。",
    ),
    "not_counted": Word("not counted", "未计"),
    # Verdicts, states, standings, rulings, roles
    "verdict.MET": Word("MET", "达标"),
    "verdict.BREACHED": Word("BREACHED", "未达标"),
    "verdict.UNKNOWN": Word("UNKNOWN", "无法判定"),
    "verdict.SO_FAR": Word("SO FAR", "截至目前"),
    "state.up": Word("up", "正常"),
    "state.degraded": Word("degraded", "降级"),
    "state.down": Word("down", "中断"),
    "state.unknown": Word("unknown", "未知"),
    "state.excluded": Word("excluded", "剔除"),
    "state.contested": Word("contested", "争议"),
    "state.to_come": Word("to come", "未到"),
    "standing.automatic": Word("owed without a claim", "无需申请，自动生效"),
    "standing.open": Word("can be claimed", "可申请"),
    "standing.early": Word("cannot be claimed yet", "未到申请时间"),
    "standing.filed": Word("claimed in time", "已按时申请"),
    "standing.lapsed": Word("lapsed, not claimed", "逾期未申请，已失效"),
    "ruling.excluded": Word("excluded", "剔除"),
    "ruling.late_notice": Word("notice too late", "通知过晚"),
    "ruling.count_used_up": Word("yearly count used up", "年度次数已用尽"),
    "ruling.outside_windows": Word("outside the agreed windows", "超出约定时段"),
    "ruling.cap_used_up": Word("hours of the period used up", "本期时长已用尽"),
    "ruling.withdrawn": Word("called off", "已撤回"),
    "ruling.counts_as_down": Word("counts as down", "计为中断"),
    "role.provider": Word("Provider", "出租方"),
    "role.lessee": Word("Lessee", "承租方"),
    "role.operator": Word("Operator", "运营方"),
    "role.owner": Word("Owner", "所有权人"),
    "role.guarantor": Word("Guarantor", "担保方（保证人）"),
    "role.auditor": Word("Auditor", "审计机构"),
    "exit.met": Word("met", "已成就"),
    "exit.not_met": Word("not met", "未成就"),
    "exit.open": Word("open", "未决"),
    "form.cash": Word("cash", "现金"),
    "form.set_off": Word("set off", "抵销应付款"),
    "form.voucher": Word("voucher", "代金券"),
    "price.gpu_hour": Word("GPU-hour", "卡时"),
    "price.gpu_month": Word("GPU-month", "卡月"),
    "price.node_month": Word("node-month", "台·月"),
    "price.P_month": Word("P-month", "P·月"),
    "price.P_day": Word("P-day", "P·日"),
    "price.kW_month": Word("kW-month", "千瓦月"),
    "price.fixed_month": Word("month, fixed", "固定服务费"),
    "price.minimum": Word("minimum", "保底费用"),
    "price.rebate": Word("rebate", "返利"),
    "quantity": Word("Quantity", "计费数量"),
    # The sums of the invoice, and how each is reckoned
    "sum.gross": Word("Fees, gross", "费用总额"),
    "sum.unbilled": Word("Not billed", "不计费金额"),
    "sum.net": Word("Fees, net", "费用净额"),
    "sum.tax": Word("Tax", "税额"),
    "sum.total": Word("Total with tax", "价税合计"),
    "sum.prepaid": Word("Prepaid", "预付金额"),
    "sum.set_off": Word("Credits set off", "抵扣金"),
    "sum.payable": Word("Net payable", "本期应付净额"),
    "sum.cash": Word("Apart: the provider pays in cash", "另付：出租方应付现金"),
    "sum.voucher": Word("Apart: the provider gives in vouchers", "另付：出租方应发代金券"),
    "sum.by_lessee": Word("Apart: the lessee owes", "另付：承租方应付违约金等"),
    "reckoned.gross": Word("gross of all lines, added", "各项总额之和"),
    "reckoned.unbilled": Word("what is not billed of all lines, added", "各项不计费金额之和"),
    "reckoned.net": Word("gross - not billed", "费用总额 － 不计费金额"),
    "reckoned.tax": Word("tax of all lines, added", "各项税额之和"),
    "reckoned.total": Word(
        "net + the tax that is not inside the prices", "费用净额 ＋ 单价未含的税额"
    ),
    "reckoned.prepaid": Word(
        "lines that are due before the period, with tax", "按合同于本期之前支付的各项，含税"
    ),
    "reckoned.set_off": Word(
        "of the service credits due, those that are set off", "应付服务赔偿中以抵销方式支付的部分"
    ),
    "reckoned.payable": Word(
        "total - prepaid - credits set off; below zero: owed by the provider",
        "价税合计 － 预付金额 － 抵扣金；负数为出租方应付",
    ),
    "reckoned.cash": Word(
        "of the service credits due, damages and others in cash",
        "应付服务赔偿中的违约金及其他现金部分",
    ),
    "reckoned.voucher": Word(
        "of the service credits due, those in vouchers", "应付服务赔偿中以代金券支付的部分"
    ),
    "reckoned.by_lessee": Word(
        "damages on the lessee's side, added; set off against nothing",
        "承租方一侧违约金等之和，不作抵销",
    ),
    # Kinds of credit, as a formula names them
    "kind.tiers": Word("Tiers", "分档"),
    "kind.linear_shortfall": Word("Shortfall in proportion", "按差额比例"),
    "kind.increment": Word("Per increment", "按增量"),
    "kind.beyond_allowance": Word("Beyond the allowance", "超出允许时长"),
    "kind.outage_multiple": Word("Multiple of the outage's price", "中断计价倍数"),
    "kind.clock_hour": Word("Hours not charged", "整点小时免费"),
    "kind.per_event": Word("Per event", "按次"),
    "kind.daily_rate": Word("Daily rate", "按日费率"),
    "kind.capacity_deduction": Word("Capacity deduction", "算力扣减"),
    "kind.repair_steps": Word("Late repair", "修复超时"),
    "kind.maintenance_count": Word("Too many maintenance windows", "维护次数超限"),
    "kind.anomaly_hours": Word("Hours of an anomaly", "异常小时"),
    "kind.lost_work": Word("Lost work", "作业损失"),
    "kind.liquidated_damages": Word("Liquidated damages", "违约金"),
    "kind.early_exit": Word("Leaving early", "提前退出"),
    "no_row": Word("no row of the contract holds this availability", "合同无对应档位"),
    # What a formula is reckoned from
    "fact.anomaly_seconds": Word("anomaly s", "异常 秒"),
    "fact.beyond_seconds": Word("beyond the allowance s", "超出 秒"),
    "fact.compensated_hours": Word("hours compensated", "补偿小时"),
    "fact.days_late": Word("days late", "逾期天数"),
    "fact.hours_counted": Word("hours counted", "计入小时"),
    "fact.hours_not_charged": Word("hours not charged", "免费小时"),
    "fact.incidents": Word("outages", "各次中断"),
    "fact.increments": Word("increments", "增量数"),
    "fact.late_seconds": Word("late s", "超时 秒"),
    "fact.maintenance_seconds": Word("maintenance s", "维护 秒"),
    "fact.party": Word("party", "一方"),
    "fact.repair_seconds": Word("repair s", "修复 秒"),
    "fact.shortfall_seconds": Word("shortfall P·s", "缺口 P·秒"),
    "fact.steps": Word("steps", "步数"),
    "fact.trigger": Word("for", "事由"),
    "fact.work_seconds": Word("work s", "作业 秒"),
    "trigger.duration": Word("the length of an outage", "中断时长"),
    "trigger.event_count": Word("the number of outages", "中断次数"),
    # Notes
    "note.notice": Word(
        "{said}: said by {party}, {authority}, entry {entry}",
        "{said}：由 {party} 提出，{authority}，日志第 {entry} 条",
    ),
    "note.cosigned": Word(
        "The log is cosigned as agreed up to {entries} entries, as of {received}; what came later rests on its keeper.",
        "日志前 {entries} 条已按约定会签（截至 {received}）；其后的内容仅凭日志保管方。",
    ),
    "note.silence_confirms": Word(
        "The statement {digest} counts as confirmed from {at} on, unless a side objects before.",
        "结算单 {digest} 如无异议，自 {at} 起视为确认。",
    ),
    "note.silence_confirmed": Word(
        "The statement {digest} counts as confirmed since {at}: nobody objected.",
        "结算单 {digest} 逾期无异议，自 {at} 起视为确认。",
    ),
    "note.silence_broken": Word(
        "{party} objected to the statement {digest} at {at}: silence does not confirm it.",
        "{party} 于 {at} 对结算单 {digest} 提出异议，不视为确认。",
    ),
    "note.not_cosigned": Word(
        "No head of the log is cosigned as agreed: all of it rests on its keeper.",
        "日志尚无按约定会签的检查点：全部内容仅凭日志保管方。",
    ),
    "note.maintenance": Word("maintenance {id}", "维护 {id}"),
    "note.cause": Word("cause {cause} of {unit}", "原因 {cause}（{unit}）"),
    "note.cause_of_all": Word("cause {cause} of everything", "原因 {cause}（全部）"),
    "note.event": Word("{event} {unit}", "{event} {unit}"),
    "note.event_of_all": Word("{event}", "{event}"),
    "note.claim": Word("claim for {period}", "申请服务赔偿 {period}"),
    "note.signed": Word("signed with key {key}", "以密钥 {key} 签名"),
    "seat.provider": Word("provider", "出租方"),
    "seat.lessee": Word("lessee", "承租方"),
    "seat.admin": Word("admin", "管理员"),
    "note.attested": Word("attested by the collector for {by}", "由采集端为{by}证明"),
    "note.said_by": Word("said by {party}, {authority}", "由 {party} 提出，{authority}"),
    "note.level": Word("{level}", "{level}"),
    "note.weighed": Word("{verdict}", "{verdict}"),
    "note.weighed_because": Word("{verdict} ({reason})", "{verdict}（{reason}）"),
    "note.unusable": Word("value '{value}', version '{version}'", "数值“{value}”，版本“{version}”"),
    "note.issued_before": Word(
        "Issued before: as of {as_of}, {digest}.", "此前出具的版本：数据截至 {as_of}，{digest}。"
    ),
    "note.made_by_other": Word(
        "Other versions since: {name} {before} -> {after}.",
        "此后版本不同：{name} {before} → {after}。",
    ),
    "note.version": Word("{version}", "{version}"),
    "note.version_since": Word("{version} since {since}", "{version}（自 {since} 起）"),
    "note.given_again": Word(
        "The same evidence now gives {digest}, {owed} owed instead of {before}. What was issued is not restated.",
        "以同样的证据现得出 {digest}，应付 {owed}，原为 {before}。已出具的版本不予更改。",
    ),
    "note.changed": Word("{path}: {before} -> {after}", "{path}：{before} → {after}"),
    "note.changed_more": Word("{count} more differences.", "另有 {count} 处差异。"),
    "note.amount": Word("{amount}", "{amount}"),
    "note.amounts": Word("{lowest} to {highest}", "{lowest} 至 {highest}"),
    "note.amount_open": Word("open", "未决"),
    "value.absent": Word("absent", "无"),
    # Replacements
    "swap.gpu_replaced": Word("GPU", "GPU"),
    "swap.device_exchanged": Word("GPU, not announced", "GPU（未经通知）"),
    "swap.node_replaced": Word("node", "节点"),
    "swap.telemetry": Word("telemetry", "遥测"),
    # Flags
    "flag.partly_accepted": Word(
        "Some of the contracted nodes were not accepted by the end of the period: they are neither judged nor billed.",
        "截至期末部分合同节点尚未验收：不计可用率，不计费。",
    ),
    "flag.service_not_begun": Word(
        "Service had not begun by what was told of: nothing is judged or billed.",
        "截至所获信息，服务尚未开始：不计可用率，不计费。",
    ),
    "flag.period_under_way": Word(
        "The period is under way: the best case takes all that is to come as up, the worst as it is now.",
        "结算周期尚未结束：最好情形将未到时间全部视为正常，最差情形视为保持当前状态。",
    ),
    "flag.late_maintenance_notice": Word(
        "Maintenance was announced too late to be excluded.", "维护通知过晚，不予剔除。"
    ),
    "flag.maintenance_cap_exceeded": Word(
        "More maintenance than the contract excludes.", "维护时长超出合同剔除上限。"
    ),
    "flag.maintenance_count_exceeded": Word(
        "More maintenance windows than the contract allows in a year.", "维护次数超出年度上限。"
    ),
    "flag.maintenance_outside_window": Word(
        "Maintenance lay outside the agreed windows.", "维护超出约定时段。"
    ),
    "flag.data_after_cutoff": Word(
        "Data came after the cut-off and are left out.", "截止之后收到的数据未予计入。"
    ),
    "flag.accepted_by_silence": Word(
        "Service starts because the lessee did not refuse the delivery in time.",
        "承租方未在期限内拒收，视为验收合格，服务由此起算。",
    ),
    "flag.said_by_one_side": Word(
        "An event that only the side says that gains by it; what it earns is open until the other side says so too.",
        "某事件仅由受益方陈述，在另一方确认之前相应金额未定。",
    ),
    "flag.heard_late": Word(
        "Some of what was told was heard late, when nobody could check it: how much, and how much money rests on it, "
        "stands under evidence that nobody heard in time.",
        "部分陈述未及时收到，当时无人可以核对：其时长及所涉金额见“未及时收到的证据”。",
    ),
    "flag.sides_contradict": Word(
        "The two sides' agents saw the same time otherwise: what each of them says stands under evidence.",
        "双方代理对同一时间的观测不一致：各方所述见证据表。",
    ),
    "flag.repaired_while_down": Word(
        "A repair was said to be over while telemetry still saw the unit down.",
        "某次修复被宣告完成时，遥测仍显示该单元不可用。",
    ),
    "flag.gpu_identity_changed": Word("A GPU was replaced.", "有 GPU 被更换。"),
    "flag.device_exchanged": Word(
        "A slot was filled by a GPU that nobody announced: its time is unknown until a side says gpu_replaced.",
        "某槽位由未经通知的 GPU 占用：在任一方通知 gpu_replaced 之前，相应时间计为未知。",
    ),
    "flag.unknown_time": Word(
        "An amount or a verdict rests on time that nobody saw; what it counts as is what the contract says of such "
        "time.",
        "某项金额或结论取决于无人观测的时间, 该时间按合同约定计算。",
    ),
    "flag.below_least_coverage": Word(
        "Less of a node's time rests on samples than the contract asks for: see the cadence.",
        "某节点有样本支撑的时间低于合同要求：见采样节奏。",
    ),
    "flag.claim_refused": Word(
        "The provider refused a claim; what the contract says is owed stands.",
        "提供方拒绝了赔偿申请；合同约定的应付金额不因此改变。",
    ),
    "flag.paid_too_much": Word("More was paid than is owed.", "支付金额超过应付金额。"),
    "flag.period_agreed": Word(
        "Both sides agreed on the period: nothing that came later changes it.",
        "双方已确认本期：此后的信息不再改变结果。",
    ),
    "flag.confirmed_by_silence": Word(
        "Nobody objected to the issued statement in time: nothing that came later changes it.",
        "已出具的结算单逾期无异议，视为确认：此后的信息不再改变结果。",
    ),
    "flag.clock_skew_corrected": Word(
        "A clock was off and its times were corrected.", "时钟有偏差，时间已校正。"
    ),
    "flag.clock_skew_beyond_bound": Word(
        "A clock was further off than the contract allows; its time is unknown.",
        "时钟偏差超出合同限度，相应时间计为未知。",
    ),
    "flag.judging_failed": Word(
        "The collector could not judge some of the evidence: that time is held for both sides, whatever the contract"
        " makes of unknown time, until a newer version judges it.",
        "采集方未能评判部分证据：无论合同如何处理未知时间，该时段对双方均暂不计，待新版本评判。",
    ),
    "flag.duplicate_gpu_uuid": Word(
        "One GPU was reported in two places, or counted in two contracts.",
        "同一 GPU 出现在两处或两份合同中。",
    ),
    "flag.gpu_alternates": Word(
        "GPUs came and went in turn with another place, or under changing names. Names are the agents' own word"
        " (level E0): nobody has vouched that these were the GPUs of this contract.",
        "GPU 与另一处交替出现，或不断更换名称。名称仅为代理自述（E0 级）：无人证明其确为本合同的 GPU。",
    ),
    "flag.attestation_refused": Word(
        "A GPU answered for its identity with evidence that is not its own chip's for the question that was asked.",
        "某 GPU 的身份证明不是其自身芯片对所提随机数的应答，已被拒绝。",
    ),
    "flag.attestation_missing": Word(
        "The contract demands attested chips (level E3), and a GPU was not: that could not be assessed.",
        "合同要求芯片经证明（E3 级），但有 GPU 未获证明：无法评定。",
    ),
    "flag.gpu_claimed_elsewhere": Word(
        "Somebody else reported one of these GPUs too, on a weaker claim: no time is in doubt for it.",
        "另有他处也上报了其中某块 GPU，但其依据较弱，未因此产生争议时间。",
    ),
    "flag.key_revoked": Word(
        "A key of a node was revoked from an instant in the past: what it said since then for its own side is unknown.",
        "某节点的密钥自过去某一时刻起被撤销：此后其对己方有利的陈述按未知计。",
    ),
    "flag.key_shared": Word(
        "Two agents spoke with one key of a node: what they say for their own side is contested until it is revoked.",
        "两个代理使用同一节点的同一密钥：在该密钥撤销之前，其对己方有利的陈述均属争议。",
    ),
    "flag.never_reported": Word(
        "An outage was never reported by the lessee.", "承租方从未报告某次中断。"
    ),
    "flag.downtime_uncounted": Word(
        "Outages too short to count, or rounding, leave out downtime that would miss the target: see uncounted time.",
        "因过短而不计入的中断或取整略去了部分中断时间；若计入，则未达目标：见“未计入”一列。",
    ),
    "flag.late_report": Word(
        "An outage was reported after it had begun; it counts from the report.",
        "中断开始后才报告，自报告时起计。",
    ),
    "flag.claim_lapsed": Word(
        "A credit was earned and not claimed in time.", "已产生的服务赔偿未按时申请，已失效。"
    ),
    "flag.calendar_year_unknown": Word(
        "The calendar of working days does not know a year that is counted here: between none and all of its days.",
        "工作日历未涵盖所计年份：按零日至全部日数的区间列示。",
    ),
    "flag.highest_of_many_readings": Word(
        "Held time can be read in too many ways to try each: the highest amount may be more than any of them gives.",
        "未决时间的可能认定方式过多，未逐一计算：所列最高金额可能高于任何一种认定的结果。",
    ),
    "flag.cap_applied": Word("A cap of the contract cut an amount.", "金额受合同上限限制。"),
    "flag.below_minimum_credit": Word(
        "A credit was below the least that is issued.", "服务赔偿低于最低发放额。"
    ),
    "flag.base_of_zero": Word(
        "A credit was earned, and the fee that it is a share of is zero.",
        "已产生服务赔偿，但其计算基数（费用）为零。",
    ),
    "flag.tier_gap": Word(
        "The availability lies in a hole of the tier table.", "可用率落在档位表的空缺处。"
    ),
    "flag.objective_of_another_period": Word(
        "An objective is promised over another period than the one settled here. It is shown so far, and judged and "
        "paid in the statement of its own period.",
        "某项指标约定的考核周期与本结算周期不同；此处仅列出截至目前的情况，在其自身周期的结算单中判定和结算。",
    ),
    "flag.capacity_floor_missed": Word(
        "The healthy capacity fell below the agreed least.", "健康算力低于约定的最低保障。"
    ),
    "flag.exit_right": Word("A party may end the contract.", "一方已有权终止合同。"),
    "flag.exit_right_open": Word(
        "Whether a party may end the contract is open while periods are.",
        "是否有权终止合同，待未决期确定。",
    ),
    "flag.late_exit_notice": Word(
        "A party left with less notice than agreed.", "一方提前退出的通知期短于约定。"
    ),
    "prompts": Word(
        "Flags are prompts for a person; none of them proves anything by itself.",
        "标记仅提示人工核查，其本身不构成任何证明。",
    ),
    # Text that stands alone
    "no_previous": Word("No earlier version was issued.", "此前未出具其他版本。"),
    "no_difference": Word("Nothing differs but the as-of.", "除数据截至时间外无差异。"),
    "timeline_note": Word(
        "Each bar is the whole part of the period, coloured as its time was settled: excluded only where an exclusion "
        "applied. Exact times are in the tables.",
        "每条横条代表该部分的整个结算周期，按结算所采用的状态着色；仅在剔除条款实际适用处显示为剔除。精确时间见各表。",
    ),
    "timeline_label": Word("{} over the period", "{}在结算周期内的状态"),
    "worst_window": Word("worst window", "最差窗口"),
    "breach": Word("the window held too much downtime", "窗口内中断超限"),
    "outside_service": Word("not in service", "服务期外"),
    "sign_for": Word("For the {}", "{}（签章）"),
    "sign_name": Word("Name, title", "姓名、职务"),
    "sign_date": Word("Place, date", "地点、日期"),
    "sign_text": Word(
        "The parties acknowledge the measurements and amounts of this statement, identified by its SHA-256. "
        "A signature waives no right to contest it that the contract gives.",
        "各方确认本结算单（以其 SHA-256 标识）所载的计量与金额。签署不构成对合同所赋予的异议权的放弃。",
    ),
    "page": Word("Page {} of {}", "第 {} 页，共 {} 页"),
    **HANDOVER,
    **AUDIT,
    **LETTER,
    **REMEDIES,
}

INSTANT = re.compile(r"(\d{4,})-(\d\d)-(\d\d)T([\d:.]+)")
UTC = ("Z", "+00:00")
DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


CODED: Mapping[str, Mapping[str, str]] = {
    "attested": {"by": "seat"},
    "event": {"event": "event"},
    "event_of_all": {"event": "event"},
    "weighed": {"verdict": "proof"},
    "weighed_because": {"verdict": "proof", "reason": "because"},
}
"""The arguments of notes that are codes, and what stands before each in the table."""


def say(key: str, language: Language, *values: str) -> str:
    """What a key means in a language. Raises KeyError for one that is not in the table."""
    return _word(key, language).format(*values) if values else _word(key, language)


def name(kind: str, code: str, language: Language) -> str:
    """The word for a code, such as `verdict.MET`; the code itself where the table has none."""
    key = f"{kind}.{code}"
    return _word(key, language) if key in WORDS else code


def told(note: Note, language: Language) -> str:
    """A note in words; one that this version has no words for as its code and values."""
    values, key = values_of(note, language), f"note.{note.code}"
    if key in WORDS:
        return _word(key, language).format_map(values)
    return " ".join((note.code, *(f"{name}={value}" for name, value in sorted(values.items()))))


def values_of(note: Note, language: Language) -> Mapping[str, str]:
    """The values of a note in words; of one that it lacks, that it is absent."""
    coded = CODED.get(note.code, {})
    found = {
        argument: name(coded[argument], str(value), language)
        if argument in coded
        else value_of(value, language)
        for argument, value in note.arguments.items()
    }
    return defaultdict(lambda: say("value.absent", language), found)


def value_of(value: Value, language: Language) -> str:
    """A value in words; several notes are listed, and of none it is said that there is none."""
    match value:
        case Note():
            return told(value, language)
        case ():
            return say("value.absent", language)
        case (Note(), *_):
            return say("comma", language).join(value_of(one, language) for one in value)
        case tuple():
            return path_text(value)
        case str():
            return value
        case _:
            return json.dumps(value)


def _word(key: str, language: Language) -> str:
    word = WORDS[key]
    return word.en if language == "en" else word.zh


def number(digits: str | int) -> str:
    """`1234567.50` as `1,234,567.50`, digit for digit; anything else as it is."""
    text = str(digits)
    sign, rest = ("-", text[1:]) if text.startswith("-") else ("", text)
    whole, point, places = rest.partition(".")
    if not whole.isascii() or not whole.isdigit():
        return text
    start = len(whole) % 3 or 3
    groups = [whole[:start], *(whole[at : at + 3] for at in range(start, len(whole), 3))]
    return f"{sign}{','.join(groups)}{point}{places}"


def money(amount: str, currency: str, language: Language) -> str:
    """An amount with its currency; nothing with the places of one."""
    if amount == "0":
        amount = f"{0:.{currencies().decimals_of(currency)}f}"
    if language == "zh" and currency == "CNY":
        return f"人民币 {number(amount)} 元"
    return f"{currency} {number(amount)}" if language == "en" else f"{number(amount)} {currency}"


def percent(share: str, language: Language) -> str:
    """`0.999850657` as `99.9850657 %`, digit for digit; anything but a decimal as it is."""
    if not DECIMAL.fullmatch(share):
        return share
    sign, digits, exponent = Decimal(share).as_tuple()
    return say("per_cent", language, f"{Decimal((sign, digits, int(exponent) + 2)):f}")


def instant(text: str, language: Language) -> str:
    """`2026-05-01T00:00:00+08:00` as people write it, offset or UTC at the end."""
    offset = INSTANT.sub("", text)
    return f"{short_instant(text, language)} {'UTC' if offset in UTC else f'UTC{offset}'}"


def short_instant(text: str, language: Language) -> str:
    """The same without the offset, for tables that name it once; every digit of the clock is kept."""
    found = INSTANT.match(text)
    if found is None:
        return text
    year, month, day, clock = found.groups()
    if language == "zh":
        return f"{year}年{int(month)}月{int(day)}日 {clock}"
    return f"{int(day)} {MONTHS[int(month) - 1]} {year} {clock}"
