"""The paper's figures: Tables 1 (all users), 3 (valid retrieval subset) and 4, and two points of Figure 3.

Within one column, the ratio of Table 1 to Table 3 is the share of users whose item was retrieved, whatever the metric.
The paper's LRU column on ML-100k violates this (0.198 by MRR@5, 0.214 by Recall@10): its two tables come from two runs.
"""

from __future__ import annotations

_METRICS = ("mrr@5", "ndcg@5", "recall@5", "mrr@10", "ndcg@10", "recall@10")


def _row(*figures: float) -> dict[str, float]:
    return dict(zip(_METRICS, figures, strict=True))


RETRIEVER = "lrurec"
TWO_STAGES = "llamarec"

# Data set -> model -> metric; the paper's columns NARM, BERT, SAS, LRU and LlamaRec.
TABLE_1: dict[str, dict[str, dict[str, float]]] = {
    "ml-100k": {
        "narm": _row(0.0298, 0.0359, 0.0544, 0.0332, 0.0441, 0.0801),
        "bert4rec": _row(0.0188, 0.0232, 0.0368, 0.0244, 0.0366, 0.0785),
        "sasrec": _row(0.0333, 0.0409, 0.0641, 0.0378, 0.0522, 0.0993),
        RETRIEVER: _row(0.0390, 0.0468, 0.0705, 0.0491, 0.0705, 0.1426),
        TWO_STAGES: _row(0.0440, 0.0543, 0.0852, 0.0529, 0.0759, 0.1524),
    },
    "beauty": {
        "narm": _row(0.0289, 0.0342, 0.0503, 0.0321, 0.0420, 0.0746),
        "bert4rec": _row(0.0246, 0.0298, 0.0457, 0.0276, 0.0372, 0.0686),
        "sasrec": _row(0.0336, 0.0397, 0.0582, 0.0371, 0.0481, 0.0844),
        RETRIEVER: _row(0.0376, 0.0435, 0.0614, 0.0417, 0.0533, 0.0916),
        TWO_STAGES: _row(0.0385, 0.0450, 0.0648, 0.0428, 0.0554, 0.0971),
    },
    "games": {
        "narm": _row(0.0479, 0.0576, 0.0874, 0.0541, 0.0729, 0.1351),
        "bert4rec": _row(0.0422, 0.0512, 0.0788, 0.0478, 0.0649, 0.1214),
        "sasrec": _row(0.0515, 0.0617, 0.0930, 0.0583, 0.0783, 0.1446),
        RETRIEVER: _row(0.0533, 0.0640, 0.0966, 0.0598, 0.0800, 0.1463),
        TWO_STAGES: _row(0.0600, 0.0714, 0.1061, 0.0671, 0.0887, 0.1599),
    },
}

TABLE_3: dict[str, dict[str, dict[str, float]]] = {
    "ml-100k": {
        "narm": _row(0.1369, 0.1607, 0.2329, 0.1485, 0.1886, 0.3188),
        "bert4rec": _row(0.0887, 0.1032, 0.1477, 0.1054, 0.1435, 0.2720),
        "sasrec": _row(0.1449, 0.1793, 0.2833, 0.1596, 0.2147, 0.3927),
        RETRIEVER: _row(0.1965, 0.2356, 0.3544, 0.2384, 0.3367, 0.6654),
        TWO_STAGES: _row(0.2184, 0.2693, 0.4227, 0.2623, 0.3766, 0.7560),
    },
    "beauty": {
        "narm": _row(0.1961, 0.2284, 0.3263, 0.2128, 0.2689, 0.4517),
        "bert4rec": _row(0.1587, 0.1901, 0.2861, 0.1743, 0.2281, 0.4043),
        "sasrec": _row(0.2296, 0.2679, 0.3843, 0.2491, 0.3152, 0.5312),
        RETRIEVER: _row(0.2944, 0.3403, 0.4801, 0.3259, 0.4168, 0.7170),
        TWO_STAGES: _row(0.3016, 0.3524, 0.5071, 0.3350, 0.4337, 0.7600),
    },
    "games": {
        "narm": _row(0.2039, 0.2424, 0.3600, 0.2248, 0.2931, 0.5168),
        "bert4rec": _row(0.1765, 0.2109, 0.3160, 0.1947, 0.2551, 0.4530),
        "sasrec": _row(0.2177, 0.2571, 0.3776, 0.2408, 0.3134, 0.5521),
        RETRIEVER: _row(0.2504, 0.3009, 0.4544, 0.2811, 0.3760, 0.6879),
        TWO_STAGES: _row(0.2825, 0.3360, 0.4995, 0.3158, 0.4173, 0.7522),
    },
}

# Data set -> recommender with a language model -> metric: results of other papers, as the paper's Table 4 quotes them.
# Their preprocessing of Beauty resembles the paper's but is not the same.
TABLE_4: dict[str, dict[str, dict[str, float]]] = {
    "beauty": {
        "P5": {"ndcg@5": 0.0367, "recall@5": 0.0493, "ndcg@10": 0.0416, "recall@10": 0.0645},
        "PALR": {"ndcg@10": 0.0446, "recall@10": 0.0721},
        "GPT4Rec": {"recall@5": 0.0653, "recall@10": 0.0810},
        "RecMind": {"ndcg@5": 0.0289, "recall@5": 0.0415, "ndcg@10": 0.0375, "recall@10": 0.0574},
        "POD": {"ndcg@5": 0.0395, "recall@5": 0.0537, "ndcg@10": 0.0443, "recall@10": 0.0688},
        "LlamaRec": {"ndcg@5": 0.0450, "recall@5": 0.0648, "ndcg@10": 0.0554, "recall@10": 0.0971},
    },
}

# Figure 3 at 20 tokens a title, Llama 2 7B on a GPU: seconds per user of generating the titles, and an upper bound of
# the verbalizer's.
GENERATION_SECONDS, VERBALIZER_SECONDS = 56.16, 1.0
