"""A LiteLLM file means here what it means there, or a warning says what it does not."""

import pytest
import yaml

from llmroute.config import load_dict, load_file
from llmroute.config.litellm_keys import IGNORED, NOT_NEEDED
from llmroute.config.model import Price
from llmroute.routing.plan import Policy


def entry(name="a", model="anthropic/claude-x", info=None, **params):
    made = {"model_name": name, "litellm_params": {"model": model, "api_key": "k", **params}}
    return made if info is None else {**made, "model_info": info}


def keyless(**params):
    made = entry(**params)
    del made["litellm_params"]["api_key"]
    return made


def load(*entries, environ=None, **sections):
    return load_dict({"model_list": list(entries) or [entry()], **sections}, environ or {})


def only(*entries, **more):
    (deployment,) = load(*entries, **more).deployments.values()
    return deployment


def shown(config):
    return [(problem.path, problem.text) for problem in config.warnings]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        pytest.param({}, "claude-x", id="prefix"),
        pytest.param({"model": "claude-y"}, "claude-y", id="bare"),
        pytest.param(
            {"model": "claude-y", "custom_llm_provider": "anthropic"}, "claude-y", id="named apart"
        ),
        pytest.param(
            {"model": "anthropic/y", "custom_llm_provider": "anthropic"}, "y", id="named twice"
        ),
        pytest.param({"model": "anthropic/a/b"}, "a/b", id="slash"),
        pytest.param({"name": "claude-*", "model": "anthropic/claude-*"}, "claude-*", id="star"),
        pytest.param({"name": "*", "model": "anthropic/*"}, "*", id="anything"),
        pytest.param({"name": "anthropic/*", "model": "anthropic/*"}, "*", id="provider"),
        pytest.param({"name": "claude-*", "model": "anthropic/y"}, "y", id="pattern to one"),
    ],
)
def test_the_model_is_what_follows_the_provider(params, expected):
    assert expected == only(entry(**params)).model


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        pytest.param("https://gw.example", "https://gw.example", id="as is"),
        pytest.param("https://gw.example/", "https://gw.example", id="slash"),
        pytest.param("https://gw.example/v1", "https://gw.example", id="v1"),
        pytest.param("https://gw.example/x/v1/messages", "https://gw.example/x", id="messages"),
    ],
)
@pytest.mark.parametrize("name", ["api_base", "base_url"])
def test_an_address_ends_before_v1(name, base, expected):
    assert expected == only(entry(**{name: base})).base_url


def test_settings_of_a_deployment_are_kept():
    deployment = only(
        entry(
            extra_headers={"x-a": "1"},
            headers={"x-b": "2"},
            default_headers={"x-a": "0", "x-c": "3"},
            extra_body={"service_tier": "auto"},
            timeout="30",
            stream_timeout=5,
            order=2,
            weight=3,
            max_parallel_requests=4,
            use_in_pass_through=True,
        )
    )

    assert {"x-a": "1", "x-b": "2", "x-c": "3"} == deployment.headers
    assert {"service_tier": "auto"} == deployment.extra_body
    assert (30.0, 5.0, 2, 3.0, 4, True) == (
        deployment.timeout,
        deployment.stream_timeout,
        deployment.order,
        deployment.weight,
        deployment.max_parallel_requests,
        deployment.use_in_pass_through,
    )


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        pytest.param({}, (600.0, None), id="default"),
        pytest.param({"litellm_settings": {"request_timeout": 7}}, (7.0, None), id="litellm"),
        pytest.param(
            {
                "litellm_settings": {"request_timeout": 7},
                "router_settings": {"timeout": 8, "stream_timeout": 9},
            },
            (8.0, 9.0),
            id="router above",
        ),
    ],
)
def test_timeouts_have_defaults_in_the_settings(sections, expected):
    deployment = only(**sections)

    assert expected == (deployment.timeout, deployment.stream_timeout)
    assert 3.0 == only(entry(timeout=3), **sections).timeout


def test_deployments_are_named_after_their_alias():
    config = load(
        entry("a"),
        entry("b"),
        entry("b"),
        entry("c", info={"id": "mine"}),
        entry("b/1"),
        entry("é"),
    )

    assert ["a", "b/1", "b/2", "mine", "b/1~2", "_"] == list(config.deployments)
    assert ("b/1", "b/2") == config.aliases["b"].deployments


