"""What the pages of a contract say: its periods, its money, what to do, and its documents."""

from collector.documents.word import Word

CONTRACT: dict[str, Word] = {
    "periods": Word("Periods", "各期"),
    "period": Word("period", "期间"),
    "period_now": Word("under way", "进行中"),
    "earlier_periods": Word("All {} periods", "全部 {} 期"),
    "of_period": Word("Period {}, {} to {}.", "{} 期：{} 至 {}。"),
    "not_begun": Word(
        "The term has not begun: nothing is promised yet, and nothing is owed.",
        "合同期尚未开始：尚无承诺，也无应付款项。",
    ),
    "still_settling": Word(
        "Periods are being settled: what they are worth, and what is to be done of them, is not known yet.",
        "部分结算期正在结算：其金额与待办事项尚未得出。",
    ),
    "not_settled_yet": Word(
        "This period is being settled. The figures stand here when the page is loaded again; if they stay away, the"
        " collector's journal says why.",
        "本期正在结算，重新载入本页即可看到结果；若始终未出现，采集端日志载有原因。",
    ),
    "promised_and_came": Word("Promised, and what came", "约定与实际"),
    "promised_of": Word("{}: promised {} of each {}", "{0}：每{2}约定 {1}"),
    "came": Word("came: {} to {}", "实际：{} 至 {}"),
    "came_exactly": Word("came: {}", "实际：{}"),
    "range_of_units": Word(
        "Of the unit that stands worst, between the worst and the best case of what nobody saw; and how many units have"
        " each verdict.",
        "所列为表现最差单元在未观测时间最坏与最好情形之间的可用率，以及各判定的单元数。",
    ),
    "delivered_hours": Word("GPU-hours of this period", "本期卡时"),
    "promised_nothing": Word("No availability is judged in this period.", "本期不判定任何可用率。"),
    "worth": Word("What it is worth", "金额"),
    "worth_earned": Word("earned", "已产生赔偿"),
    "worth_at_stake": Word(
        "of it at stake while time is unknown or to come", "其中因时间未知或未到而未定"
    ),
    "worth_open": Word("can still be claimed", "尚可申请"),
    "worth_early": Word("cannot be claimed yet", "未到申请时间"),
    "worth_filed": Word("claimed in time", "已按时申请"),
    "worth_automatic": Word("owed without a claim", "无需申请即应付"),
    "worth_lapsed": Word("lapsed, not claimed", "逾期未申请，已失效"),
    "worth_owed": Word("owed now", "目前应付"),
    "worth_paid": Word("paid or set off", "已支付或抵扣"),
    "worth_left": Word("of it still to be paid", "其中尚未支付"),
    "worth_fees": Word("fees still to be paid by the lessee", "承租方尚未支付的费用"),
    "worth_as_of": Word(
        "As of {}. Amounts are those of the statement.", "截至 {}。金额与结算单一致。"
    ),
    "read_statement": Word("Read the statement", "阅读结算单"),
    "to_do_now": Word("To do now", "现在要做的事"),
    "nothing_to_do": Word(
        "Nothing: no deadline runs, and no finding is open.",
        "无：没有进行中的期限，也没有未关闭的发现。",
    ),
    "do_claim": Word("Claim {} for {}", "就 {1} 申请 {0}"),
    "do_answer": Word("Answer the claim of {} for {}", "答复 {1} 的索赔（{0}）"),
    "do_settle": Word("Pay or set off {} for {}", "支付或抵扣 {1} 的 {0}"),
    "do_object": Word(
        "Read the statement of {}: it counts as agreed unless somebody objects",
        "审阅 {} 结算单：逾期无异议即视为同意",
    ),
    "do_agree": Word(
        "Agree on the statement of {}, or object to it", "对 {} 结算单表示同意或提出异议"
    ),
    "do_pay": Word("Pay the fees of {}: {}", "支付 {} 的费用：{}"),
    "do_repair": Word("{} of {}: {} of {} are used up", "{1} 的{0}：已用 {2}，期限 {3}"),
    "do_finding": Word("{}: {}", "{}：{}"),
    "until": Word("before {}", "截止 {}（不含）"),
    "overdue": Word("overdue:", "已逾期："),
    "the_letter": Word("the letter", "索赔函"),
    "who_answers": Word("Who is answerable", "责任方"),
    "answers_for": Word("open findings: {}, to do: {}", "未关闭的发现：{} 项，待办：{} 件"),
    "earned": Word("earned", "已产生"),
    "owed": Word("owed", "应付"),
    "outcome": Word("claims and payment", "索赔与支付"),
    "standing_of_period": Word("stands", "状态"),
    "is_issued": Word("issued", "已出具"),
    "unit.gpu": Word("GPU", "GPU"),
    "unit.node": Word("node", "节点"),
    "unit.nvlink_domain": Word("NVLink domain", "NVLink 域"),
    "unit.cluster": Word("cluster", "集群"),
    "unit.feed": Word("feed", "供电支路"),
    "unit.service": Word("service", "服务"),
    "hour_under_way": Word("the hour under way", "进行中的一小时"),
    "units_shown": Word(
        "Units {} to {} of {}, the worst first.", "第 {} 至 {} 个单元，共 {} 个，最差者在前。"
    ),
    "outages_shown": Word(
        "Outages {} to {} of {}, the longest first.", "第 {} 至 {} 次中断，共 {} 次，最长者在前。"
    ),
    "no_outage": Word("No outage in this period.", "本期无中断。"),
    "page_before": Word("Before", "上一页"),
    "page_after": Word("After", "下一页"),
    "outage": Word("outage", "中断"),
    "outage_of": Word("Outage of {}", "{} 的中断"),
    "no_cause": Word("none was seen", "未观测到原因"),
    "no_entries": Word("none: nothing was heard of this time", "无：这段时间没有任何上报"),
    "no_advice": Word(
        "The table of findings has no advice on this cause.", "发现目录中没有关于此原因的建议。"
    ),
    "on_node": Word("node", "节点"),
    "window.around": Word("Readings around it", "前后读数"),
    "no_readings_together": Word(
        "Several places are judged together here: the readings of each stand at its own outages and its node's page.",
        "此处多个位置合并判定：各位置的读数见其自身的中断及节点页面。",
    ),
    "say_cause": Word("Say what it came from", "说明其原因"),
    "unit_name": Word("unit", "单元"),
    "evidence_entries": Word("evidence", "证据"),
    "entry_of": Word("entry {}", "条目 {}"),
    "lasted": Word("in this period", "本期时长"),
    "claims_of_periods": Word("Claims", "索赔"),
    "no_claims": Word("Nothing was earned, claimed or paid yet.", "尚无赔偿产生、申请或支付。"),
    "deadline": Word("deadline", "截止"),
    "answered_with": Word("answered", "答复"),
    "still_owed": Word("still owed", "尚欠"),
    "file_claim": Word("file the claim", "提交索赔"),
    "not_after": Word("before {}", "{}（不含）"),
    "documents": Word("Documents", "文件"),
    "document.statement": Word("statement", "结算单"),
    "document.letter": Word("claim letter", "索赔函"),
    "document.delivery": Word("Delivery note", "交付单"),
    "document.acceptance": Word("Acceptance certificate", "验收证书"),
    "window_from": Word("Tests from", "测试起"),
    "window_until": Word("Until", "测试止"),
    "window_means": Word(
        "The window of the tests: the certificate says what was seen in it of each GPU.",
        "测试的时间段：证书载明其间每张 GPU 的观测结果。",
    ),
    "make_it": Word("Make it", "生成"),
    "bundle_of_it": Word("Evidence bundle (tar)", "证据包（tar）"),
    "bundle_says": Word(
        "– everything that this statement rests on: weighbridge verify checks it without this collector. It is made"
        " when it is asked for, which takes a while.",
        "——本结算单所依据的全部证据，可脱离本采集端用 weighbridge verify 核验。点击后现场生成，需要一些时间。",
    ),
    "files_of_it": Word("Files of this document", "本文件的下载"),
    "download_in.en": Word("Download in English:", "下载英文版："),
    "download_in.zh": Word("Download in Chinese:", "下载中文版："),
    "to_contract": Word("Back to {}", "返回 {}"),
    "to_print": Word(
        "To print, use the browser's own command: the page is laid out for A4.",
        "打印请使用浏览器的打印功能：本页已按 A4 纸排版。",
    ),
    "being_settled": Word("being settled", "结算中"),
}
