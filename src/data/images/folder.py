"""`data=imagefolder | imagenet | tiny_imagenet`: folders train/, val/ and test/ with a folder of pictures per class, or
one such folder, of which shares are held out."""

from __future__ import annotations

from src.data.images.base import ImageData
from src.data.images.folder_memory import FolderMemory
from src.data.images.folder_options import FolderOptions
from src.data.images.folder_stream import FolderStream
from src.data.images.picture_files import OnUnreadable
from src.data.images.rules import insist, option_problems

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def image_folder(
    *,
    root: str,  # holds the folders of the splits
    name: str = "imagefolder",  # for the banner and exported models
    train: str = "train",  # folders below root
    val: str | None = "val",
    test: str | None = "test",  # null, or not there: test_share of train, or else val is the test split
    size: int = 224,  # side in pixels of what the network sees
    resize: int | None = None,  # pixels of the shorter side before the middle is cut out; null: 8/7 of size
    in_memory: bool = False,  # keep the scaled pictures on the device (3 * size^2 bytes each) instead of reading them
    workers: int | None = None,  # processes that read pictures; null: one for each core of its share, at most 8
    on_unreadable: OnUnreadable = "error",  # skip: read all once at the start, leave out what is no picture
    val_share: float = 0.0,  # of each class, held out of train for validation; 0: none
    test_share: float = 0.0,  # of each class, held out of train to test with; 0: none
    split_seed: int = 0,  # of the choice of those; not the run's seed
    min_scale: float = 0.08,  # streamed: least share of the area that a random crop has
    jitter: float = 0.4,  # streamed: brightness, contrast and saturation change by up to this share; 0: not
    pad: int = 4,  # in memory: pixels around a training picture before it is cropped at random; 0: no crop
    fill: int = 0,  # in memory: colour of that padding, 0 (black) to 255 (white)
    flip: bool = True,  # training pictures are mirrored with a chance of one half
    cutout: int = 0,  # side in pixels of a square that is cut out of training pictures; 0: none
    mean: list[float] = IMAGENET_MEAN,  # of red, green and blue in [0, 1], over the training pictures
    std: list[float] = IMAGENET_STD,
) -> ImageData:
    """A folder of pictures. Raises UserError for numbers out of range; files are read by `load`."""
    insist(option_problems({"size": size, "resize": resize, "val_share": val_share, "test_share": test_share,
                            "workers": workers, "fill": fill, "min_scale": min_scale, "jitter": jitter, "pad": pad,
                            "cutout": cutout, "mean": mean, "std": std}))
    options = FolderOptions(root=root, name=name, train=train, val=val, test=test, size=size,
                            resize=size * 8 // 7 if resize is None else resize, val_share=val_share,
                            test_share=test_share, split_seed=split_seed, on_unreadable=on_unreadable,
                            mean=tuple(mean), std=tuple(std))
    if in_memory:
        return FolderMemory(options, pad=pad, flip=flip, cutout=cutout, fill=fill)
    return FolderStream(options, min_scale=min_scale, flip=flip, jitter=jitter, cutout=cutout, workers=workers)
