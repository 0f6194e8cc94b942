import numpy as np

from llamarec_cli.evaluation.metrics import all_metrics
from llamarec_cli.evaluation.paper import TABLE_1, TABLE_3, TABLE_4, TWO_STAGES


def test_metrics_are_named_and_ordered_as_ours() -> None:
    for table in (TABLE_1, TABLE_3):
        for models in table.values():
            for figures in models.values():
                assert list(figures) == list(all_metrics(np.array([1])))


def test_table_1_is_table_3_scaled_by_the_share_of_retrieved_users() -> None:
    # Both tables show the same ranks, so their ratio is Recall@20 whichever metric it is taken from. That reveals a
    # figure copied wrongly. It holds for LlamaRec's columns; see paper.py for the LRU column of ML-100k.
    for dataset, models in TABLE_1.items():
        valid = TABLE_3[dataset][TWO_STAGES]
        ratios = [figure / valid[name] for name, figure in models[TWO_STAGES].items()]
        assert max(ratios) - min(ratios) < 0.0005, dataset


def test_tables_1_and_4_agree_on_llamarec() -> None:
    for metric, figure in TABLE_4["beauty"]["LlamaRec"].items():
        assert TABLE_1["beauty"][TWO_STAGES][metric] == figure
