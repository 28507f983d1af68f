"""`safeguards` names who judges tool calls, for one alias or for all, in both dialects."""

from typing import Any

import pytest

from llmroute.config import Config, Safeguards, load_dict
from llmroute.errors import ConfigError

ACCOUNT = {"provider": "anthropic", "api_key": "k"}
JUDGE = Safeguards(classifier="judge")


def load(own: Any = None, routing: Any = None) -> Config:
    aliases: dict[str, Any] = {"judge": "a", "plain": "a", "opus": {"deployments": "a"}}
    if own is not None:
        aliases["opus"]["safeguards"] = own
    whole: dict[str, Any] = {"deployments": {"a": ACCOUNT}, "aliases": aliases}
    if routing is not None:
        whole["routing"] = {"safeguards": routing}
    return load_dict(whole, {})


def judges(config: Config) -> dict[str, Safeguards | None]:
    return {name: alias.safeguards for name, alias in config.aliases.items()}


@pytest.mark.parametrize(
    ("own", "routing", "opus", "others"),
    [
        pytest.param(None, None, None, None, id="nobody"),
        pytest.param({"classifier": "judge"}, None, JUDGE, None, id="one-alias"),
        pytest.param(None, {"classifier": "judge"}, JUDGE, JUDGE, id="all"),
        pytest.param(
            {"classifier": "plain", "timeout": 5},
            {"classifier": "judge"},
            Safeguards(classifier="plain", timeout=5.0),
            JUDGE,
            id="an-alias-stands-above-all",
        ),
        pytest.param(
            {"classifier": "opus"}, None, Safeguards(classifier="opus"), None, id="the-alias-itself"
        ),
    ],
)
def test_who_judges(
    own: Any, routing: Any, opus: Safeguards | None, others: Safeguards | None
) -> None:
    assert {"judge": others, "plain": others, "opus": opus} == judges(load(own, routing))


PROBLEMS = [
    pytest.param(
        {"classifier": "juge"},
        "classifier",
        "no alias matches 'juge' (did you mean 'judge'?)",
        id="unknown",
    ),
    pytest.param(
        {"classifier": "ju*"}, "classifier", "must be one model's name, without a *", id="a-pattern"
    ),
    pytest.param({}, "classifier", "required, and not given", id="empty"),
    pytest.param({"timeout": 5}, "classifier", "required, and not given", id="no-classifier"),
    pytest.param(
        {"classifier": "judge", "timeout": 0}, "timeout", "must be more than 0", id="no-time"
    ),
    pytest.param(
        {"classifier": "judge", "model": "x"}, "model", "unknown setting", id="unknown-setting"
    ),
]


@pytest.mark.parametrize(("given", "setting", "text"), PROBLEMS)
@pytest.mark.parametrize("where", ["aliases.opus", "routing"])
def test_a_mistake_is_told_with_its_place(where: str, given: Any, setting: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(**{"routing" if where == "routing" else "own": given})
    (problem,) = caught.value.problems

    assert f"{where}.safeguards.{setting}" == problem.path
    assert text in problem.text


def test_a_classifier_may_be_a_name_that_a_pattern_matches() -> None:
    aliases = {"claude-*": {"deployments": "a", "safeguards": {"classifier": "claude-haiku-4-5"}}}
    config = load_dict({"deployments": {"a": ACCOUNT}, "aliases": aliases}, {})

    assert Safeguards(classifier="claude-haiku-4-5") == config.aliases["claude-*"].safeguards


def litellm(name: str) -> Config:
    params = {"model": "anthropic/claude-haiku-4-5", "api_key": "k"}
    entries = [{"model_name": each, "litellm_params": params} for each in ("opus", "judge")]
    settings = {"safeguards_classifier_model": name}
    return load_dict({"model_list": entries, "general_settings": settings}, {})


def test_a_litellm_file_names_one_for_all() -> None:
    assert {"opus": JUDGE, "judge": JUDGE} == judges(litellm("judge"))


def test_a_litellm_file_that_names_nobody_there_is_told() -> None:
    with pytest.raises(ConfigError) as caught:
        litellm("juge")
    (problem,) = caught.value.problems

    assert "general_settings.safeguards_classifier_model" == problem.path
    assert "did you mean 'judge'?" in problem.text
