"""The window of an acceptance certificate: asked for on the contract's clocks, as notices ask for their times."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from collector.documents.words import Language
from collector.web.notice_forms import FormField, clocks_of, input_of, said_wrong
from collector.web.page_words import say
from weighbridge.contract import Contract
from weighbridge.contract.scalars import instant_text
from weighbridge.notices.fields import local_instant_us
from weighbridge.notices.rules import NoticeError

ENDS = ("from", "until")


@dataclass(frozen=True, slots=True)
class WindowForm:
    """What was asked for. `instants`: the ends that were understood, in UTC; `errors`: why others were not."""

    asked: Mapping[str, str]
    instants: Mapping[str, str]
    errors: Mapping[str, NoticeError]

    def fields(self, contract: Contract, language: Language) -> Iterator[FormField]:
        """With what was typed; nothing is wrong with a form that nobody has filled in yet."""
        for name in ENDS:
            value, error = self.asked.get(name, ""), self.errors.get(name)
            yield FormField(
                name=name,
                label=say(f"window_{name}", language),
                hint=say("instant_hint", language, clocks_of(contract)),
                needed=True,
                input=input_of("instant", value),
                value=value,
                choices=(),
                error=said_wrong(error, language) if error and self.asked else "",
            )


def window_form(query: Mapping[str, str], zone: str) -> WindowForm:
    """Of the ends in a query: on a zone's clocks, or instants with an offset of their own."""
    asked = {name: query[name].strip() for name in ENDS if name in query}
    instants, errors = dict[str, str](), dict[str, NoticeError]()
    for name in ENDS:
        try:
            instants[name] = _instant(asked.get(name, ""), zone)
        except NoticeError as error:
            errors[name] = error
    return WindowForm(asked, instants, errors)


def _instant(text: str, zone: str) -> str:
    if not text:
        raise NoticeError("needed")
    return instant_text(local_instant_us(text, zone))
