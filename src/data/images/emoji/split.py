"""Which emoji are for training, validation and test. Pure Python: equal input gives equal splits on any machine."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence

SPLITS = ("train", "val", "test")
SHARES = {"test": 0.2, "val": 0.1}  # of the emoji of a sub-category; training has the rest


def split_emoji(kinds: Mapping[str, str], twins: Iterable[Sequence[str]] = ()) -> dict[str, str]:
    """The split of each emoji id, stratified by its kind (sub-category).

    `kinds`: emoji id -> kind, in order. `twins`: lists of ids that look alike; they share a split, so that no test
    picture was seen in training under another name. A kind always keeps one group in training. What rounding leaves
    over in one kind is carried to the next, so the shares hold over all.
    """
    groups = join(kinds, twins)
    by_kind: dict[str, list[list[str]]] = defaultdict(list)
    for group in groups:
        by_kind[kinds[group[0]]].append(group)
    split: dict[str, str] = {}
    owed = dict.fromkeys(SHARES, 0.0)
    for members in by_kind.values():
        _split_kind(sorted(members, key=_place), owed, split)
    return {emoji: split[emoji] for emoji in kinds}


def _split_kind(groups: list[list[str]], owed: dict[str, float], split: dict[str, str]) -> None:
    """Puts each group of one kind where most emoji are owed; the first group trains. Changes `owed` and `split`."""
    count = sum(map(len, groups))
    for name, share in SHARES.items():
        owed[name] += share * count
    for number, group in enumerate(groups):
        name = max(owed, key=owed.__getitem__)
        if number == 0 or owed[name] < 0.5 * len(group):
            name = "train"
        else:
            owed[name] -= len(group)
        split.update(dict.fromkeys(group, name))


def _place(group: Sequence[str]) -> str:
    """A place in the row that has nothing to do with what the emoji shows."""
    return hashlib.sha256(group[0].encode()).hexdigest()


def join(items: Iterable[str], twins: Iterable[Sequence[Hashable]]) -> list[list[str]]:
    """Groups of items that are twins of each other, directly or over others, in the order of their first items."""
    items = list(items)
    leader = {item: item for item in items}

    def find(item: str) -> str:
        while leader[item] != item:
            item = leader[item]
        return item

    rank = {item: place for place, item in enumerate(items)}
    for first, *others in twins:
        for other in others:
            low, high = sorted((find(first), find(other)), key=rank.__getitem__)
            leader[high] = low
    groups: dict[str, list[str]] = defaultdict(list)
    for item in items:
        groups[find(item)].append(item)
    return list(groups.values())
