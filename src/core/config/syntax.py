"""Words of the command line that are no ``key=value``, and what was meant by them."""

from collections.abc import Sequence

from src.core.config.quoting import in_shell, typed
from src.core.errors import describe

BRACKETS = {"[": "]", "{": "}"}


def joined(given: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words with those together that the shell has parted, and a problem for each such place.

    ``key = value`` counts as ``key=value``, so that what else is wrong can be told too; text that was cut at its
    spaces is left out.
    """
    words, kept, problems = list(given), [], []
    while words:
        word, parted = _around_equals(words)
        if word.startswith("="):
            problems.append(describe(word, "there is no key before the =", "write key=value"))
            continue
        if parted:
            problems.append(describe(word.replace("=", " = ", 1), "there must be no spaces around the =",
                                     f"write {in_shell(word)}"))
        if _is_text(word) and _goes_on(words):
            problems.append(_cut(word, words))
        else:
            kept.append(word)
    return kept, problems


def fix(text: str) -> str:
    """What to write instead of something that Hydra cannot read."""
    key, equals, value = text.partition("=")
    if not equals:
        return "join a key and its value by =: key=value"
    for mark, end in BRACKETS.items():
        if value.startswith(mark) and value.count(mark) != value.count(end):
            unclosed = value.count(mark) > value.count(end)
            return f"a {mark} is not closed: add {end}" if unclosed else f"one {end} too many"
    if any(value.count(quote) % 2 for quote in "'\"" if value.startswith(("[", "{", quote))):
        return "close the quotes"
    if "{" in text or "}" in text:
        return "write a mapping in quotes, and none around its keys: 'key={name: value}'"
    if value.startswith("["):
        return "quote lists, and text with commas in them: 'key=[a,\"b, c\"]'"
    return f"quote text with such characters: {typed(key, value)}"


def several(text: str) -> str:
    """What to write instead of ``key=a,b`` in a single run."""
    key, _, value = text.partition("=")
    return f"quote text with a comma: {typed(key, value)}" if "/" in value else "add -m, or write a list: 'key=[a,b]'"


def _around_equals(words: list[str]) -> tuple[str, bool]:
    """The next word, with those that belong to it and stand apart; and whether there were any."""
    parts = [words.pop(0)]
    if _is_loose(parts[0]) and words and words[0].startswith("="):
        parts.append(words.pop(0))
    if parts[-1].endswith("=") and words and _is_loose(words[0]):
        parts.append(words.pop(0))
    return "".join(parts), len(parts) > 1


def _is_loose(word: str) -> bool:
    return not set("=~:") & set(word)


def _goes_on(words: list[str]) -> bool:
    """Whether the next word may be a part of the text before it."""
    return bool(words) and _is_loose(words[0]) and not (len(words) > 1 and words[1].startswith("="))


def _is_text(word: str) -> bool:
    key, _, value = word.partition("=")
    return key == "name" or "/" in value


def _cut(word: str, words: list[str]) -> str:
    """The problem of a text with spaces; its further parts are taken out of the words."""
    parts = [word]
    while _goes_on(words):
        parts.append(words.pop(0))
    key, _, value = " ".join(parts).partition("=")
    return describe(" ".join(parts), "the shell has cut this at its spaces", f"write {typed(key, value)}")
