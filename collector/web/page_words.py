"""Every word of the pages, in both languages; what documents say too comes from their table."""

from collections.abc import Mapping

from collector.documents import words
from collector.documents.word import Word
from collector.documents.words import Language
from collector.web.page_words_access import ACCESS
from collector.web.page_words_contract import CONTRACT
from collector.web.page_words_fleet import FLEET
from collector.web.page_words_notices import NOTICES
from collector.web.page_words_refusals import REFUSALS
from weighbridge.catalogue.findings import meaning

PAGE: Mapping[str, Word] = {
    **ACCESS,
    **CONTRACT,
    **FLEET,
    **NOTICES,
    **REFUSALS,
    "all_contracts": Word("Contracts", "合同"),
    "audit": Word("Audit", "审计"),
    "as_of_now": Word("as of {}", "截至 {}"),
    "other_language": Word("中文", "English"),
    "times_in": Word(
        "All times are in {}; point at one to see it in UTC.",
        "所有时间均为 {} 时间；指向时间可查看 UTC。",
    ),
    "times_utc": Word("All times are UTC.", "所有时间均为 UTC。"),
    "folded": Word(
        "Shares are rounded down. Everything here is folded from one signed, append-only log:",
        "百分比均向下取整。本页所有内容均由一份经签名、只可追加的日志推导而来：",
    ),
    "same_as_json": Word("the same facts as JSON at", "相同数据的 JSON 接口见"),
    "simulated_badge": Word("SIMULATED", "模拟数据"),
    "stopped": Word("Nothing is judged any more", "判定已停止"),
    "stopped_long": Word(
        "Evidence is kept, but what this page shows ends at {}. {}",
        "证据仍在保存，但本页内容止于 {}。{}",
    ),
    "when_stopped": Word("What was known when judgement stopped", "判定停止时已知的情况"),
    "no_contract": Word("No contract is loaded yet", "尚未载入合同"),
    "load_one": Word(
        "Load one with <code>weighbridge contract add FILE</code>, then invite its nodes.",
        "用 <code>weighbridge contract add FILE</code> 载入合同，然后邀请其节点。",
    ),
    "one_met": Word("The contract is delivered as promised", "该合同按约交付"),
    "all_met": Word("All {} contracts are delivered as promised", "全部 {} 份合同均按约交付"),
    "one_breached": Word(
        "{} of {} contract is not delivered as promised", "{} / {} 份合同未按约交付"
    ),
    "some_breached": Word(
        "{} of {} contracts are not delivered as promised", "{} / {} 份合同未按约交付"
    ),
    "none_breached": Word(
        "No contract is breached, but {} of {} cannot be judged yet",
        "没有合同违约，但 {} / {} 份尚无法判定",
    ),
    "totals": Word(
        "{} met, {} breached, {} unknown. Of {} contracted GPUs {} report, {} are healthy, {} are in use.",
        "达标 {}，违约 {}，未知 {}。合同约定 {} 张 GPU：{} 张上报，{} 张健康，{} 张在用。",
    ),
    "contracted": Word("contracted", "约定"),
    "reporting": Word("reporting", "上报"),
    "healthy": Word("healthy", "健康"),
    "in_use": Word("in use", "在用"),
    "bar_label": Word(
        "{} of {} contracted GPUs are healthy", "合同约定的 {1} 张 GPU 中 {0} 张健康"
    ),
    "expected_observed": Word("{} expected {}; observed {}", "{} 应为 {}；实测 {}"),
    "and_more": Word("; and {} more", "；另有 {} 项"),
    "no_open_finding": Word("No open finding.", "无未关闭的发现。"),
    "unit_availability": Word("{} availability", "{}可用率"),
    "this_period": Word("{} to {} this period, promised {}", "本期 {} 至 {}，约定 {}"),
    "open_findings": Word("Open findings", "未关闭的发现"),
    "worst_of": Word("worst {} of {}", "最严重的 {} 项，共 {} 项"),
    "more": Word("More", "更多"),
    "parties": Word("{} provides, {} leases: {}.", "{} 提供，{} 租用：{}。"),
    "in_force": Word("Version {}, from {} to {}.", "第 {} 版，自 {} 至 {}。"),
    "delivered_now": Word("Delivered against contracted, now", "当前：已交付与约定对比"),
    "counts_mean": Word(
        "Reporting: seen within {}. Healthy: reporting, and up. In use: power above idle, or memory held by a process.",
        "上报：{} 内有数据。健康：已上报且可用。在用：功耗高于空闲，或显存被进程占用。",
    ),
    "objectives": Word("Objectives of this period", "本期服务目标"),
    "objective": Word("objective", "目标"),
    "per_unit": Word("per {}", "按{}"),
    "promised": Word("promised", "约定"),
    "at_least": Word("at least", "至少"),
    "at_most": Word("at most", "至多"),
    "range_means": Word(
        "Between “at least” and “at most” lies time that nobody saw, and what is to come: as it is now, or up."
        " Times are of all units together, so far.",
        "“至少”与“至多”之间是无人观测到的时间以及尚未到来的时间：按现状或按可用计。时间为所有单元迄今的合计。",
    ),
    "no_availability": Word("The contract promises no availability.", "合同未约定可用率。"),
    "last_by_node": Word("The last {}, by node", "最近 {}，按节点"),
    "last_by_gpu": Word("The last {}, by GPU", "最近 {}，按 GPU"),
    "states_over": Word("States over the last {}", "最近 {} 的状态"),
    "nothing_recorded": Word("Nothing is recorded yet.", "尚无记录。"),
    "gpus": Word("GPUs", "GPU"),
    "card": Word("card", "型号"),
    "last_report": Word("last report", "最近上报"),
    "last_sample": Word("last sample", "最近采样"),
    "never": Word("never", "从未"),
    "ago": Word("{} ago", "{} 前"),
    "never_seen": Word("never seen: {} of them", "从未出现：{} 张"),
    "no_node": Word(
        "No node is enrolled under this contract: there is no evidence that what it promises exists.",
        "该合同下没有已注册的节点：没有证据表明其约定的算力存在。",
    ),
    "no_findings": Word("None.", "无。"),
    "finding": Word("finding", "发现"),
    "where": Word("where", "位置"),
    "expected": Word("expected", "应为"),
    "observed": Word("observed", "实测"),
    "since": Word("since", "起始"),
    "answerable": Word("answerable", "责任方"),
    "could_not_see": Word("could not be seen", "无法观测"),
    "what_to_do": Word("what to do", "如何处理"),
    "sentence": Word("{}.", "{}。"),
    "cannot_tell": Word("It cannot tell {}.", "无法判断：{}。"),
    "or_else": Word("Or: {}.", "也可能：{}。"),
    "gpus_of_it": Word("{} GPUs", "{} 张 GPU"),
    "more_of_it": Word("and {} more", "另有 {} 张"),
    "the_contract": Word("the contract", "合同本身"),
    "under_no_contract": Word("Under no contract.", "不属于任何合同。"),
    "clock_skew": Word("clock skew", "时钟偏差"),
    "against_collector": Word("{} µs against the collector", "相对采集端 {} 微秒"),
    "driver": Word("driver", "驱动"),
    "agent": Word("agent", "代理程序"),
    "boot": Word("boot", "启动标识"),
    "unknown_value": Word("unknown", "未知"),
    "unnamed": Word("unnamed", "未命名"),
    "attested": Word(
        "{}: its chip answered for it, which counts until {}.", "{}：其芯片已作证明，有效至 {}。"
    ),
    "not_attested": Word(
        "Not attested: its chip does not answer for it now.", "未证明：其芯片目前未作证明。"
    ),
    "newest_question": Word("The newest question ended as {}: {}.", "最近一次询问结果为{}：{}。"),
    "in_brackets": Word(" ({})", "（{}）"),
    "newest_challenge": Word(
        "The newest challenge, asked for {}: {}{}.", "最近一次挑战，发起方式：{}；结果：{}{}。"
    ),
    "asked.schedule": Word("by the contract's schedule", "按合同计划"),
    "asked.hand": Word("by hand", "人工"),
    "asked.unknown": Word("by whom is not known", "未知"),
    "exact_rate": Word(
        "Rate of exact products when one was last met: {} TFLOP/s.",
        "最近一次通过时的精确乘积速率：{} TFLOP/s。",
    ),
    "not_judged": Word(
        "The collector fails at the evidence of this node, which says nothing against it. The finding names the entry.",
        "采集端未能处理该节点的证据，这不构成对该节点的不利认定。相关发现载明了日志条目。",
    ),
    "node_silent": Word(
        "The node is silent: its last readings are not shown as if they were news.",
        "该节点无上报：不再显示其过时读数。",
    ),
    "no_gpu_shown": Word("No GPU has been shown.", "未出现过 GPU。"),
    "way_back": Word("To all contracts", "返回全部合同"),
    "badge.met": Word("MET", "达标"),
    "badge.breached": Word("BREACHED", "违约"),
    "badge.unknown": Word("UNKNOWN", "未知"),
    "badge.ok": Word("OK", "正常"),
    "badge.up": Word("UP", "可用"),
    "badge.down": Word("DOWN", "不可用"),
    "badge.degraded": Word("DEGRADED", "性能下降"),
    "badge.excluded": Word("EXCLUDED", "剔除"),
    "badge.lost": Word("LOST", "丢失"),
    "badge.missing": Word("MISSING", "缺失"),
    "badge.silent": Word("SILENT", "无上报"),
    "badge.reporting": Word("REPORTING", "上报中"),
    "badge.contested": Word("CONTESTED", "重复占用"),
    "badge.contradicted": Word("CONTRADICTED", "双方矛盾"),
    "badge.reset_required": Word("RESET REQUIRED", "需重置"),
    "badge.unreadable": Word("UNREADABLE", "无法读取"),
    "badge.not_assessed": Word("NOT ASSESSED", "未评估"),
    "badge.refused": Word("REFUSED", "被拒绝"),
    "badge.error": Word("ERROR", "错误"),
    "badge.warning": Word("WARNING", "警告"),
    "badge.info": Word("INFO", "提示"),
    "role.provider": Word("provider", "出租方"),
    "role.lessee": Word("lessee", "承租方"),
    "role.nobody": Word("nobody", "无"),
    "role.open": Word("open", "未定"),
    "role.collector": Word("collector", "采集端"),
}


def say(key: str, language: Language, *values: str) -> str:
    """What a key means in a language. Raises KeyError for one that is in neither table."""
    word = PAGE.get(key)
    if word is None:
        return words.say(key, language, *values)
    text = word.en if language == "en" else word.zh
    return text.format(*values) if values else text


def finding_name(code: str, language: Language) -> str:
    """A finding in a word or two; in Chinese by what it means, for its code is English."""
    row = meaning(code)
    return code.replace("_", " ") if language == "en" or row is None else row.means.zh


def name(kind: str, code: str, language: Language) -> str:
    """The word for a code; where no table has one, the code as people write it."""
    key = f"{kind}.{code}"
    if key in PAGE:
        return say(key, language)
    found = words.name(kind, code, language)
    return code.replace("_", " ") if found == code else found