@pytest.mark.parametrize(
    ("members", "weights"),
    [
        pytest.param([{}, {}], [None, None], id="none"),
        pytest.param([{"weight": 3}, {"weight": 1, "rpm": 9}], [3.0, 1.0], id="weight"),
        pytest.param([{"rpm": 30}, {"rpm": 10, "tpm": 9}], [30.0, 10.0], id="rpm"),
        pytest.param([{"tpm": 300}, {}], [300.0, 0.0], id="tpm"),
    ],
)
def test_shares_come_from_weight_then_rpm_then_tpm(members, weights):
    config = load(*[entry(**member) for member in members])

    assert weights == [deployment.weight for deployment in config.deployments.values()]
    assert [None, None] == [deployment.rpm for deployment in config.deployments.values()]
    assert "weighted" == config.aliases["a"].strategy


@pytest.mark.parametrize(
    "router",
    [
        pytest.param({"enable_pre_call_checks": True}, id="pre-call checks"),
        pytest.param(
            {"optional_pre_call_checks": ["enforce_model_rate_limits"]}, id="optional check"
        ),
        pytest.param({"routing_strategy": "usage-based-routing-v2"}, id="usage-based"),
    ],
)
def test_rpm_and_tpm_are_limits_where_that_is_asked_for(router):
    deployment = only(entry(rpm=10, tpm=100), router_settings=router)

    assert (10, 100) == (deployment.rpm, deployment.tpm)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("simple-shuffle", "weighted"),
        ("least-busy", "least_busy"),
        ("latency-based-routing", "lowest_latency"),
        ("cost-based-routing", "lowest_price"),
        ("usage-based-routing", "least_busy"),
    ],
)
def test_strategies_have_their_equal(strategy, expected):
    router = {"routing_strategy": strategy}
    config = load(entry(), entry(), entry("b"), router_settings=router)

    assert expected == config.aliases["a"].strategy
    assert "listed" == config.aliases["b"].strategy


@pytest.mark.parametrize(
    ("own", "router", "params", "expected"),
    [
        pytest.param({}, {}, {}, Policy(), id="default"),
        pytest.param({"num_retries": 3}, {}, {}, Policy(retries=3), id="litellm"),
        pytest.param({"num_retries": 3}, {"num_retries": 0}, {}, Policy(retries=0), id="router"),
        pytest.param({}, {}, {"num_retries": 4}, Policy(retries=4), id="deployment"),
        pytest.param({}, {}, {"max_retries": 4}, Policy(retries=4), id="deployment's other name"),
        pytest.param({}, {"cooldown_time": 60}, {}, Policy(cooldown=60), id="cooldown"),
        pytest.param({}, {"disable_cooldowns": True}, {}, Policy(cooldown=0), id="no cooldown"),
        pytest.param({}, {"retry_after": 4}, {}, Policy(backoff=4), id="wait before a retry"),
        pytest.param(
            {},
            {"retry_after": 20},
            {},
            Policy(backoff=20, longest_backoff=20, patience=20),
            id="long wait before a retry",
        ),
        pytest.param(
            {}, {"cooldown_time": 600}, {}, Policy(cooldown=600, longest_cooldown=600), id="long"
        ),
        pytest.param({"allowed_fails": 3}, {}, {}, Policy(allowed_failures=3), id="litellm fails"),
        pytest.param(
            {"allowed_fails": 3}, {"allowed_fails": 0}, {}, Policy(allowed_failures=0), id="fails"
        ),
    ],
)
def test_the_policy_comes_from_the_settings(own, router, params, expected):
    config = load(entry(**params), litellm_settings=own, router_settings=router)

    assert expected == config.policy
    assert () == config.warnings


def test_retries_that_differ_between_deployments_give_a_warning():
    config = load(entry(num_retries=1), entry("b"))

    assert None is config.policy.retries
    assert [
        (
            "model_list[0].litellm_params.num_retries",
            "ignored: there is one number for all; set router_settings.num_retries",
        )
    ] == shown(config)


