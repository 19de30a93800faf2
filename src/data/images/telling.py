"""What a user is told about folders of pictures once they are read: what was passed over, and what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from src.core.console import note, warn
from src.data.images.folders import SUFFIXES, Listing
from src.data.images.splits import some


def tell(listings: Mapping[str, Listing], classes: Sequence[str], val: str | None) -> None:
    """Warns of files left out for their suffix and of classes without a picture to evaluate. `val` is the folder
    that was to validate, if nothing does: it may be tested on instead."""
    if left := sum((listing.left_out for listing in listings.values()), Counter()):
        kinds = ", ".join(f"{count} {suffix or 'without one'}" for suffix, count in left.most_common(5))
        warn(f"{left.total()} files are left out for their suffix ({kinds}): pictures have {', '.join(SUFFIXES)}")
    for split, listing in listings.items():
        if split != "train" and (absent := set(range(len(classes))) - set(listing.labels)):
            warn(f"{listing.folder} has no pictures of {some([classes[one] for one in absent])}: "
                 f"its figures say nothing about {'this class' if len(absent) == 1 else 'these classes'}")
    if val and "test" in listings and listings["test"].folder.parts[-1:] == Path(val).parts[-1:]:
        note(f"The pictures of {val} are tested on: a training has none to validate with, and so no best checkpoint. "
             "Add data.val_share=0.1 for a validation")
