"""The paper's own figures, to be shown beside ours: Table 1 (all users) and Table 3 (valid retrieval subset).

Within one column, Table 1 over Table 3 must be the share of users whose item was retrieved, whatever the metric. The
paper's LRU column on ML-100k is not so (0.198 by MRR@5, 0.214 by Recall@10), so its two tables come from two runs.
"""

from __future__ import annotations

_METRICS = ("mrr@5", "ndcg@5", "recall@5", "mrr@10", "ndcg@10", "recall@10")


def _row(*figures: float) -> dict[str, float]:
    return dict(zip(_METRICS, figures, strict=True))


RETRIEVER = "lrurec"
TWO_STAGES = "llamarec"

# Data set -> model -> metric; the paper's columns LRU and LlamaRec.
TABLE_1: dict[str, dict[str, dict[str, float]]] = {
    "ml-100k": {
        RETRIEVER: _row(0.0390, 0.0468, 0.0705, 0.0491, 0.0705, 0.1426),
        TWO_STAGES: _row(0.0440, 0.0543, 0.0852, 0.0529, 0.0759, 0.1524),
    },
    "beauty": {
        RETRIEVER: _row(0.0376, 0.0435, 0.0614, 0.0417, 0.0533, 0.0916),
        TWO_STAGES: _row(0.0385, 0.0450, 0.0648, 0.0428, 0.0554, 0.0971),
    },
    "games": {
        RETRIEVER: _row(0.0533, 0.0640, 0.0966, 0.0598, 0.0800, 0.1463),
        TWO_STAGES: _row(0.0600, 0.0714, 0.1061, 0.0671, 0.0887, 0.1599),
    },
}

TABLE_3: dict[str, dict[str, dict[str, float]]] = {
    "ml-100k": {
        RETRIEVER: _row(0.1965, 0.2356, 0.3544, 0.2384, 0.3367, 0.6654),
        TWO_STAGES: _row(0.2184, 0.2693, 0.4227, 0.2623, 0.3766, 0.7560),
    },
    "beauty": {
        RETRIEVER: _row(0.2944, 0.3403, 0.4801, 0.3259, 0.4168, 0.7170),
        TWO_STAGES: _row(0.3016, 0.3524, 0.5071, 0.3350, 0.4337, 0.7600),
    },
    "games": {
        RETRIEVER: _row(0.2504, 0.3009, 0.4544, 0.2811, 0.3760, 0.6879),
        TWO_STAGES: _row(0.2825, 0.3360, 0.4995, 0.3158, 0.4173, 0.7522),
    },
}