@pytest.mark.parametrize("place", ["litellm_settings", "router_settings"])
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param({}, {"a": (), "b": (), "c/x": ()}, id="none"),
        pytest.param(
            {"fallbacks": [{"a": ["b", "c/x"]}]}, {"a": ("b", "c/x"), "b": (), "c/x": ()}, id="one"
        ),
        pytest.param(
            {"fallbacks": [{"a": "b"}, {"b": ["a"]}]},
            {"a": ("b",), "b": ("a",), "c/x": ()},
            id="two",
        ),
        pytest.param(
            {"fallbacks": [{"a": [{"model": "b"}]}]}, {"a": ("b",), "b": (), "c/x": ()}, id="model"
        ),
        pytest.param(
            {"fallbacks": [{"*": ["b"]}, {"c/x": ["a"]}]},
            {"a": ("b",), "b": (), "c/x": ("a",)},
            id="any",
        ),
        pytest.param(
            {"default_fallbacks": ["b", "a"]},
            {"a": ("b",), "b": ("a",), "c/x": ("b", "a")},
            id="default",
        ),
        pytest.param(
            {"fallbacks": [{"x": ["p/b"]}]}, {"a": (), "b": (), "c/x": ("b",)}, id="prefixes"
        ),
    ],
)
def test_fallbacks_have_many_forms(place, settings, expected):
    config = load(entry("a"), entry("b"), entry("c/x"), **{place: settings})

    assert expected == {name: alias.fallbacks for name, alias in config.aliases.items()}


def test_a_fallback_for_one_name_of_a_pattern_makes_it_an_alias():
    config = load(
        entry("claude-*", model="anthropic/claude-*"),
        router_settings={"fallbacks": [{"claude-b": ["claude-c"]}]},
    )

    assert ("claude-c",) == config.aliases["claude-b"].fallbacks
    (name,) = config.aliases["claude-b"].deployments
    assert "claude-b" == config.deployments[name].model
    assert () == config.aliases["claude-*"].fallbacks


def test_the_routers_fallbacks_stand_above_the_others():
    config = load(
        entry("a"),
        entry("b"),
        litellm_settings={"fallbacks": [{"b": ["a"]}]},
        router_settings={"fallbacks": [{"a": ["b"]}]},
    )

    assert [("b",), ()] == [alias.fallbacks for alias in config.aliases.values()]
    assert [
        ("litellm_settings.fallbacks", "ignored: router_settings.fallbacks stands above it")
    ] == shown(config)


def test_prompts_that_are_too_long_have_an_alias_to_go_to():
    config = load(
        entry("a"),
        entry("b"),
        entry("c"),
        litellm_settings={"context_window_fallbacks": [{"a": ["b", "c"]}]},
    )

    assert [("b", "c"), (), ()] == [alias.when_too_long for alias in config.aliases.values()]
    assert () == config.warnings


def test_prompts_that_are_refused_have_an_alias_to_go_to():
    config = load(
        entry("a"),
        entry("b"),
        router_settings={"content_policy_fallbacks": [{"*": ["b"]}, {"b": ["a", "b"]}]},
    )

    assert [("b",), ("a",)] == [alias.when_refused for alias in config.aliases.values()]
    assert [
        (
            "router_settings.content_policy_fallbacks[1].b[1]",
            "ignored: it is the alias itself",
        )
    ] == shown(config)


@pytest.mark.parametrize(
    ("most", "expected"),
    [(0, ()), (1, ("b",)), (2, ("b", "c")), (5, ("b", "c"))],
)
@pytest.mark.parametrize("place", ["litellm_settings", "router_settings"])
def test_fallbacks_beyond_the_most_are_left_out(place, most, expected):
    settings = {"max_fallbacks": most, "fallbacks": [{"a": ["b", "c"]}]}
    config = load(entry("a"), entry("b"), entry("c"), **{place: settings})

    assert expected == config.aliases["a"].fallbacks
    assert () == config.warnings


def test_fallbacks_may_go_in_a_circle():
    settings = {"fallbacks": [{"a": ["b"]}, {"b": ["a"]}]}
    config = load(entry("a"), entry("b"), router_settings=settings)

    assert [("b",), ("a",)] == [alias.fallbacks for alias in config.aliases.values()]


def test_an_alias_may_have_further_names():
    config = load(
        entry("a", info={"max_input_tokens": 9}),
        entry("claude-*", model="anthropic/claude-*"),
        router_settings={
            "model_group_alias": {
                "b": "a",
                "c": {"model": "a", "hidden": True},
                "d": "claude-d",
            },
            "fallbacks": [{"b": ["a"]}],
        },
    )

    aliases = config.aliases
    assert ["a", "claude-*", "b", "c", "d"] == list(aliases)
    assert [("a",), ("a",)] == [aliases["b"].deployments, aliases["c"].deployments]
    assert [False, False, True] == [aliases[name].hidden for name in "abc"]
    assert ("a",) == aliases["b"].fallbacks
    assert 9 == aliases["b"].max_input_tokens
    assert "claude-d" == config.deployments[aliases["d"].deployments[0]].model


