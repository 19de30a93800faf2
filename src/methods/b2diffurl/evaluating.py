"""Lightning glue of evaluation, pictures and plots: validation gives the curves, test the figures before and after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import torch
from torch import LongTensor, Tensor
from torch.utils.data import DataLoader, IterableDataset

from src.core import console
from src.core.media import log_image
from src.core.phase import phase
from src.core.processes import ranks
from src.methods.b2diffurl.evaluation import EVALUATION_STAGE, Tally, Task, share_of, tasks
from src.methods.b2diffurl.pictures import Gallery, draw_sheet, gallery_of
from src.methods.b2diffurl.plots import draw_plots
from src.rewards.guard import checked_details


class Evaluating:
    """The half of the method that never trains. Noise depends on the prompt and the picture's number alone, so that
    every method, checkpoint and seed is compared on the same pictures-to-be."""

    evaluate_before = True

    def before_eval(self, label: str) -> None:
        """`before`, `after` or `eval`: the name of the pictures that the next test keeps."""
        self.label = label

    def val_dataloader(self) -> DataLoader:
        return self._tasks(self.curve_images)

    def test_dataloader(self) -> DataLoader:
        return self._tasks(self.eval_images)

    def _tasks(self, images: int) -> DataLoader:
        plan = tasks(len(self.prompts.train), len(self.prompts.heldout), prompts=self.eval_prompts, images=images,
                     batch=self.rollout_batch)
        return DataLoader(_Tasks(share_of(plan, ranks.number(), ranks.count())), batch_size=None)

    def on_validation_epoch_start(self) -> None:
        self.tally, self.shown = Tally(), ExitStack()
        batches = int(sum(self.trainer.num_val_batches))
        self.advance = self.shown.enter_context(phase(self.trainer, "evaluating", total=batches, unit="batches"))

    def on_test_epoch_start(self) -> None:
        self.tally = Tally()  # the console counts a test's batches itself

    def validation_step(self, task: Task, index: int) -> None:
        with ranks.together():
            self.evaluate(task)
        self.advance(1)

    def test_step(self, task: Task, index: int) -> None:
        with ranks.together():
            self.evaluate(task)

    def evaluate(self, task: Task) -> None:
        """Draws and scores one batch of pictures."""
        evaluations = self.model.evaluations
        rolled = self.sample_latents(task.prompt_index, task.slots, branches=1, interval=self.steps,
                                     stage=EVALUATION_STAGE, seed=0, keep=False)
        if not len(task.slots):  # a rank without pictures, which only lends its part of shared weights
            return
        pictures = self.model.decode(rolled.latents)
        self.tally.add(task, rolled.latents, pictures, self.all_scores(pictures, task.prompt_index),
                       every=self.state is not None)  # the protocol's measures take all
        self.model.evaluations = evaluations  # the cost axes tell what training costs

    def all_scores(self, pictures: Tensor, prompt_index: LongTensor) -> dict[str, Tensor]:
        """Every scorer's figures for pictures, [B] each."""
        words = [self.words[i] for i in prompt_index.tolist()]
        found: dict[str, Tensor] = {}
        for scorer in self.scorers.values():
            found |= checked_details(scorer, pictures, words, self.run_dir)
        return found

    def on_validation_epoch_end(self) -> None:
        self.shown.close()
        self.log_dict(self._tallied() | {"cost/reward_queries": float(self.queries)})
        if self.trainer.is_global_zero:
            self._show_stage()

    def _tallied(self) -> dict[str, float]:
        """Figures of all ranks' pictures; the pictures come together on rank 0."""
        tallies = ranks.collected(self.tally)
        if tallies:
            self.tally = Tally.of(tallies)
        return ranks.from_first(self.tally.figures() if tallies else None)

    def _show_stage(self) -> None:
        gallery = self._gallery()
        sheet = draw_sheet({f"stage {self.current_epoch + 1}": gallery},
                           _made(self.run_dir / "samples") / f"stage_{self.current_epoch + 1:04d}.png")
        log_image(self.trainer, "samples", sheet)

    def on_test_epoch_end(self) -> None:
        self.figures = self._tallied()
        if self.label == "before":  # the curves' first point
            self.log_dict(self.figures | {"cost/reward_queries": 0.0})
        if self.trainer.is_global_zero:
            self._gallery().save(self.run_dir / "samples" / f"{self.label}.npz")

    def _gallery(self) -> Gallery:
        return gallery_of(self.tally, self.words, list(self.scorers))

    def report(self, folder: Path) -> None:
        """Plots of the run so far, and the sheet before/after with whatever of the two there is."""
        pictures = draw_plots(folder / "metrics.csv", folder / "plots")
        files = {label: folder / "samples" / f"{label}.npz" for label in ("before", "after", "eval")}
        galleries = {label: Gallery.load(file) for label, file in files.items() if file.is_file()}
        shown = next(reversed(galleries.values())).prompts if galleries else []
        for label in [label for label, gallery in galleries.items() if gallery.prompts != shown]:
            del galleries[label]
            console.note(f"The sheet leaves out the pictures {label} training: they are of other prompts.")
        if galleries:
            pictures.append(draw_sheet(galleries, folder / "samples" / "before_after.png"))
        for picture in pictures:
            log_image(self.trainer if self._trainer else None, picture.stem, picture)

    @torch.no_grad()
    def sample(self, prompts: list[str], folder: Path) -> list[Path]:
        """One picture for each prompt, from noise that its place in the list and the seed decide."""
        from torchvision.utils import save_image

        self.embed(prompts)
        index = torch.arange(len(prompts))
        rolled = self.sample_latents(index, index, branches=1, interval=self.steps, stage=EVALUATION_STAGE,
                                     seed=self.seed, keep=False)
        files = []
        for place, picture in enumerate(self.model.decode(rolled.latents)):
            files.append(_made(folder) / f"{place:03d}_{_slug(prompts[place])}.png")
            save_image(picture, files[-1])
        return files


class _Tasks(IterableDataset):
    """A rank's tasks. Not a list: Lightning would deal that to the ranks once more, and repeat some."""

    def __init__(self, plan: list[Task]) -> None:
        self.plan = plan

    def __len__(self) -> int:
        return len(self.plan)

    def __iter__(self) -> Iterator[Task]:
        return iter(self.plan)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _slug(prompt: str) -> str:
    """A prompt as part of a file name."""
    return "".join(letter if letter.isalnum() else "_" for letter in prompt)[:60]
