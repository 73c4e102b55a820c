"""The columns of each section, what they hold, and the table that they make."""

from collections.abc import Mapping, Sequence

from collector.documents.document_layout import Cell, Column, Kind, Section, Table
from collector.documents.speaker import Speaker
from weighbridge.judge.ledger import State
from weighbridge.settlement.statement import TO_COME

Row = tuple[Cell, ...]
STATES = (*(str(state) for state in State), TO_COME)
"""What the seconds of a unit are told by."""

MONEY = (
    "gross",
    "unbilled",
    "net",
    "tax",
    "taxable",
    "total",
    "base",
    "amount",
    "earned",
    "owed",
    "if_told",
    "if_unknown",
    "exit_amount",
    "late_amount",
    "most",
    "used_before",
)
"""Heads that name the currency."""

_CREDIT = "credit formula base tier amount form expires remarks"
HEADS: Mapping[str, tuple[str, ...]] = {
    section: tuple(columns.split())
    for section, columns in {
        "parties": "role name registration part",
        "delivery": (
            "resource contracted_gpu_seconds reporting_gpu_seconds healthy_gpu_seconds "
            "in_use_gpu_seconds contracted_p healthy_p utilization energy"
        ),
        "invoice_lines": "version resource price quantity gross unbilled net rate included tax total prepaid",
        "invoice_taxes": "rate included taxable tax total",
        "invoice": "item formula amount",
        "fees": "resource price quantity gross unbilled net tax prepaid",
        "units": "objective unit verdict availability exactly target",
        "time": "objective unit service denominator counted raw uncounted excluded unknown contested",
        "states": " ".join(("objective", "unit", *(f"state.{state}" for state in STATES))),
        "evidence": "slot agreed provider_alone lessee_alone contradicted words contested unknown heard_late",
        "cadence": (
            "node interval contracted_gpu_seconds heard_gpu_seconds sampled_gpu_seconds kept coverage"
        ),
        "reach": "node reached_s unreached_s unknown said_by heard_late",
        "late": "consequence heard_late owed if_told if_unknown",
        "outages": "objective unit start end seconds is_counted held_time cause entries",
        "windows": "objective unit item start end",
        "probes": "objective verdict share exactly target good valid scheduled",
        "series": "start node asked_by proof gpus least_rate is_counted",
        "credits": f"unit {_CREDIT}",
        "others": _CREDIT,
        "by_lessee": _CREDIT,
        "floors": "floor measure verdict least_healthy short_hours",
        "clocks": "objective unit verdict start end seconds allowed",
        "maintenance": "item start end notice ruling excluded",
        "letter_claims": "unit standing deadline is_past amount",
        "letter_units": "objective unit verdict availability exactly target",
        "notice_details": "detail told",
        "claims": "unit standing opens deadline earned owed",
        "said": "event unit at party authority entry",
        "flags": "flag meaning innocent",
        "items": "resource sku nodes nodes_whole gpus gpus_seen_column",
        "batches": "batch resource nodes nodes_whole due complete_at standing",
        "different": "slot code verdict expected observed uuid",
        "never_seen": "resource node gpus slots",
        "slots": "slot batch model uuid first_seen side entry",
        "identities": "slot serial host_serial board_part pci driver vbios memory",
        "quantities": "resource gpus gpus_loaded idle_gpus unknown_gpus nodes nodes_passed",
        "tests": (
            "probe probe_version verdict threshold quantile min_nodes duration nodes_met "
            "nodes_breached nodes_unknown parameters"
        ),
        "results": "unit probe verdict value at attempt source level entry remarks",
        "readings": "unit probe verdict reached not_reached level",
        "proof_of_load": "slot uuid serial side verdict loaded idle unseen",
        "telemetry": "slot side first_in_window load_band power clock percent heat joules",
        "exits": "objective unit party condition standing since arose missed open_periods exit_amount remedy",
        "payments": "start amount confirmed days_late reference",
        "interest": "credit ten_thousandths days_late late_amount",
        "deposit": "start item amount confirmed reference",
        "longer": "credit unit lost adds longer_in_all ends open_periods",
        "limits": "per start end most used_before open_periods",
        "answers": "start answer party unit amount reason entry",
        "swaps": "start replaced unit old new remarks",
        "differences": "path before after",
        "red_flags": "flag contracts subject since level figures entries",
        "portfolio": (
            "contract provider lessee from until contracted_gpus seen_gpus reporting_gpus draws_on flag_count"
        ),
        "accounts": (
            "company role month contract_count contracted_hours reporting_hours healthy_hours in_use_hours "
            "kilowatt_hours currency recognised delivered_of_it unproven credits_owed"
        ),
    }.items()
}
"""By section, the keys of its columns, which are those of their words."""