def test_a_further_name_stands_above_a_model_name():
    config = load(entry("a"), entry("b"), router_settings={"model_group_alias": {"a": "b"}})

    assert ("b",) == config.aliases["a"].deployments
    assert [
        ("router_settings.model_group_alias.a", "stands above the model_name of that name")
    ] == shown(config)


@pytest.mark.parametrize(
    ("names", "rows", "expected"),
    [
        pytest.param({"x": "a"}, [{"a": ["b"]}], {"a": ("b",), "b": (), "x": ("b",)}, id="its"),
        pytest.param(
            {"x": "a"}, [{"a": ["b"]}, {"x": ["p-*"]}], {"a": ("b",), "x": ("p-*",)}, id="its-own"
        ),
        pytest.param({"x": "a"}, [{"a": ["x", "b"]}], {"a": ("x", "b"), "x": ("b",)}, id="itself"),
        pytest.param({"x": "p-1"}, [{"p-*": ["b"]}], {"p-*": ("b",), "x": ("b",)}, id="a-pattern"),
        pytest.param(
            {"x": "p-1"},
            [{"p-*": ["b"]}, {"p-1": ["a"]}],
            {"p-*": ("b",), "p-1": ("a",), "x": ("a",)},
            id="one-of-a-pattern",
        ),
        pytest.param({"a": "b", "b": "a"}, [{"*": ["p-*"]}], {"a": ("p-*",)}, id="in-a-circle"),
    ],
)
def test_a_further_name_goes_on_where_the_alias_does(
    names: dict[str, str], rows: list[dict[str, list[str]]], expected: dict[str, tuple[str, ...]]
):
    config = load(
        entry("a"),
        entry("b"),
        entry("p-*", model="anthropic/p-*"),
        router_settings={"model_group_alias": names, "context_window_fallbacks": rows},
    )

    assert expected == {name: config.aliases[name].when_too_long for name in expected}


def test_what_is_known_of_a_model_is_kept():
    config = load(
        entry(
            info={
                "base_model": "claude-sonnet-5",
                "max_input_tokens": 200,
                "max_tokens": 50,
                "input_cost_per_token": 3e-6,
            },
            output_cost_per_token=15e-6,
        ),
        entry(info={"max_input_tokens": 100, "cache_read_input_token_cost": 0}),
        entry("b"),
    )

    assert {
        "a/1": Price(base_model="claude-sonnet-5", input=3e-6, output=15e-6),
        "a/2": Price(cache_read=0),
    } == config.prices
    alias = config.aliases["a"]
    assert (100, 50) == (alias.max_input_tokens, alias.max_output_tokens)


def test_a_named_credential_fills_what_is_not_given():
    config = load(
        keyless(litellm_credential_name="one"),
        entry("b", litellm_credential_name="one"),
        credential_list=[
            {
                "credential_name": "one",
                "credential_values": {"api_key": "c", "api_base": "https://gw.example/v1"},
                "credential_info": {"description": "ours"},
            }
        ],
    )

    assert [("c", "https://gw.example"), ("k", "https://gw.example")] == [
        (d.api_key.get_secret_value(), d.base_url) for d in config.deployments.values()
    ]


def test_the_files_variables_are_there_for_its_references():
    config = load(
        entry(api_key="os.environ/KEY", rpm="os.environ/RPM"),
        entry("b", api_key="os.environ/OTHER"),
        environment_variables={"KEY": "os.environ/REAL", "RPM": 5, "OTHER": "file"},
        environ={"REAL": "real", "OTHER": "process"},
    )

    assert ["real", "file"] == [d.api_key.get_secret_value() for d in config.deployments.values()]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({"ANTHROPIC_API_KEY": "e"}, ("e", None, None), id="key"),
        pytest.param({"ANTHROPIC_AUTH_TOKEN": "t"}, (None, "t", None), id="token"),
        pytest.param(
            {"ANTHROPIC_API_KEY": "e", "ANTHROPIC_API_BASE": "https://gw.example/v1"},
            ("e", None, "https://gw.example"),
            id="address",
        ),
    ],
)
def test_a_key_that_is_left_out_comes_from_the_environment(environ, expected):
    config = load(keyless(), environ=environ)

    (deployment,) = config.deployments.values()
    key, token = deployment.api_key, deployment.auth_token
    assert expected == (
        key and key.get_secret_value(),
        token and token.get_secret_value(),
        deployment.base_url,
    )
    assert () == config.warnings


