"""The layout of an acceptance certificate. Pure; says nothing that the certificate does not say."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from collector.documents import words
from collector.documents.columns import Row
from collector.documents.document_layout import Cell, DocumentLayout, Fact, Section
from collector.documents.handover_page import Page
from collector.documents.speaker import Speaker
from collector.documents.words import Language
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.handover.documents import Certificate, LoadLine, ReadingLine, Trial, TrialLine
from weighbridge.settlement.money import rounded
from weighbridge.verdict import Verdict

WATT_MILLIWATTS, KILO = 1000, 1000
SCALES = {"power_draw_milliwatts": WATT_MILLIWATTS}
"""By what a reading is divided to be shown."""

SIGNS = {">=": "≥", "<=": "≤", ">": ">", "<": "<"}
NODES = (Verdict.MET, Verdict.BREACHED, Verdict.UNKNOWN)
"""Of each verdict on its nodes a test has a column."""

TELEMETRY = (
    "power_draw_milliwatts",
    "sm_clock_megahertz",
    "utilization_gpu_percent",
    "temperature_gpu_celsius",
)


def lay_out_certificate(certificate: Certificate, language: Language) -> DocumentLayout:
    """The layout of a certificate."""
    speak = Speaker(language, certificate.source.currency, certificate.source.time_zone)
    return _CertificateLayout(speak, certificate).layout()


@dataclass(frozen=True)
class _CertificateLayout(Page):
    made: Certificate

    def layout(self) -> DocumentLayout:
        made, say = self.made, self.speak.say
        idle, loaded, unknown, all_ = (
            sum(getattr(line, name) for line in made.quantities)
            for name in ("gpus_idle", "gpus_loaded", "gpus_unknown", "gpus")
        )
        notes = tuple(
            say(key, str(count))
            for key, count in (("without_load", idle), ("load_not_known", unknown))
            if count
        )
        start, end = (self.speak.local(at).text for at in made.window)
        return self.laid_out(
            "acceptance_title",
            f"{made.source.contract} · {start} – {end}",
            made,
            (self.speak.name("outcome", made.verdict), made.verdict == Verdict.MET.name),
            self._facts(),
            self.speak.fact(
                "gpus_loaded", Cell(say("of_contracted", str(loaded), str(all_)), str(loaded))
            ),
            notes,
            self._front(),
            self._sections(),
            "sign_acceptance",
        )

    def _facts(self) -> Iterator[Fact]:
        made, say = self.made, self.speak.say
        yield from self.head(made.source)
        for key, text in (
            ("from", made.window_local[0]),
            ("until", made.window_local[1]),
            ("from_utc", made.window[0]),
            ("until_utc", made.window[1]),
        ):
            yield self.speak.fact(key, self.speak.instant(text), "time")
        yield from self.start(made.start)
        sides = self.speak.listed(self.speak.name("role", side) for side in made.sides)
        yield self.speak.fact("sides", Cell(sides or say("nobody"), " ".join(made.sides)))
        yield self.speak.fact("load_rule", self.speak.coded("load", made.load_rule))
        yield self.speak.fact("partial", self.speak.yes(made.partial_acceptance))
        yield self.speak.fact("retests", self.speak.number(made.retest_limit))
        yield from self.tail(made)

    def _front(self) -> Iterator[Section]:
        yield self.parties(self.made.source)
        rows = [
            (
                Cell(line.resource),
                *map(
                    self.speak.number,
                    (
                        line.gpus,
                        line.gpus_loaded,
                        line.gpus_idle,
                        line.gpus_unknown,
                        line.nodes,
                        line.nodes_passed,
                    ),
                ),
            )
            for line in self.made.quantities
        ]
        yield self.section("quantities", rows)
        yield self._tests()

    def _tests(self) -> Section:
        rows = [self._test(trial) for trial in self.made.trials]
        return self.section("tests", rows, "no_tests")

    def _test(self, trial: Trial) -> Row:
        number, verdicts = self.speak.number, list(trial.nodes.values())
        return (
            Cell(trial.probe),
            Cell(trial.version),
            self.speak.verdict(trial.verdict),
            Cell(
                f"{SIGNS[trial.op]} {words.number(trial.threshold)}",
                f"{trial.op} {trial.threshold}",
            ),
            self.speak.percent(trial.quantile),
            number(trial.min_nodes),
            number(trial.duration_s) if trial.duration_s else Cell(""),
            *(number(verdicts.count(one.name)) for one in NODES),
            Cell(" ".join(f"{name}={value}" for name, value in sorted(trial.parameters.items()))),
        )

    def _sections(self) -> Iterator[Section]:
        lines = [(trial.probe, line) for trial in self.made.trials for line in trial.lines]
        yield from self._results([one for one in lines if one[1].reached_us is None])
        yield from self._held([one for one in lines if one[1].reached_us is not None])
        yield self._load()
        yield self._telemetry()
        yield self.said(self.made.said)
        yield self.flags(self.made.flags)

    def _results(self, lines: Sequence[tuple[str, TrialLine]]) -> Iterator[Section]:
        if lines:
            yield self.section("results", [self._result(*one) for one in lines])

    def _result(self, probe: str, line: TrialLine) -> Row:
        detail = "" if line.detail is None else self.speak.told(line.detail)
        beyond = "" if line.of_limit else self.speak.say("beyond_limit")
        return (
            Cell(line.unit),
            Cell(probe),
            self.speak.verdict(line.verdict),
            self.speak.maybe(line.value),
            Cell("") if line.at is None else self.speak.short(line.at),
            self.speak.number(line.attempt),
            self.speak.coded("trial", line.source),
            Cell(self.speak.told(line.level)),
            self.speak.maybe(line.entry),
            Cell(self.speak.listed(text for text in (detail, beyond) if text)),
        )

    def _held(self, lines: Sequence[tuple[str, TrialLine]]) -> Iterator[Section]:
        """Tests of a reading: for how long each GPU reached it."""
        rows = [
            (
                Cell(line.unit),
                Cell(probe),
                self.speak.verdict(line.verdict),
                *(self._seconds(us or 0) for us in (line.reached_us, line.missed_us)),
                Cell(self.speak.told(line.level)),
            )
            for probe, line in lines
        ]
        if rows:
            yield self.section("readings", rows)

    def _load(self) -> Section:
        rows = [self._loaded(line) for line in self.made.gpus]
        made = self.section("proof_of_load", rows, note=self.speak.say("load_note"))
        needed = {line.needed_us for line in self.made.gpus}
        facts = [self.speak.fact("needed", self._seconds(us)) for us in needed]
        return replace(made, facts=tuple(facts))

    def _loaded(self, line: LoadLine) -> Row:
        return (
            Cell(line.unit),
            Cell(line.uuid),
            Cell(line.serial or ""),
            self._side(line),
            self.speak.verdict(line.verdict),
            *map(self._seconds, (line.loaded_us, line.idle_us, line.unknown_us)),
        )

    def _side(self, line: LoadLine) -> Cell:
        return Cell(self.speak.name("role", line.side) if line.side else "", line.side)

    def _seconds(self, us: int) -> Cell:
        return self.speak.number(us // MICROSECONDS, str(us))

    def _telemetry(self) -> Section:
        rows = [self._measured(line) for line in self.made.gpus if line.first_seen is not None]
        return self.section("telemetry", rows, note=self.speak.say("telemetry_note"))

    def _measured(self, line: LoadLine) -> Row:
        found = {one.reading: one for one in line.readings}
        energy, least = line.energy_millijoules, line.load_power_milliwatts
        watts = "" if least is None else _short(Fraction(least), WATT_MILLIWATTS)
        return (
            Cell(line.unit),
            self._side(line),
            Cell("") if line.first_seen is None else self.speak.short(line.first_seen),
            Cell("") if least is None else self.speak.number(watts, str(least)),
            *(_spread(found.get(name)) for name in TELEMETRY),
            Cell("") if energy is None else self.speak.number(energy // KILO, str(energy)),
        )


def _spread(line: ReadingLine | None) -> Cell:
    """Least, mean and most, as people read them; the raw text is as the document holds them."""
    if line is None:
        return Cell("")
    scale = SCALES.get(line.reading, 1)
    whole = [str(line.least), str(line.most)]
    least, most = whole if scale == 1 else [_short(Fraction(one), scale) for one in whole]
    mean = _short(Fraction(line.mean_fraction), scale)
    return Cell(f"{least} · {mean} · {most}", f"{line.least} {line.mean} {line.most}")


def _short(value: Fraction, scale: int) -> str:
    return f"{rounded(value / scale, 1, 'half_up'):f}"