_OF_KIND: Mapping[Kind, str] = {
    "number": (
        "agreed allowed amount attempt availability base clock contested contracted_gpu_seconds "
        "contracted_p contradicted counted coverage denominator duration earned energy entries entry exactly "
        "excluded floor good gpus gpus_loaded gpus_seen_column gross healthy_gpu_seconds "
        "healthy_p heard_gpu_seconds heard_late heat idle idle_gpus if_told if_unknown "
        "in_use_gpu_seconds interval joules kept "
        "least_healthy least_rate lessee_alone load_band "
        "loaded memory min_nodes net nodes nodes_breached nodes_met nodes_passed quantity "
        "nodes_unknown nodes_whole not_reached owed percent power provider_alone quantile rate raw reached reached_s "
        "reporting_gpu_seconds sampled_gpu_seconds scheduled seconds service share short_hours target tax "
        "taxable threshold total unbilled uncounted unknown unreached_s unknown_gpus unseen utilization valid value "
        "contract_count contracted_gpus contracted_hours credits_owed delivered_of_it flag_count healthy_hours "
        "in_use_hours kilowatt_hours recognised reporting_gpus reporting_hours seen_gpus unproven "
        "adds longer_in_all lost days_late exit_amount late_amount most ten_thousandths used_before"
    ),
    "time": (
        "arose ends since from until at complete_at opens deadline due end expires first_in_window first_seen "
        "held_time notice start"
    ),
    "code": (
        "contract contracts draws_on subject "
        "batch board_part credit driver event flag host_serial measure new node "
        "objective old path pci probe probe_version registration resource serial sku slot "
        "slots tier unit uuid vbios"
    ),
}
KINDS = {key: kind for kind, keys in _OF_KIND.items() for key in keys.split()}
"""What a column holds: by its key, text where it is not named."""


def table(
    speak: Speaker,
    section: str,
    rows: Sequence[Row],
    *,
    suffix: str = "",
    note: str = "",
    empty: str = "none",
    version: int | None = None,
) -> Section:
    """A section of rows; a column that is empty in all of them is left out, and a table without rows says so.

    In a part of a statement an objective that all rows have is named once, above them.
    """
    heads, title = HEADS[section], speak.say(section) + suffix
    if not rows:
        return Section(section, title, note, lines=(speak.say(empty),), version=version)
    once = version is not None and heads[0] == "objective" and len({row[0] for row in rows}) == 1
    facts = (speak.fact("objective", rows[0][0], "code"),) if once else ()
    used = [place for place in range(int(once), len(heads)) if any(row[place].text for row in rows)]
    columns = [_column(speak, heads[place]) for place in used]
    kept = [tuple(row[place] for place in used) for row in rows]
    return Section(section, title, note, facts, table=Table(columns, kept), version=version)


def _column(speak: Speaker, key: str) -> Column:
    title = speak.say(key)
    kind = "number" if key.startswith("state.") else KINDS.get(key, "text")
    if key in MONEY:
        title = f"{title} {speak.currency}"
    if kind == "time":
        title = speak.say("on_clocks", title, speak.zone)
    return Column(key, title, kind)