def test_an_environments_key_for_the_files_address_gives_a_warning():
    config = load(keyless(api_base="https://gw.example"), environ={"ANTHROPIC_API_KEY": "e"})

    assert [
        (
            "model_list[0].litellm_params.api_key",
            "none is given, so ANTHROPIC_API_KEY is sent to this api_base",
        )
    ] == shown(config)


def test_the_proxys_own_address_is_no_upstream():
    config = load(environ={"ANTHROPIC_BASE_URL": "http://0.0.0.0:4000"})

    assert None is config.deployments["a"].base_url
    assert [
        (
            "model_list[0].litellm_params.api_base",
            "ANTHROPIC_BASE_URL is this proxy's own address; api.anthropic.com is used",
        )
    ] == shown(config)


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        pytest.param({}, [False, False], id="no"),
        pytest.param(
            {"general_settings": {"forward_client_headers_to_llm_api": True}},
            [True, True],
            id="all",
        ),
        pytest.param(
            {"general_settings": {"forward_llm_provider_auth_headers": True}},
            [True, True],
            id="llm",
        ),
        pytest.param(
            {
                "litellm_settings": {
                    "model_group_settings": {"forward_client_headers_to_llm_api": ["b"]}
                }
            },
            [False, True],
            id="one alias",
        ),
    ],
)
def test_callers_credentials_are_forwarded_where_that_is_asked_for(sections, expected):
    config = load(entry("a"), entry("b", api_base="http://127.0.0.1:9"), **sections)

    assert expected == [d.forward_client_auth for d in config.deployments.values()]


def test_callers_credentials_are_never_forwarded_to_a_third_party():
    config = load(
        entry(api_base="https://anthropic.com.example"),
        general_settings={"forward_client_headers_to_llm_api": True},
    )

    assert not config.deployments["a"].forward_client_auth
    assert [
        (
            "model_list[0].litellm_params.api_base",
            "callers' own credentials are not forwarded to this address",
        )
    ] == shown(config)


@pytest.mark.parametrize(
    "more",
    [
        pytest.param(
            {"general_settings": {"forward_client_headers_to_llm_api": True}}, id="forwarded"
        ),
        pytest.param({"extra_headers": {"Authorization": "Bearer x"}}, id="in a header"),
    ],
)
def test_no_key_is_needed_where_another_credential_is(more):
    headers = more.pop("extra_headers", {})
    deployment = only(keyless(extra_headers=headers), **more)

    assert (None, None) == (deployment.api_key, deployment.auth_token)


def test_a_credential_in_a_header_is_not_joined_by_the_environments():
    deployment = only(keyless(extra_headers={"x-api-key": "h"}), environ={"ANTHROPIC_API_KEY": "e"})

    assert (None, None) == (deployment.api_key, deployment.auth_token)


def test_prices_follow_a_deployment_that_a_pattern_makes():
    config = load(
        entry("claude-*", model="anthropic/claude-*", info={"input_cost_per_token": 1}),
        entry("x"),
        router_settings={"model_group_alias": {"a": "claude-a", "b": "x"}},
    )

    assert {"claude-*": Price(input=1), "claude-a": Price(input=1)} == config.prices


def test_a_pattern_to_one_model_needs_no_deployment_of_its_own():
    config = load(
        entry("claude-*", model="anthropic/y"),
        router_settings={"model_group_alias": {"a": "claude-a"}},
    )

    assert ("claude-*",) == config.aliases["a"].deployments


def test_what_else_a_fallback_says_gives_a_warning():
    config = load(
        entry("a"),
        entry("b"),
        router_settings={
            "fallbacks": [{"a": [{"model": "b", "messages": []}]}],
            "redis_startup_nodes": [],
        },
    )

    assert ("b",) == config.aliases["a"].fallbacks
    assert {
        "router_settings.fallbacks[0].a[0].messages": "ignored: a fallback has the same body",
        "router_settings.redis_startup_nodes": (
            "ignored: one Redis server is used, the one that redis_url or redis_host names"
        ),
    } == dict(shown(config))


