"""What both methods compute, hold and send on a number of GPUs, by formulas."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from src.methods.b2diffurl.update import updates
from src.models.memory import held

FLOAT, HALF, WORD = 4, 2, 8  # bytes


@dataclass(frozen=True)
class Link:
    """What is assumed of the hardware."""

    bandwidth: float = 25e9  # bytes/s that each GPU sends at once: 200 Gbit/s
    inside: float = 450e9  # bytes/s that each GPU sends at once to those of its host: NVLink of an H100
    host: int = 8  # GPUs of a host
    latency: float = 10e-6  # s, of a message
    flops: float = 0.4 * 989e12  # FLOP/s that training reaches: 40 % of an H100

    def all_reduce(self, size: float, ranks: int) -> float:
        """Seconds: every rank sends 2 (R - 1) / R of the `size` bytes, in 2 log2 R rounds at least."""
        return 2 * (ranks - 1) / ranks * size / self.bandwidth + 2 * math.log2(ranks) * self.latency

    def gather(self, size: float, ranks: int) -> float:
        """Seconds until every rank has all of the `size` bytes, of which each has an R-th."""
        return (ranks - 1) / ranks * size / self.bandwidth + math.log2(ranks) * self.latency


@dataclass(frozen=True)
class Row:
    """One number of GPUs."""

    ranks: int
    memory: float  # bytes a GPU, of what grows with the method: trajectories, rows
    sent: float  # bytes a GPU sends in a stage or an epoch
    gradients: float  # share of the time for gradients, as any training on several GPUs has it
    own: float  # share of the time for what the method itself sends: rewards, or rows
    busy: float | None = None  # GPUs' mean share of the updates, which wait for the one with most samples


@dataclass(frozen=True)
class B2:
    """A stage of the reference recipe on SD 1.4 at s = T: the largest one."""

    forward: float  # FLOPs of a UNet evaluation
    gradients: float  # parameters that are trained
    shared: bool = False  # the whole UNet is trained, and its weights are shared (trainer=fsdp)
    trunks: int = 256
    branches: int = 5
    steps: int = 20
    kept: int = 512  # at most two of a trunk
    samples_per_update: int = 128
    inner_epochs: int = 2
    latents: int = 4 * 64 * 64 * FLOAT
    rollout_batch: int = 32
    micro_batch: int = 8

    def row(self, ranks: int, link: Link) -> Row:
        """Rewards of all pictures once a stage (prompts and trunks follow from the seed); gradients once an update."""
        trunks = math.ceil(self.trunks / ranks)
        guided = 2  # conditional and unconditional rows
        update = 3 if self.shared else 2  # backward through frozen weights is one forward, else two
        busiest = self.busiest(ranks)
        pairs = sum(busiest) * update
        work = guided * self.steps * self.forward * (trunks * self.branches + pairs)
        told = FLOAT * self.trunks * self.branches
        wait = link.gather(told, ranks)
        memory = held(trunks * self.branches, math.ceil(self.kept / ranks), self.steps) * self.latents
        more, sent, reduce = self.of_shared(ranks, link, busiest) if self.shared else self.of_copies(ranks, link)
        time = wait + reduce + work / link.flops
        return Row(ranks, memory + more, (ranks - 1) / ranks * told + sent, reduce / time, wait / time,
                   self.inner_epochs * self.kept / ranks / sum(busiest))

    @property
    def updates(self) -> int:
        """Optimiser steps of a stage."""
        return self.inner_epochs * math.ceil(self.kept / self.samples_per_update)

    def busiest(self, ranks: int) -> list[int]:
        """Of each update of a stage, the samples of the rank that has most; every trunk keeps as many as another."""
        plan = updates(self.kept, inner_epochs=self.inner_epochs, samples_per_update=self.samples_per_update,
                       seed=0, stage=0)
        trunk_of = torch.arange(self.kept) * self.trunks // self.kept
        rank_of = trunk_of * min(ranks, self.trunks) // self.trunks
        return [int(rank_of[samples].bincount().max()) for samples in plan]

    def of_copies(self, ranks: int, link: Link) -> tuple[float, float, float]:
        """Every rank has the weights: bytes held beside trajectories, bytes sent for gradients, seconds."""
        size = FLOAT * self.gradients
        return 0.0, (ranks - 1) / ranks * 2 * self.updates * size, self.updates * link.all_reduce(size, ranks)

    def of_shared(self, ranks: int, link: Link, busiest: list[int]) -> tuple[float, float, float]:
        """The same where a host's ranks share the weights: parts of weights, gradients and two moments are held.

        Weights are collected on each host in half precision for every call of the UNet and once more for its backward
        pass, and every micro-batch's gradients are summed there in float32; between hosts once an update.
        """
        host, hosts = min(ranks, link.host), max(1, ranks // link.host)
        size = FLOAT * self.gradients
        rolled = self.steps * math.ceil(math.ceil(self.trunks / ranks) * self.branches / self.rollout_batch)
        trained = sum(math.ceil(samples * self.steps / self.micro_batch) for samples in busiest)
        passes = HALF * self.gradients * (rolled + 2 * trained) + size * trained
        sent = (host - 1) / host * passes + (hosts - 1) / hosts * 2 * self.updates * size / host
        seconds = replace(link, bandwidth=link.inside).gather(passes, host)
        return 4 * size / host, sent, seconds + self.updates * link.all_reduce(size / host, hosts)


@dataclass(frozen=True)
class PSKD:
    """An epoch of ImageNet's size with ResNet-152; `sharded` or not is where past predictions live."""

    forward: float  # FLOPs of a picture
    gradients: float
    sharded: bool
    samples: int = 1_281_167
    classes: int = 1_000
    batch: int = 64  # a GPU

    def row(self, ranks: int, link: Link) -> Row:
        """Rows once an epoch, to all (table) or to the rank that reads them next; gradients once a step."""
        steps = math.ceil(self.samples / self.batch / ranks)
        work = 3 * self.forward * self.batch * steps  # backward is two forwards
        rows, marks = HALF * self.classes * self.samples, (FLOAT + WORD) * self.samples
        own = rows / ranks if self.sharded else rows
        exchange, reduce = link.gather(own + marks, ranks), steps * link.all_reduce(FLOAT * self.gradients, ranks)
        time = exchange + reduce + work / link.flops
        sent = (ranks - 1) / ranks * (own + marks + 2 * steps * FLOAT * self.gradients)
        return Row(ranks, own, sent, reduce / time, exchange / time)
