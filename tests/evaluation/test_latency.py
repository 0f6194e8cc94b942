from llamarec_cli.evaluation.latency import LatencyPoint, describe_latency


def points(**seconds: list[float]) -> list[LatencyPoint]:
    return [
        LatencyPoint(length, strategy.replace("_", "-"), median, 0.0, 1)
        for strategy, medians in seconds.items()
        for length, median in zip((10, 20, 40), medians, strict=False)
    ]


def test_generation_is_told_as_a_multiple_of_the_verbalizer_and_by_how_it_grows() -> None:
    ratio, growth = describe_latency(points(verbalizer=[0.5, 1.0, 1.5], generate_titles=[10.0, 25.0, 61.0]))
    assert "25.0 times" in ratio
    assert "56.16 s against under 1 s" in ratio
    assert "From 10 to 40 tokens the verbalizer grows by 1.00 s, generating the titles by 51.00 s" in growth


def test_what_was_not_measured_is_not_told() -> None:
    assert describe_latency(points(verbalizer=[0.5, 1.0])) == []
    assert describe_latency(points(verbalizer=[0.5], generate_titles=[10.0])) == []
