from llamarec_cli.evaluation.paper import TABLE_1, TABLE_4, TWO_STAGES


def test_the_tables_agree_where_they_show_the_same() -> None:
    for metric, figure in TABLE_4["beauty"]["LlamaRec"].items():
        assert TABLE_1["beauty"][TWO_STAGES][metric] == figure
