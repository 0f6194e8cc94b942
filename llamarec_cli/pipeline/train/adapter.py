"""The adapter of a ranker: what it is trained on, where the state of its training is kept, and what is told of it."""

from __future__ import annotations

import gc
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from llamarec_cli.artefacts.base_model import BaseModel
from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.training_state import TrainingStates
from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.data.splits import training_sequences
from llamarec_cli.devices import own_device
from llamarec_cli.language_model.adapters import save_adapter
from llamarec_cli.language_model.base_models import load_base_model, load_tokenizer
from llamarec_cli.language_model.forward import position_limit
from llamarec_cli.names import Quantization
from llamarec_cli.pipeline.train.cross_fitting import CrossFitting
from llamarec_cli.pipeline.train.launch import leave_processes
from llamarec_cli.pipeline.train.tensorboard import figures_in
from llamarec_cli.ranking.examples import HardNegatives, TrainingExamples
from llamarec_cli.snapshots import TrainingState
from llamarec_cli.store.registry import Artefact
from llamarec_cli.strategies.prompt_encoder import PromptEncoder
from llamarec_cli.strategies.verbalizer.config import RankerConfig
from llamarec_cli.strategies.verbalizer.finetuning import Listeners, RankerState, train_ranker
from llamarec_cli.strategies.verbalizer.validation import RankerValidation, ValidationSet
from llamarec_cli.strategies.verbalizer.worker_group import Processes


@dataclass(frozen=True)
class AdapterTraining:
    """Everything that is decided before an adapter is trained.

    Attributes:
        context: Surroundings.
        name: Name of the ranker.
        data: The data set.
        base: The base model.
        first_stage: The retriever whose candidates are ranked.
        k: Candidates that are ranked.
        selecting: Users who select the best step.
        config: Hyper-parameters.
        quantization: Of the base model's weights.
        parents: Digests of what the ranker depends on, by name.
    """

    context: Context
    name: str
    data: PreparedData
    base: BaseModel
    first_stage: Artefact
    k: int
    selecting: ValidationSet
    config: RankerConfig
    quantization: Quantization
    parents: dict[str, str]

    def run(
        self, folder: Path, processes: Processes, max_minutes: float | None, tensorboard: Path | None
    ) -> dict[str, Any]:
        """Train from where the saved state stands, write the adapter, and return what the manifest tells of it.

        Args:
            folder: Where the adapter goes.
            processes: Those that train together; this is the main one.
            max_minutes: Stop after so long; the retrievers that hard negatives need have their own time.
            tensorboard: Where figures go for TensorBoard; None to write none.
        """
        hard, figures = self._hard_negatives()
        saved = self._states.load()
        resume = TrainingState.restore(RankerValidation, *saved) if saved else None
        step = resume.validations[-1].step if resume else 0
        with figures_in(tensorboard, step) as log:
            listeners = Listeners(
                save_state=lambda state: self._states.save(state.tensors, state.numbers()),
                log=log,
                report=self.context.report,
            )
            # With this the others, who wait for it, know that all they need is in the store.
            resume = processes.from_main(resume)
            adapted, state = self._train(hard, processes, resume, max_minutes, listeners)
        leave_processes()
        save_adapter(adapted, folder, self.base.name)
        # Quantised layers refer to themselves; before the next model is loaded their memory must be free.
        del adapted
        gc.collect()
        return {
            **figures,
            "validation": [asdict(one) for one in state.validations],
            "examples": state.validations[-1].examples,
            "training_minutes": round(state.seconds / 60, 1),
        }

    def join(self, processes: Processes, resume: RankerState | None, max_minutes: float | None) -> None:
        """Train along with the main process, which is in `run` and gave the state to go on from; write nothing."""
        hard, _ = self._hard_negatives()
        self._train(hard, processes, resume, max_minutes, Listeners())

    def _train(
        self,
        hard: HardNegatives | None,
        processes: Processes,
        resume: RankerState | None,
        max_minutes: float | None,
        listeners: Listeners,
    ) -> tuple[Any, RankerState]:
        model = load_base_model(self.base.path, own_device(), self.quantization)
        tokenizer = load_tokenizer(self.base.path)
        return train_ranker(
            model,
            PromptEncoder(tokenizer, self.data.titles, positions=position_limit(model)),
            TrainingExamples(training_sequences(self.data), self.data.item_count, self.k, self.config.seed, hard),
            self.selecting,
            self.config,
            max_minutes=max_minutes,
            resume=resume,
            listeners=listeners,
            processes=processes,
        )

    def clear(self) -> None:
        """Forget the states of all trainings, once the ranker is in the store."""
        self._states.clear()
        self._cross_fitting.clear()

    def _hard_negatives(self) -> tuple[HardNegatives | None, dict[str, Any]]:
        """Return where hard negatives come from, if they are wanted, and what the manifest tells of it."""
        if self.config.negatives == "random":
            return None, {}
        curriculum = self.config.curriculum_examples if self.config.negatives == "mixed" else 0
        hard = HardNegatives(self._cross_fitting.retrieve, curriculum)
        return hard, {"cross_fitting": self._cross_fitting.figures()}

    @cached_property
    def _cross_fitting(self) -> CrossFitting:
        return CrossFitting(self.context, self.name, self.data, self.first_stage, self.k, self.config.seed)

    @cached_property
    def _states(self) -> TrainingStates:
        recipe = {"ranker": asdict(self.config), "quantization": str(self.quantization), "k": self.k}
        return TrainingStates(self.context, self.name, recipe | {"parents": self.parents})
