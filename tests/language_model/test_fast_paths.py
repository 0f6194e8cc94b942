from tiny_models import tiny_model

from llamarec_cli.language_model.fast_paths import attends_to_everything, supports_fast_paths


def test_a_window_limits_attention_only_in_longer_texts() -> None:
    config = tiny_model("mistral, window of 24").config
    assert supports_fast_paths(config)
    assert (attends_to_everything(config, 24), attends_to_everything(config, 25)) == (True, False)
    assert attends_to_everything(tiny_model("mistral, window of 24", sliding_window=None).config, 10**6)


def test_rotary_embeddings_that_depend_on_the_length_have_no_fast_paths() -> None:
    plain = tiny_model("llama").config
    rope = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10_000.0}
    dynamic = tiny_model("llama", max_position_embeddings=64, rope_parameters=rope).config
    assert (supports_fast_paths(plain), supports_fast_paths(dynamic)) == (True, False)


def test_an_unknown_architecture_has_no_fast_paths() -> None:
    assert not supports_fast_paths(tiny_model("bloom").config)