def test_a_server_that_reads_messages_is_spoken_to_in_messages():
    config = load(
        entry(
            model="hosted_vllm/qwen",
            api_base="http://gpu.example:8000/v1",
            info={"supported_endpoints": ["/v1/messages"]},
        ),
        environ={"ANTHROPIC_API_KEY": "not for others"},
    )

    (deployment,) = config.deployments.values()
    assert ("anthropic", "qwen", "http://gpu.example:8000") == (
        deployment.provider,
        deployment.model,
        deployment.base_url,
    )
    assert "k" == deployment.auth_token.get_secret_value()
    assert None is deployment.api_key


def test_the_anthropic_key_of_the_environment_stays_with_anthropic():
    deployment = only(
        keyless(
            model="hosted_vllm/qwen",
            api_base="http://gpu.example:8000",
            info={"supported_endpoints": ["/v1/messages"]},
        ),
        environ={"ANTHROPIC_API_KEY": "not for others"},
    )

    assert (None, None) == (deployment.api_key, deployment.auth_token)


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        pytest.param({"general_settings": {"master_key": "m"}}, "m", id="general"),
        pytest.param({"litellm_settings": {"master_key": "m"}}, "m", id="litellm"),
        pytest.param(
            {"general_settings": {"master_key": "m"}, "litellm_settings": {"master_key": "m"}},
            "m",
            id="both the same",
        ),
        pytest.param({}, "e", id="environment"),
    ],
)
def test_the_master_key_has_two_places(sections, expected):
    server = load(environ={"LITELLM_MASTER_KEY": "e"}, **sections).server

    assert expected == server.master_key.get_secret_value()


def test_the_server_has_few_settings_in_this_dialect():
    server = load(
        general_settings={"max_request_size_mb": 2}, litellm_settings={"json_logs": True}
    ).server

    assert (2_097_152, "json", "127.0.0.1", 4000) == (
        server.max_body_bytes,
        server.log,
        server.host,
        server.port,
    )


SECTIONS = ["litellm_settings", "router_settings", "general_settings"]


@pytest.mark.parametrize("section", SECTIONS)
def test_what_has_no_effect_gives_one_warning_each(section):
    config = load(**{section: dict.fromkeys(IGNORED[section], 1)})

    expected = {f"{section}.{name}": f"ignored: {why}" for name, why in IGNORED[section].items()}
    assert expected == dict(shown(config))


def test_what_has_no_effect_on_a_deployment_gives_one_warning_each():
    config = load(
        entry(
            info=dict.fromkeys([*IGNORED["model_info"], "supports_vision", "note"], 1),
            aws_region_name="x",
            input_cost_per_image=1,
            **dict.fromkeys(IGNORED["litellm_params"], 1),
        ),
        **dict.fromkeys(IGNORED[""], 1),
    )

    count = sum(len(IGNORED[section]) for section in ("model_info", "litellm_params", ""))
    assert count + 4 == len(config.warnings)
    assert ("model_list[0].model_info.note", "ignored: llmroute has no such setting") in shown(
        config
    )


def test_what_is_so_anyway_gives_no_warning():
    sections = {section: dict.fromkeys(NOT_NEEDED[section], True) for section in SECTIONS}
    config = load(entry(**dict.fromkeys(NOT_NEEDED["litellm_params"], True)), **sections)

    assert () == config.warnings


def test_requests_at_once_have_a_default():
    config = load(
        entry(max_parallel_requests=3),
        entry("b"),
        router_settings={"default_max_parallel_requests": 9},
    )

    assert [3, 9] == [d.max_parallel_requests for d in config.deployments.values()]
    assert () == config.warnings


@pytest.mark.parametrize("strategy", ["usage-based-routing", "usage-based-routing-v2"])
def test_a_strategy_without_an_equal_gives_a_warning(strategy):
    config = load(entry(), entry(), router_settings={"routing_strategy": strategy})

    assert [
        (
            "router_settings.routing_strategy",
            "taken as least-busy: calls under way are counted, not the tokens of this minute",
        )
    ] == shown(config)


def test_a_limit_that_is_only_a_weight_gives_no_warning():
    assert () == load(entry(rpm=1), entry(rpm=2)).warnings


def test_settings_without_a_value_are_left_out():
    config = load(
        entry(timeout=None, tags=None, info={}),
        litellm_settings=None,
        router_settings={"num_retries": None, "redis_host": None},
    )

    assert Policy() == config.policy
    assert () == config.warnings


def test_warnings_have_lines_and_are_in_order(tmp_path):
    data = {"model_list": [entry(tags=["a"])], "litellm_settings": {"cache": True}}
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))

    assert [6, 9] == [warning.line for warning in load_file(path, {}).warnings]
