"""Why something is refused, in the reader's language: usual reasons in words, any other word for word in a frame."""

import re
from functools import cache

from collector.documents.word import Word
from collector.documents.words import Language
from collector.web.page_words import say
from collector.web.page_words_refusals import SENTENCES


def reason_in(detail: str, language: Language) -> str:
    """What `detail`, which is English, says in a language: with every name and number that stands in it."""
    if language == "en":
        return detail
    for pattern, word in _patterns():
        found = pattern.fullmatch(detail)
        if found is not None:
            return word.zh.format(*found.groups())
    return say("exact_reason", language, detail)


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], Word], ...]:
    """The most words first: a name may hold anything, a shorter sentence too."""
    longest = sorted(SENTENCES, key=lambda word: len(word.en), reverse=True)
    return tuple((_pattern(word.en), word) for word in longest)


def _pattern(sentence: str) -> re.Pattern[str]:
    """What is no place of the sentence stands in it to the letter."""
    return re.compile("(.+)".join(map(re.escape, sentence.split("{}"))), re.DOTALL)
