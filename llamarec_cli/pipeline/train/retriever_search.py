"""`train retriever --search`: the paper's grid of weight decay and dropout, by successive halving.

All configurations train to the first rung; the better half goes on to the next rung, twice as far, and so on until one
is left, which trains to its end and becomes the checkpoint. Hopeless ones are so given up early. What chooses is
Recall@10 on the validation split.

Each configuration keeps the state of its training, so an interrupted search, started again, finds every rung as far as
it was and goes on.
"""

from __future__ import annotations

import dataclasses
from dataclasses import asdict, dataclass
from itertools import product

from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.retrievers import retriever_name
from llamarec_cli.errors import UsageError
from llamarec_cli.pipeline.train.retriever import keep_trained, run_training
from llamarec_cli.pipeline.train.retriever_plan import Overrides, Plan, make_plan
from llamarec_cli.retrieval.models import retriever_row
from llamarec_cli.retrieval.presets import SEARCHED_DROPOUT, SEARCHED_WEIGHT_DECAY, Preset
from llamarec_cli.retrieval.training import RetrieverState, best_validation
from llamarec_cli.store.registry import Artefact

# Validations to the first rung. Strong dropout learns slowly, and an earlier rung would give it up for that alone.
FIRST_RUNG = 4


@dataclass(frozen=True)
class Trial:
    """One configuration of the grid and how far it came.

    Attributes:
        weight_decay: Of AdamW.
        dropout: Of the architecture.
        steps: Training steps it was given.
        recall: Best validation Recall@10.
        ndcg: Validation NDCG@10 at the same step.
        chosen: Whether it was trained to its end and kept.
    """

    weight_decay: float
    dropout: float
    steps: int
    recall: float
    ndcg: float
    chosen: bool = False


def search(
    context: Context,
    dataset: str,
    *,
    model: str,
    name: str | None = None,
    preset: Preset = Preset.TUNED,
    overrides: Overrides | None = None,
    replace: bool = False,
) -> Artefact:
    """Search weight decay and dropout, and keep the best model; its manifest lists all trials under `search`.

    Args:
        context: Surroundings.
        dataset: Name of the data set.
        model: A name of `RETRIEVERS`; a neural one.
        name: Name of the checkpoint; `DATASET/MODEL` by default.
        preset: As for `train`.
        overrides: As for `train`; weight decay and dropout in them do not count.
        replace: Whether a checkpoint of that name may be replaced.

    Raises:
        LlamaRecError: As for `train`.
        UsageError: As for `train`; or the retriever has nothing to search.
    """
    name = name or retriever_name(dataset, retriever_row(model).name)
    with context.store.making(name, context.say):
        plan = make_plan(
            context, dataset, model=model, name=name, preset=preset, overrides=overrides or {}, replace=replace
        )
        return _search(context, plan, replace=replace)


def _search(context: Context, plan: Plan, *, replace: bool) -> Artefact:
    if not plan.row.is_neural:
        raise UsageError(
            f"{plan.row.name} has no weight decay and no dropout to search.",
            f"llamarec train retriever --dataset {plan.dataset} --model {plan.row.name}",
        )
    # A rung is reached by going on with a saved state, which is no news to the user.
    quiet = dataclasses.replace(context, say=lambda _: None)
    survivors = [
        _trial_plan(plan, weight_decay, dropout)
        for weight_decay, dropout in product(SEARCHED_WEIGHT_DECAY, SEARCHED_DROPOUT)
    ]
    trials: dict[str, Trial] = {}
    rung = FIRST_RUNG * plan.training.validate_every
    while len(survivors) > 1:
        for number, one in enumerate(survivors, start=1):
            context.say(f"{_described(one)}: to step {rung:,} ({number} of {len(survivors)} left)")
            _, state = run_training(quiet, one, max_steps=rung)
            trials[one.name] = _trial(one, state)
        survivors.sort(key=lambda one: -trials[one.name].recall)
        survivors = survivors[: (len(survivors) + 1) // 2]
        rung *= 2
    (winner,) = survivors
    context.say(f"{_described(winner)}: to the end")
    trained, state = run_training(quiet, winner)
    trials[winner.name] = dataclasses.replace(_trial(winner, state), chosen=True)
    kept = dataclasses.replace(winner, name=plan.name)
    table = [asdict(trial) for trial in trials.values()]
    artefact = keep_trained(context, kept, trained, state, replace=replace, metrics={"search": table})
    for weight_decay, dropout in product(SEARCHED_WEIGHT_DECAY, SEARCHED_DROPOUT):
        _trial_plan(plan, weight_decay, dropout).states(context).clear()
    return artefact


def _trial_plan(plan: Plan, weight_decay: float, dropout: float) -> Plan:
    return dataclasses.replace(
        plan,
        name=f"{plan.name}.wd{weight_decay:g}-dropout{dropout:g}",
        model_config=dataclasses.replace(plan.model_config, dropout=dropout),
        training=dataclasses.replace(plan.training, weight_decay=weight_decay),
    )


def _described(plan: Plan) -> str:
    return f"weight decay {plan.training.weight_decay:g}, dropout {plan.model_config.dropout:g}"


def _trial(plan: Plan, state: RetrieverState) -> Trial:
    best = best_validation(state.validations)
    return Trial(
        plan.training.weight_decay, plan.model_config.dropout, state.validations[-1].step, best.recall, best.ndcg
    )
