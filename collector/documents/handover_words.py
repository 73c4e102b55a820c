"""The words that the delivery note and the acceptance certificate have beyond those of a statement."""

from collections.abc import Mapping

from collector.documents.word import Word

HANDOVER: Mapping[str, Word] = {
    "delivery_title": Word("Delivery note", "交付确认单"),
    "acceptance_title": Word("Acceptance certificate", "验收报告"),
    "simulated_document": Word(
        "SIMULATED: nothing in this document was measured on real hardware.",
        "模拟数据：本文件中的任何数据均非在真实硬件上测得。",
    ),
    "delivered.complete": Word("complete", "交付齐全"),
    "delivered.incomplete": Word("incomplete", "交付不齐"),
    "delivered.nothing": Word("nothing delivered", "未见交付"),
    "outcome.MET": Word("passed", "通过"),
    "outcome.BREACHED": Word("not passed", "未通过"),
    "outcome.UNKNOWN": Word("not shown", "未能证明"),
    # Facts
    "service_start": Word("Service starts", "服务起始"),
    "service_rule": Word("Rule of the start", "起始规则"),
    "not_started": Word(
        "nobody has told (no notice {}): statements count from the start of the term",
        "未告知（没有 {} 通知）：结算单自合同期起始计",
    ),
    "log_read": Word("Entries of the log that were read", "读取的日志条目"),
    "reports_read": Word("Reports in them that were used", "其中使用的报告数"),
    "document_digest": Word(
        "SHA-256 of the document as canonical JSON", "本文件规范 JSON 的 SHA-256"
    ),
    "sides": Word("Heard from the agents of", "数据来自下列一方的代理"),
    "nobody": Word("nobody", "无"),
    "load_rule": Word("Load that shows", "负载要求"),
    "load.duration": Word(
        "the longest duration of a test, as far as the window goes",
        "各项测试的最长时长（以窗口为限）",
    ),
    "load.half": Word("half of the window: no test names a duration", "窗口的一半：测试未规定时长"),
    "partial": Word("Partial acceptance", "可否部分验收"),
    "retests": Word("Retests allowed", "允许复测次数"),
    # Who is who
    "part": Word("In this handover", "交接中的角色"),
    "part.delivers": Word("delivers", "交付方"),
    "part.receives": Word("receives", "接收方"),
    "part.neither": Word("neither", "—"),
    # Amounts
    "gpus_seen": Word("GPUs delivered: seen at work", "已交付（有遥测）的 GPU"),
    "gpus_loaded": Word("GPUs that ran under load", "在负载下运行的 GPU"),
    "of_contracted": Word("{} of {} contracted", "{} / 合同 {}"),
    "differ": Word("GPUs that differ from the contract: {}", "与合同不符的 GPU：{}"),
    "without_load": Word("Seen, and without load: {}", "可见但无负载：{}"),
    "load_not_known": Word("Not known: {}", "无法判定：{}"),
    # Sections
    "items": Word("Contracted and seen", "合同数量与可见数量"),
    "batches": Word("Batches", "交付批次"),
    "slots": Word("What fills each slot", "各槽位设备"),
    "identities": Word("Identity, as the node told it", "设备身份（节点自报）"),
    "different": Word("Differences from the contract", "与合同的差异"),
    "to_do": Word("What the differences mean, and what to do", "差异的含义与后续步骤"),
    "never_seen": Word("Contracted and never seen", "合同约定但从未见到"),
    "said": Word("What the parties said", "各方通知"),
    "quantities": Word("Quantities", "数量"),
    "tests": Word("Tests of the contract", "合同规定的测试"),
    "no_tests": Word("The contract names no test.", "合同未规定测试。"),
    "results": Word("Results", "测试结果"),
    "readings": Word("Readings against their thresholds", "读数与阈值"),
    "proof_of_load": Word("Proof of load", "负载证明"),
    "load_note": Word(
        "Under load: power above the card's idle band (where no table has one, above half of what the card is made "
        "for), and kernels that ran at least half of the time. Without: power within the idle band, or fewer kernels. "
        "Unknown: all else; it is neither.",
        "有负载：功耗高于该卡空闲范围（参考表未载者，高于其额定功耗的一半），且内核运行时间不少于一半；"
        "无负载：功耗在空闲范围内，或内核运行时间不足；未知：其余情形，不归入前两者。",
    ),
    "telemetry": Word("Telemetry of the window", "窗口内遥测"),
    "telemetry_note": Word(
        "Least · mean over the time that was seen · most. Exact values are in the JSON.",
        "最低 · 按可见时间加权平均 · 最高。精确值见 JSON。",
    ),
    "never_assigned": Word("nodes that nobody enrolled: {}", "未登记的节点：{}"),
    # Columns
    "sku": Word("Card", "型号"),
    "nodes": Word("Nodes", "节点"),
    "gpus": Word("GPUs", "GPU"),
    "gpus_seen_column": Word("GPUs seen", "可见 GPU"),
    "nodes_whole": Word("Nodes seen whole", "齐全节点"),
    "batch": Word("Batch", "批次"),
    "due": Word("Late from", "逾期起算"),
    "complete_at": Word("Seen whole", "到齐时间"),
    "slot": Word("Slot", "槽位"),
    "model": Word("Model", "型号（自报）"),
    "first_seen": Word("First telemetry", "首次遥测"),
    "entry": Word("Log entry", "日志条目"),
    "serial": Word("Serial", "序列号"),
    "host_serial": Word("Host serial, contracted", "主机序列号（合同）"),
    "board_part": Word("Board part", "板卡料号"),
    "uuid": Word("UUID", "UUID"),
    "pci": Word("PCI", "PCI"),
    "vbios": Word("VBIOS", "VBIOS"),
    "driver": Word("Driver", "驱动"),
    "memory": Word("Memory bytes", "显存 字节"),
    "code": Word("What", "项目"),
    "expected": Word("Contracted", "合同"),
    "observed": Word("Seen", "实际"),
    "node": Word("Node", "节点"),
    "side": Word("Agent of", "代理方"),
    "event": Word("Event", "事件"),
    "at": Word("At", "时间"),
    "authority": Word("Known by", "确认方式"),
    "idle_gpus": Word("Without load", "无负载"),
    "unknown_gpus": Word("Not known", "未知"),
    "nodes_passed": Word("Nodes passed", "通过节点"),
    "probe": Word("Test", "测试"),
    "probe_version": Word("Version", "版本"),
    "parameters": Word("Parameters", "参数"),
    "threshold": Word("To reach", "阈值"),
    "quantile": Word("Quantile", "分位"),
    "min_nodes": Word("Least nodes", "最少节点"),
    "duration": Word("Under load s", "负载 秒"),
    "nodes_met": Word("Nodes met", "达标节点"),
    "nodes_breached": Word("Nodes failed", "未达标节点"),
    "nodes_unknown": Word("Nodes not known", "未知节点"),
    "value": Word("Value", "数值"),
    "attempt": Word("Attempt", "次数"),
    "source": Word("From", "来源"),
    "level": Word("Level", "证据等级"),
    "reached": Word("Reached, s", "达到 秒"),
    "not_reached": Word("Not reached, s", "未达 秒"),
    "first_in_window": Word("First seen in it", "窗口内首次可见"),
    "loaded": Word("Load s", "有负载 秒"),
    "idle": Word("Without s", "无负载 秒"),
    "unseen": Word("Unknown s", "未知 秒"),
    "needed": Word("Load needed, s", "要求负载时长 秒"),
    "load_band": Word("Load above W", "负载下限 瓦"),
    "power": Word("Power W", "功耗 瓦"),
    "clock": Word("SM clock MHz", "SM 频率 兆赫"),
    "percent": Word("Utilization %", "利用率 %"),
    "heat": Word("Temperature °C", "温度 °C"),
    "joules": Word("Energy J", "能耗 焦耳"),
    "not_judged": Word("it left before it told enough", "离开之前上报不足"),
    "not_reported": Word("not reported", "未上报"),
    "innocent": Word("Innocent explanations to rule out", "需排除的正当原因"),
    # Codes
    "batch.in_time": Word("in time", "按时"),
    "batch.late": Word("late", "逾期"),
    "batch.open": Word("not due yet", "未到期"),
    "batch.overdue": Word("overdue", "逾期未到"),
    "rule.acceptance": Word("when the acceptance is signed", "自验收签署时"),
    "rule.next_local_midnight": Word(
        "at the local midnight after the acceptance", "自验收后当地次日零时"
    ),
    "rule.delivery": Word("at the delivery", "自交付时"),
    "rule.first_use": Word("at the first use", "自首次使用时"),
    "trial.challenge": Word("proof of compute", "算力证明"),
    "trial.notice": Word("notice", "通知"),
    "trial.reading": Word("reading", "读数"),
    "beyond_limit": Word("beyond the retests allowed, not counted", "超出允许复测次数，不计"),
    # Flags of a handover
    "flag.late_birth": Word(
        "A GPU was first seen after service had started.", "有 GPU 在服务起始之后才首次可见。"
    ),
    "flag.zero_delivery": Word(
        "No GPU was seen by the day on which the first was due.", "至首批到期日仍未见到任何 GPU。"
    ),
    "flag.impossible_identity": Word(
        "What a GPU tells of itself is not the card that was contracted.",
        "GPU 自报的信息与合同约定的卡不符。",
    ),
    "flag.certificate_without_load": Word(
        "A GPU was seen in the window, and without the load that the tests need.",
        "窗口内可见的 GPU 没有测试所需的负载。",
    ),
    "flag.certificate_without_evidence": Word(
        "Of a GPU nobody can say whether load ran on it in the window.",
        "无法判定窗口内某 GPU 是否有负载运行。",
    ),
    "innocent.late_birth": Word("Billing follows the delivery note.", "按交付确认单计费。"),
    "innocent.zero_delivery": Word(
        "The schedule was moved by a signed amendment; the agents are not installed yet.",
        "交付计划已由签署的补充协议变更；代理尚未安装。",
    ),
    "innocent.impossible_identity": Word(
        "vGPU, MIG, or a power cap; a board revision that the table does not know.",
        "vGPU、MIG 或功耗限制；参考表中没有的板卡版本。",
    ),
    "innocent.certificate_without_load": Word(
        "The tests ran before the agent was started, or outside this window; a test that needs little power.",
        "测试在代理启动之前或在该窗口之外运行；测试本身功耗很低。",
    ),
    "innocent.certificate_without_evidence": Word(
        "The agent was not running, or its data are still to come; a card whose power no table knows.",
        "代理未运行，或其数据尚未到达；参考表中没有该卡的功耗。",
    ),
    "sign_delivery": Word(
        "The parties acknowledge what was delivered and what was missing, as listed in this note (identified by its "
        "SHA-256). A signature accepts nothing that the contract lets them test.",
        "各方确认本交付确认单（以其 SHA-256 标识）所列的已交付与缺失内容。签署不等于对合同允许测试的内容予以验收。",
    ),
    "sign_acceptance": Word(
        "The parties acknowledge the tests and measurements of this certificate, identified by its SHA-256. A "
        "signature waives no right that the contract gives.",
        "各方确认本验收报告（以其 SHA-256 标识）所载的测试与测量结果。签署不构成对合同权利的放弃。",
    ),
    # What the parties say
    "event.acceptance_signed": Word("acceptance signed", "签署验收"),
    "event.acceptance_refused": Word("acceptance refused", "拒绝验收"),
    "event.delivered": Word("delivered", "交付"),
    "event.first_used": Word("first used", "首次使用"),
    "event.test_result": Word("result of a test", "测试结果"),
    "event.batch_accepted": Word("batch accepted", "批次验收合格"),
    "event.not_delivered": Word("not delivered", "未交付"),
    "event.cancelled": Word("cancelled", "解除"),
    "event.fault_detected": Word("fault detected", "发现故障"),
    "event.fault_reported": Word("fault reported", "报修"),
    "event.fault_confirmed": Word("fault confirmed", "确认故障"),
    "event.fault_identified": Word("fault identified", "定位故障原因"),
    "event.answered": Word("answered", "已响应"),
    "event.gpu_replaced": Word("GPU replaced", "更换 GPU"),
    "event.hardware_replaced": Word("hardware replaced", "更换硬件"),
    "event.burn_in_passed": Word("burn-in passed", "烤机通过"),
    "event.restored": Word("restored", "恢复服务"),
    "event.spare_swapped": Word("spare swapped in", "换用备机"),
    "event.maintenance_withdrawn": Word("maintenance called off", "撤回维护"),
    "event.claim_accepted": Word("claim accepted", "接受索赔"),
    "event.claim_refused": Word("claim refused", "拒绝索赔"),
    "event.credit_paid": Word("credit paid", "支付服务赔偿"),
    "event.credit_set_off": Word("credit set off", "抵扣服务赔偿"),
    "event.period_agreed": Word("period agreed", "双方确认结算"),
    "event.statement_objected": Word("objection to a statement", "对结算单提出异议"),
    "event.fee_paid": Word("fee paid", "支付租金"),
    "event.deposit_paid": Word("deposit paid", "交付押金"),
    "event.deposit_taken": Word("taken from the deposit", "扣除押金"),
    "event.deposit_returned": Word("deposit returned", "退还押金"),
    "bound.at_least": Word("{} at least {}", "{} 不低于 {}"),
    "bound.at_most": Word("{} at most {}", "{} 不高于 {}"),
    # Why a challenge came to its result
    "because.wrong answer": Word("wrong answer", "答案错误"),
    "because.bad opening": Word("bad opening", "开示无效"),
    "because.late": Word("late", "超过时限"),
    "because.compute below the requirement": Word("compute below the requirement", "算力低于要求"),
    "because.memory below the requirement": Word("memory below the requirement", "显存低于要求"),
    "because.memory bandwidth below the requirement": Word(
        "memory bandwidth below the requirement", "显存带宽低于要求"
    ),
    "because.peer bandwidth below the requirement": Word(
        "peer bandwidth below the requirement", "卡间带宽低于要求"
    ),
    "because.another program than the requirements were measured with": Word(
        "another program than the requirements were measured with", "所用程序与测定要求时的不同"
    ),
    "because.faster than a card of its class can be": Word(
        "faster than a card of its class can be", "快于该型号的卡所能达到的速率"
    ),
    "because.busy": Word("busy", "被占用"),
    "because.no consent": Word("no consent", "未获同意"),
    "because.no budget": Word("no budget", "时间预算已用完"),
    "because.memory in use": Word("memory in use", "显存被占用"),
    "because.unsupported": Word("unsupported", "不支持"),
    "because.interrupted": Word("interrupted", "被中断"),
    "because.no answer": Word("no answer", "无应答"),
    "because.verifier stalled": Word("verifier stalled", "验证方耗时过长"),
    "because.verifier stood still": Word("verifier stood still", "验证方停顿"),
    "because.a reboot in the run": Word("a reboot in the run", "运行中重启"),
    "because.not what was pre-committed": Word("not what was pre-committed", "与预先承诺的不符"),
    "because.not signed by the agent": Word("not signed by the agent", "非代理签名"),
    "because.the verifier ended before the exchange did": Word(
        "the verifier ended before the exchange did", "验证方先于交换结束"
    ),
    "because.verification did not end": Word("verification did not end", "验证未完成"),
    "because.verification needs numpy: install weighbridge[challenge]": Word(
        "verification needs numpy: install weighbridge[challenge]",
        "验证需要 numpy：请安装 weighbridge[challenge]",
    ),
}
