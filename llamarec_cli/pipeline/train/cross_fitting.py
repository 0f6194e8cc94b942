"""Cross-fitted retrievers: candidates for training users from a retriever that was not trained on them.

A retriever has seen the items that follow the prefixes it was trained on, and ranks them far better there than on new
users: on Beauty Recall@20 is .448 on training prefixes and .144 on validation. A ranker trained on such candidates
would learn to trust the retriever too much. So users are split into two halves. For each half a retriever is trained on
the other half, with the recipe of the first stage, and retrieves candidates for this half's prefixes.

The two retrievers are not artefacts. Their weights are kept as training states in the store's work folder until the
ranker is in the store.
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
from llamarec_cli.retrieval.registry import described_row
from llamarec_cli.retrieval.scoring import Fitting, Retriever
from llamarec_cli.retrieval.training import Limits
from llamarec_cli.retrieval.training_config import TrainingConfig
from llamarec_cli.store.manifest import Kind
from llamarec_cli.store.registry import Artefact


class CrossFitting:
    """The two retrievers of one ranker, trained at first use.

    Args:
        context: Store and reporting callbacks.
        name: Name of the ranker.
        data: The data set.
        first_stage: The retriever whose candidates the ranker ranks; the two are trained with its recipe.
        k: Number of candidates per prefix.
        seed: Of the split of users.
    """

    def __init__(
        self, context: Context, name: str, data: PreparedData, first_stage: Artefact, k: int, seed: int
    ) -> None:
        # Loading the state of a half that is trained already need not be reported.
        self._quiet = dataclasses.replace(context, say=lambda _: None)
        self._context = context
        self._name = f"{name}.seed-{seed}"
        self._data = data
        self._first_stage = first_stage
        self._k = k
        # The half, 0 or 1, of each user.
        self._half_U = np.random.default_rng([seed, 4]).permutation(data.user_count) % 2

    def retrieve(self, users_B: npt.NDArray[np.int64], prefixes: Sequences) -> npt.NDArray[np.int32]:
        """Return the top K after a prefix of each user's sequence, B x K, by the retriever not trained on that user."""
        items_BK = np.zeros((len(users_B), self._k), dtype=np.int32)
        for half, retriever in enumerate(self._retrievers):
            places = np.flatnonzero(self._half_U[users_B] == half)
            if len(places):
                found = retrieve(retriever, prefixes.subset(places), self._k).items_SK
                items_BK[places, : found.shape[1]] = found
        return items_BK

    def figures(self) -> list[dict[str, Any]]:
        """Return each retriever's validation Recall@K on the users it was trained on and on the others."""
        figures = []
        for half, retriever in enumerate(self._retrievers):
            recalls = {
                name: float(np.mean(rank_targets(retriever, held_out(self._users(of), Split.VALIDATION)) <= self._k))
                for name, of in (("recall_seen", 1 - half), ("recall_unseen", half))
            }
            figures.append({"users": self._users(1 - half).user_count, "k": self._k, **recalls})
            self._context.say(
                f"Retriever {half + 1} of 2: validation Recall@{self._k} {recalls['recall_unseen']:.4f} on unseen "
                f"users, {recalls['recall_seen']:.4f} on the users it was trained on."
            )
        return figures

    def clear(self) -> None:
        """Delete the states of both; called once the ranker is in the store."""
        for half in (0, 1):
            self._context.store.training_state(self._state_name(half)).unlink(missing_ok=True)

    @cached_property
    def _retrievers(self) -> list[Retriever]:
        """The retriever that serves each half; it is trained on the other half."""
        for half in (0, 1):
            if not len(held_out(self._users(half), Split.VALIDATION)):
                raise LlamaRecError(
                    "There are too few users to split them into two halves and train a retriever on each.",
                    "Leave out `negatives`, or set it to random.",
                )
        made = []
        for half in (0, 1):
            self._context.say(f"Hard negatives: training retriever {half + 1} of 2, each on half of the users.")
            made.append(self._trained_like(self._first_stage, half))
        return made

    def _trained_like(self, model: Artefact, half: int) -> Retriever:
        """Train the retriever that serves a half, with the recipe of a stored one, on the users of the other half."""
        config = model.manifest.config
        row = described_row(config)
        model_config = row.config(**config[row.name])
        data = self._users(1 - half)
        if row.is_neural:
            training = TrainingConfig(**config["training"])
            dataset = self._context.store.open(config["dataset"], Kind.DATASET)
            base = need_base_model(self._context, config["base"]) if "base" in config else None
            plan = Plan(config["dataset"], self._state_name(half), row, model_config, training, data, dataset, base)
            # No more steps than the first stage, whose time may have been limited.
            trained, _ = run_training(self._quiet, plan, Limits(max_steps=model.manifest.metrics["steps"]))
            return trained

        def blended(member: str) -> Retriever:
            name = retriever_name(config["dataset"], member)
            return self._trained_like(self._context.store.open(name, Kind.RETRIEVER), half)

        fitting = Fitting(
            training_sequences(data), held_out(data, Split.VALIDATION), data.item_count, blended, best_device()
        )
        result: Retriever = row.model.fit(model_config, fitting).eval()
        return result

    def _users(self, half: int) -> PreparedData:
        return self._data.of_users(np.flatnonzero(self._half_U == half))

    def _state_name(self, half: int) -> str:
        return f"{self._name}.half-{half}"
