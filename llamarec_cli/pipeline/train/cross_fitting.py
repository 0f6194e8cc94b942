"""Cross-fitted retrievers: what the first stage would retrieve for a user of the training set if it had never seen her.

A retriever has learnt the very items that followed the prefixes it was trained on, and ranks them far better there
than it ranks anything new: on Beauty Recall@20 is .448 on training prefixes and .144 on validation. A ranker trained
on such candidates would learn to trust the retriever. So users are divided in two halves; for each a retriever is
made as the first stage was, of the users of the other half alone, and reads this half's prefixes.

The two are no artefacts. Their weights are in the states of their training, in the store's work folder, until the
ranker they serve is in the store.
"""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from llamarec_cli.artefacts.base_model import need_base_model
from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.retrievers import retriever_name
from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.data.splits import Sequences, Split, held_out, training_sequences
from llamarec_cli.devices import best_device
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.pipeline.train.retriever import run_training
from llamarec_cli.pipeline.train.retriever_plan import Plan
from llamarec_cli.retrieval.candidates import rank_targets, retrieve
from llamarec_cli.retrieval.models import RETRIEVERS
from llamarec_cli.retrieval.scoring import Fitting, Retriever
from llamarec_cli.retrieval.training import TrainingConfig
from llamarec_cli.store.manifest import Kind
from llamarec_cli.store.registry import Artefact


class CrossFitting:
    """The two retrievers of one ranker, made when they are first asked.

    Args:
        context: Surroundings.
        name: Name of the ranker.
        data: The data set.
        first_stage: The retriever whose candidates are ranked in the end; these are made after its recipe.
        k: Candidates a prefix.
        seed: Of the division of users.
    """

    def __init__(
        self, context: Context, name: str, data: PreparedData, first_stage: Artefact, k: int, seed: int
    ) -> None:
        # Of the states that are read again to get at a finished half's weights there is no news to tell.
        self._quiet = dataclasses.replace(context, say=lambda _: None)
        self._context = context
        self._name = f"{name}.seed-{seed}"
        self._data = data
        self._first_stage = first_stage
        self._k = k
        # Half 0 or 1 of each user.
        self._half_U = np.random.default_rng([seed, 4]).permutation(data.user_count) % 2

    def retrieve(self, users_B: npt.NDArray[np.int64], prefixes: Sequences) -> npt.NDArray[np.int32]:
        """Return the top K after a prefix of each user's sequence, B x K, by the retriever that did not see her."""
        items_BK = np.zeros((len(users_B), self._k), dtype=np.int32)
        for half, retriever in enumerate(self._retrievers):
            places = np.flatnonzero(self._half_U[users_B] == half)
            if len(places):
                found = retrieve(retriever, prefixes.subset(places), self._k).items_SK
                items_BK[places, : found.shape[1]] = found
        return items_BK

    def figures(self) -> list[dict[str, Any]]:
        """Return, for the manifest, validation Recall@K of each of the two: of users it saw, and of those it serves."""
        figures = []
        for half, retriever in enumerate(self._retrievers):
            recalls = {
                name: float(np.mean(rank_targets(retriever, held_out(self._users(of), Split.VALIDATION)) <= self._k))
                for name, of in (("recall_seen", 1 - half), ("recall_unseen", half))
            }
            figures.append({"users": self._users(1 - half).user_count, "k": self._k, **recalls})
            self._context.say(
                f"Half {half + 1}: validation Recall@{self._k} {recalls['recall_unseen']:.4f} of the users it serves, "
                f"{recalls['recall_seen']:.4f} of those it was trained on."
            )
        return figures

    def clear(self) -> None:
        """Forget both, once the ranker is in the store."""
        for half in (0, 1):
            self._context.store.training_state(self._state_name(half)).unlink(missing_ok=True)

    @cached_property
    def _retrievers(self) -> list[Retriever]:
        """The one that serves each half, and so was made of the other."""
        for half in (0, 1):
            if not len(held_out(self._users(half), Split.VALIDATION)):
                raise LlamaRecError(
                    "There are too few users to divide them in two halves and train a retriever of each.",
                    "Leave --negatives out, or give --negatives random.",
                )
        made = []
        for half in (0, 1):
            self._context.say(f"Hard negatives: a retriever of one half of the users, for the other ({half + 1} of 2).")
            made.append(self._made_like(self._first_stage, half))
        return made

    def _made_like(self, model: Artefact, half: int) -> Retriever:
        """Make what serves a half, as a retriever of the store was made, of the users of the other half."""
        config = model.manifest.config
        row = next(row for row in RETRIEVERS.values() if row.name in config)
        model_config = row.config(**config[row.name])
        data = self._users(1 - half)
        if row.is_neural:
            training = TrainingConfig(**config["training"])
            dataset = self._context.store.open(config["dataset"], Kind.DATASET)
            base = need_base_model(self._context, config["base"]) if "base" in config else None
            plan = Plan(config["dataset"], self._state_name(half), row, model_config, training, data, dataset, base)
            # No further than the first stage itself, whose time may have been limited.
            trained, _ = run_training(self._quiet, plan, max_steps=model.manifest.metrics["steps"])
            return trained

        def blended(member: str) -> Retriever:
            name = retriever_name(config["dataset"], member)
            return self._made_like(self._context.store.open(name, Kind.RETRIEVER), half)

        fitting = Fitting(
            training_sequences(data), held_out(data, Split.VALIDATION), data.item_count, blended, best_device()
        )
        fitted: Any = row.model
        result: Retriever = fitted.fit(model_config, fitting).eval()
        return result

    def _users(self, half: int) -> PreparedData:
        return self._data.of_users(np.flatnonzero(self._half_U == half))

    def _state_name(self, half: int) -> str:
        return f"{self._name}.half-{half}"
