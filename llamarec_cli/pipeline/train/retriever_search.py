"""`train retriever` with `search`: the paper's grid of weight decay and dropout, by successive halving.

All configurations train to the first rung. The better half trains on to the next rung, twice as far, and so on until
one is left; it trains to its end and becomes the checkpoint. Configurations are compared by Recall@10 on the validation
split.

Each configuration keeps the state of its training, so an interrupted search resumes every configuration from there.
"""

from __future__ import annotations

import dataclasses
from dataclasses import asdict, dataclass
from itertools import product

from llamarec_cli.artefacts.context import Context
from llamarec_cli.errors import UsageError, command
from llamarec_cli.pipeline.prepare import warn_of_masked_items
from llamarec_cli.pipeline.train.retriever import run_training, save_trained
from llamarec_cli.pipeline.train.retriever_plan import Plan, RetrieverRequest, make_plan
from llamarec_cli.retrieval.presets import SEARCHED_DROPOUT, SEARCHED_WEIGHT_DECAY
from llamarec_cli.retrieval.trainer import RetrieverState, best_validation
from llamarec_cli.retrieval.training import Limits
from llamarec_cli.store.registry import Artefact

# Validations up to the first rung. Strong dropout learns slowly and would lose at an earlier rung.
FIRST_RUNG = 4


@dataclass(frozen=True)
class Trial:
    """One configuration of the grid and its result.

    Attributes:
        weight_decay: Of AdamW.
        dropout: Of the architecture.
        steps: Training steps it got.
        recall: Best validation Recall@10.
        ndcg: Validation NDCG@10 at the same step.
        chosen: Whether it was trained to its end and saved.
    """

    weight_decay: float
    dropout: float
    steps: int
    recall: float
    ndcg: float
    chosen: bool = False


def search(context: Context, request: RetrieverRequest) -> Artefact:
    """Search weight decay and dropout, and save the best model; its manifest lists all trials under `search`.

    Args:
        context: Store and reporting callbacks.
        request: A neural retriever; weight decay and dropout in its overrides are ignored.

    Raises:
        LlamaRecError: As for `train`.
        UsageError: As for `train`; or the retriever has nothing to search, or the time is limited.
    """
    if request.max_minutes is not None:
        raise UsageError(
            "`search` and `max_minutes` do not go together: the result would depend on where the time ends.",
            "Interrupt a search at any time; the same command resumes it.",
        )
    with context.store.making(request.checkpoint, context.say):
        plan = make_plan(context, request)
        if not plan.row.is_neural or not hasattr(plan.model_config, "dropout"):
            raise UsageError(
                f"{plan.row.name} has no weight decay and no dropout to search.",
                command("train retriever", dataset=plan.dataset, model=plan.row.name),
            )
        warn_of_masked_items(context, plan.dataset, plan.data)
        return _search(context, plan, replace=request.replace)


def _search(context: Context, plan: Plan, *, replace: bool) -> Artefact:
    # Each rung resumes saved states, which need not be reported.
    quiet = dataclasses.replace(context, say=lambda _: None)
    grid = [
        _trial_plan(plan, weight_decay, dropout)
        for weight_decay, dropout in product(SEARCHED_WEIGHT_DECAY, SEARCHED_DROPOUT)
    ]
    survivors = list(grid)
    trials: dict[str, Trial] = {}
    rung = FIRST_RUNG * plan.training.validate_every
    while len(survivors) > 1:
        for number, trial in enumerate(survivors, start=1):
            context.say(f"{_described(trial)}: training to step {rung:,} ({number} of {len(survivors)})")
            _, state = run_training(quiet, trial, Limits(max_steps=rung))
            trials[trial.name] = _result(trial, state)
        survivors.sort(key=lambda trial: -trials[trial.name].recall)
        survivors = survivors[: (len(survivors) + 1) // 2]
        rung *= 2
    (winner,) = survivors
    context.say(f"{_described(winner)}: training to the end")
    trained, state = run_training(quiet, winner, Limits())
    trials[winner.name] = dataclasses.replace(_result(winner, state), chosen=True)
    best = dataclasses.replace(winner, name=plan.name)
    table = [asdict(trial) for trial in trials.values()]
    artefact = save_trained(context, best, trained, state, replace=replace, metrics={"search": table})
    for trial in grid:
        trial.states(context).clear()
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


def _result(plan: Plan, state: RetrieverState) -> Trial:
    best = best_validation(state.validations)
    return Trial(
        plan.training.weight_decay, plan.model_config.dropout, state.validations[-1].step, best.recall, best.ndcg
    )
