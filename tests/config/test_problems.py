"""What is wrong with a file is said all at once, at its line, in words that help."""

import pytest

from llmroute.config import load_dict, load_file
from llmroute.errors import ConfigError

ENVIRON = {"ANTHROPIC_API_KEY": "sk-ant-1", "REAL": "value", "EMPTY": ""}


@pytest.fixture
def problems(tmp_path, monkeypatch):
    """Return the function that says what is wrong with a file of this text."""
    monkeypatch.chdir(tmp_path)

    def problems(text, environ=ENVIRON, **others):
        (tmp_path / "c.yaml").write_text(text, "utf-8")
        for name, other in others.items():
            (tmp_path / f"{name}.yaml").write_text(other, "utf-8")
        with pytest.raises(ConfigError) as caught:
            load_file("c.yaml", environ)
        return str(caught.value).splitlines()

    return problems


SONNET = """\
deployments:
  sonnet:
    provider: anthropic
    api_key: k
"""

YAML = [
    pytest.param("", ["c.yaml: is empty; a model_list, or deployments and aliases, belong here"]),
    pytest.param(
        "# nothing\n", ["c.yaml: is empty; a model_list, or deployments and aliases, belong here"]
    ),
    pytest.param("- a\n", ["c.yaml:1: must be a mapping of settings (name: value)"]),
    pytest.param("\n\na: b: c\n", ["c.yaml:3: is not YAML: mapping values are not allowed here"]),
    pytest.param("a:\n\tb: 1\n", ["c.yaml:2: is not YAML: a tab where spaces must be"], id="tab"),
    pytest.param(
        "a: 1\nb: *hunter2\n",
        [
            "c.yaml:2: is not YAML: an unquoted * begins an alias, and none has that name; "
            "put the text in quotes"
        ],
        id="star",
    ),
    pytest.param("a: b\x00\n", ["c.yaml:1: holds a character YAML forbids"], id="control"),
    pytest.param(
        "a: &x\n  b: *x\n",
        ["c.yaml:2: a.b: holds itself", "c.yaml:1: a: unknown setting"],
        id="recursion",
    ),
    pytest.param(
        "a: &x\n  <<: *x\n",
        ["c.yaml:1: a: holds itself"],
        id="merge-of-itself",
    ),
    pytest.param(
        "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 10}]\n" for n in range(1, 9)),
        ["c.yaml: is too large, its aliases written out"],
        id="aliases-of-aliases",
    ),
    pytest.param(
        "a: " + "[" * 5000 + "]" * 5000,
        ["c.yaml: is nested too deeply, or holds itself"],
        id="deep",
    ),
    pytest.param(
        "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 2000)),
        ["c.yaml: is nested too deeply, or holds itself"],
        id="deep-by-aliases",
    ),
]


@pytest.mark.parametrize(("text", "expected"), YAML)
def test_what_is_no_yaml_is_said_with_its_line(problems, text, expected):
    assert set(expected) <= set(problems(text))


NATIVE = [
    pytest.param(
        SONNET.replace("api_key", "api_kye") + "aliases: {a: sonnet}\n",
        [
            "c.yaml:2: deployments.sonnet.api_key: required, and not given; "
            "${ANTHROPIC_API_KEY}, say",
            "c.yaml:4: deployments.sonnet.api_kye: unknown setting (did you mean 'api_key'?)",
        ],
        id="unknown key",
    ),
    pytest.param(
        SONNET.replace(" k", " ${MISSING}") + "aliases: {a: sonnet}\n",
        ["c.yaml:4: deployments.sonnet.api_key: environment variable MISSING is not set"],
        id="missing variable",
    ),
    pytest.param(
        SONNET.replace(" k", " os.environ/ANTROPIC_API_KEY") + "aliases: {a: sonnet}\n",
        [
            "c.yaml:4: deployments.sonnet.api_key: environment variable ANTROPIC_API_KEY is not "
            "set (did you mean 'ANTHROPIC_API_KEY'?)"
        ],
        id="misspelt variable",
    ),
    pytest.param(
        SONNET.replace(" k", " ${EMPTY}") + "aliases: {a: sonnet}\n",
        ["c.yaml:4: deployments.sonnet.api_key: environment variable EMPTY is empty"],
        id="empty variable",
    ),
    pytest.param(
        SONNET.replace(" k", " ${REAL:-x}") + "aliases: {a: sonnet}\n",
        [
            "c.yaml:4: deployments.sonnet.api_key: is not a reference to a variable or a file; "
            "write ${NAME} or ${file:/path}"
        ],
        id="no reference",
    ),
    pytest.param(
        SONNET.replace(" k", " ${file:nowhere}") + "aliases: {a: sonnet}\n",
        ["c.yaml:4: deployments.sonnet.api_key: the file it names does not exist"],
        id="missing file",
    ),
    pytest.param(
        SONNET.replace(" k", " ${file:.}") + "aliases: {a: sonnet}\n",
        ["c.yaml:4: deployments.sonnet.api_key: the file it names cannot be read"],
        id="unreadable file",
    ),
    pytest.param(
        SONNET.replace(" k", " ${file:empty.yaml}") + "aliases: {a: sonnet}\n",
        ["c.yaml:4: deployments.sonnet.api_key: the file it names is empty"],
        id="empty file",
    ),
    pytest.param(
        SONNET + "  soné: {provider: anthropic, headers: 3}\naliases: {a: sonnet}\n",
        [
            "c.yaml:5: deployments.soné: a deployment's name goes into a header: it must be plain "
            "ASCII",
            "c.yaml:5: deployments.soné.api_key: required, and not given; "
            "${ANTHROPIC_API_KEY}, say",
            "c.yaml:5: deployments.soné.headers: must be a mapping (name: value)",
        ],
        id="name that no header can have",
    ),
    pytest.param(
        SONNET.replace(" k", "") + "aliases: {a: sonnet}\n",
        ["c.yaml:4: deployments.sonnet.api_key: has no value"],
        id="key without a value",
    ),
    pytest.param(
        SONNET.replace(" k", " ''") + "aliases: {a: sonnet}\n",
        ["c.yaml:4: deployments.sonnet.api_key: is empty"],
        id="empty key",
    ),
    pytest.param(
        SONNET.replace(" k", ' "k\\r\\nx: y"') + "aliases: {a: sonnet}\n",
        ["c.yaml:4: deployments.sonnet.api_key: holds a character that a key cannot have"],
        id="key with a line break",
    ),
    pytest.param(
        SONNET.replace(" k", " 1234") + "aliases: {a: sonnet}\n",
        ["c.yaml:4: deployments.sonnet.api_key: must be text; put it in quotes"],
        id="key that is a number",
    ),
    pytest.param(
        SONNET.replace(" k", " !k") + "aliases: {a: sonnet}\n",
        [
            "c.yaml:4: deployments.sonnet.api_key: is not a YAML value; put it in quotes if it is "
            "text"
        ],
        id="key that is a tag",
    ),
    pytest.param(
        SONNET + "    auth_token: t\naliases: {a: sonnet}\n",
        ["c.yaml:5: deployments.sonnet.auth_token: stands beside api_key; one of them is too many"],
        id="two credentials",
    ),
    pytest.param(
        SONNET
        + "    timeout: soon\n    rpm: 1.5\n    weight: true\n    connect_timeout: .inf\n"
        + "    order: [1]\n    headers: [a]\n    forward_client_auth: perhaps\n    tpm: 0\n"
        + "    model: 4\n    silence_timeout:\naliases: {a: sonnet}\n",
        [
            "c.yaml:5: deployments.sonnet.timeout: must be a number",
            "c.yaml:6: deployments.sonnet.rpm: must be a whole number",
            "c.yaml:7: deployments.sonnet.weight: must be a number",
            "c.yaml:8: deployments.sonnet.connect_timeout: must be a finite number",
            "c.yaml:9: deployments.sonnet.order: must be a whole number",
            "c.yaml:10: deployments.sonnet.headers: must be a mapping (name: value)",
            "c.yaml:11: deployments.sonnet.forward_client_auth: must be true or false",
            "c.yaml:12: deployments.sonnet.tpm: must be more than 0",
            "c.yaml:13: deployments.sonnet.model: must be text; put it in quotes",
        ],
        id="wrong types",
    ),
    pytest.param(
        SONNET + '    headers:\n      a b: c\n      d: 1\n      e: "f\\n"\naliases: {a: sonnet}\n',
        [
            "c.yaml:7: deployments.sonnet.headers.d: must be text; put it in quotes",
        ],
        id="header that is a number",
    ),
    pytest.param(
        SONNET + '    headers:\n      a b: c\n      e: "f\\n"\naliases: {a: sonnet}\n',
        [
            "c.yaml:6: deployments.sonnet.headers.a b: is not the name of a header",
            "c.yaml:7: deployments.sonnet.headers.e: holds a character that a header cannot have",
        ],
        id="headers",
    ),
    pytest.param(
        SONNET + "    base_url: api.anthropic.com\naliases: {a: sonnet}\n",
        ["c.yaml:5: deployments.sonnet.base_url: must start with http:// or https://"],
        id="address",
    ),
    pytest.param(
        SONNET + "    api_key: l\naliases: {a: sonnet}\n",
        ["c.yaml:5: deployments.sonnet.api_key: is set twice"],
        id="duplicate key",
    ),
    pytest.param(
        SONNET + "  sonnet: {provider: anthropic, api_key: k}\naliases: {a: sonnet}\n",
        ["c.yaml:5: deployments.sonnet: is set twice"],
        id="duplicate deployment",
    ),
    pytest.param(
        SONNET + "aliases: {1: sonnet}\n",
        ["c.yaml:5: aliases.1: a key must be text; put it in quotes"],
        id="key that is no text",
    ),
    pytest.param(
        "deployments:\n  a: {provider: bedrok}\n  b: {provider: deepseek, region: x}\n  c: {}\n"
        "  d: {provider: 4}\n  e:\n  f: 3\naliases:\n  x: [a, b, c, d, e, f]\n",
        [
            "c.yaml:2: deployments.a.provider: no provider is named 'bedrok' "
            "(did you mean 'bedrock'?)",
            "c.yaml:3: deployments.b.api_key: required, and not given; ${DEEPSEEK_API_KEY}, say",
            "c.yaml:3: deployments.b.region: unknown setting",
            "c.yaml:4: deployments.c.provider: required, and not given",
            "c.yaml:5: deployments.d.provider: must be text",
            "c.yaml:6: deployments.e.provider: required, and not given",
            "c.yaml:7: deployments.f: must be a mapping (name: value)",
        ],
        id="providers",
    ),
    pytest.param(
        "deployments:\n  a: {provider: google}\n  b: {provider: replicate}\n"
        "  c: {provider: openai, model: x}\naliases:\n  x: [a, b, c]\n",
        [
            "c.yaml:2: deployments.a.provider: no provider is named 'google' "
            "(did you mean 'gemini'?)",
            "c.yaml:3: deployments.b.provider: no provider is named 'replicate'; "
            "`llmroute providers` lists them",
            "c.yaml:4: deployments.c.api_key: required, and not given; ${OPENAI_API_KEY}, say",
        ],
        id="providers by another name",
    ),
    pytest.param(
        SONNET + "    api_base: http://a.example\n    max_output_tokens: 3\n"
        "aliases: {a: sonnet}\nsafeguards: {classifier: a}\nmaster_key: sk-x\n"
        "routing: {safeguards: {classifier: sonnet}}\n",
        [
            "c.yaml:5: deployments.sonnet.api_base: unknown setting (did you mean 'base_url'?)",
            "c.yaml:6: deployments.sonnet.max_output_tokens: unknown setting "
            "(did you mean 'max_input_tokens'?)",
            "c.yaml:8: safeguards: unknown setting here; it belongs under routing",
            "c.yaml:9: master_key: unknown setting here; it belongs under server",
            "c.yaml:10: routing.safeguards.classifier: no alias matches 'sonnet': that is a "
            "deployment, which needs an alias of its own",
        ],
        id="settings by another name and in another place",
    ),
    pytest.param(
        SONNET + "aliases:\n  a: sonet\n  b: [sonnet, a]\n  c*d*: sonnet\n  d: {fallbacks: [a]}\n"
        "  e: {deployments: sonnet, fallbacks: [aa, 'c*'], when_too_long: zz}\n  f: 3\n  g: []\n"
        "  h: {deployments: [sonnet], strategy: weightd, hiden: true}\n",
        [
            "c.yaml:6: aliases.a: no deployment is named 'sonet' (did you mean 'sonnet'?)",
            "c.yaml:7: aliases.b[1]: 'a' is an alias; here stands a deployment, or use fallbacks",
            "c.yaml:8: aliases.c*d*: may have one *",
            "c.yaml:9: aliases.d.deployments: required, and not given",
            "c.yaml:10: aliases.e.fallbacks[0]: no alias matches 'aa'",
            "c.yaml:10: aliases.e.fallbacks[1]: must be one model's name, without a *",
            "c.yaml:10: aliases.e.when_too_long: no alias matches 'zz'",
            "c.yaml:11: aliases.f: must be a name or a list of names",
            "c.yaml:12: aliases.g: must not be empty",
            "c.yaml:13: aliases.h.hiden: unknown setting (did you mean 'hidden'?)",
            "c.yaml:13: aliases.h.strategy: must be 'listed', 'weighted', 'least_busy', "
            "'lowest_latency' or 'lowest_price' (did you mean 'weighted'?)",
        ],
        id="aliases",
    ),
    pytest.param(
        SONNET + "    model: claude-*\naliases:\n  a: sonnet\n",
        ["c.yaml:7: aliases.a: its model has a *, and this alias has none to put there"],
        id="star without a star",
    ),
    pytest.param(
        SONNET,
        [
            "c.yaml: aliases: no aliases: say which names callers may ask for, "
            "`claude-*: NAME` for instance"
        ],
        id="no aliases",
    ),
    pytest.param(
        "deployments:\naliases: {}\n",
        ["c.yaml:1: deployments: no models: name at least one deployment"],
        id="no deployments",
    ),
    pytest.param(
        SONNET + "aliases: {a: sonnet}\nserver: {prot: 1, port: 70000, master_key: ''}\n"
        "routing: {retries: -1, strategy: x}\nstor: sqlite\n",
        [
            "c.yaml:6: server.master_key: is empty",
            "c.yaml:6: server.port: must be 65535 or less",
            "c.yaml:6: server.prot: unknown setting (did you mean 'port'?)",
            "c.yaml:7: routing.retries: must be 0 or more",
            "c.yaml:7: routing.strategy: must be 'listed', 'weighted', 'least_busy', "
            "'lowest_latency' or 'lowest_price'",
            "c.yaml:8: stor: unknown setting (did you mean 'store'?)",
        ],
        id="server and routing",
    ),
    pytest.param(
        SONNET.replace("api_key: k", "api_keys: [k, '', 4]") + "aliases: {a: sonnet}\n",
        [
            "c.yaml:4: deployments.sonnet.api_keys[1]: is empty",
            "c.yaml:4: deployments.sonnet.api_keys[2]: must be text; put it in quotes",
        ],
        id="keys",
    ),
    pytest.param(
        SONNET + "    api_keys: [l]\n  b: {provider: anthropic, api_keys: k}\n"
        "  c: {provider: anthropic, api_keys: []}\n  d: {provider: anthropic, api_keys:}\n"
        "  e: {provider: anthropic, api_keys: ['${MISSING}', l], timout: 3}\n"
        "  f: {provider: anthropic, api_keys: [k], auth_token: t}\n"
        "aliases: {x: [sonnet, b, c, d, e, f, 'e#1']}\n",
        [
            "c.yaml:5: deployments.sonnet.api_keys: stands beside api_key; one of them is too many",
            "c.yaml:6: deployments.b.api_keys: must be a list",
            "c.yaml:7: deployments.c.api_keys: must not be empty",
            "c.yaml:8: deployments.d.api_keys: must be a list",
            "c.yaml:9: deployments.e.api_keys[0]: environment variable MISSING is not set",
            "c.yaml:9: deployments.e.timout: unknown setting (did you mean 'timeout'?)",
            "c.yaml:10: deployments.f.auth_token: stands beside api_key; one of them is too many",
            "c.yaml:11: aliases.x[6]: no deployment is named 'e#1'",
        ],
        id="lists of keys",
    ),
    pytest.param(
        SONNET.replace("sonnet:", "sonnet#1:") + "aliases: {a: 'sonnet#1'}\n",
        [
            "c.yaml:2: deployments.sonnet#1: a # stands between a name and the number of one of "
            "its api_keys; leave it out"
        ],
        id="name with a number sign",
    ),
    pytest.param(
        SONNET + "aliases:\n  a: {deployments: sonnet, fallbacks: [b, a], when_too_long: a}\n"
        "  b: {deployments: sonnet, when_refused: [c, 3], when_too_long: {}, timeout: 0}\n"
        "  c*: {deployments: sonnet, hedge: {max_share: 2, aftr: 1}}\n"
        "  d: {deployments: sonnet, hedge: 3, hegde: 1}\n",
        [
            "c.yaml:6: aliases.a.fallbacks[1]: is this alias itself",
            "c.yaml:6: aliases.a.when_too_long: is this alias itself",
            "c.yaml:7: aliases.b.timeout: must be more than 0",
            "c.yaml:7: aliases.b.when_refused[1]: must be a name",
            "c.yaml:7: aliases.b.when_too_long: must be a name or a list of names",
            "c.yaml:8: aliases.c*.hedge.after: required, and not given",
            "c.yaml:8: aliases.c*.hedge.aftr: unknown setting (did you mean 'after'?)",
            "c.yaml:8: aliases.c*.hedge.max_share: must be 1 or less",
            "c.yaml:9: aliases.d.hedge: must be a mapping (name: value)",
            "c.yaml:9: aliases.d.hegde: unknown setting (did you mean 'hedge'?)",
        ],
        id="other aliases and hedges",
    ),
    pytest.param(
        SONNET + "aliases: {a: sonnet}\nrouting:\n  allowed_failures: many\n  cooldwon: 1\n"
        "  eror: {}\n  errors:\n    overloaded_error: elswhere\n    '600': time\n"
        "    429: time\n    api_error: {cooldown: -1}\n    a: {remedy: time, cooldwn: 1}\n"
        "    b: 3\n    c:\n",
        [
            "c.yaml:7: routing.allowed_failures: must be a whole number",
            "c.yaml:8: routing.cooldwon: unknown setting (did you mean 'cooldown'?)",
            "c.yaml:9: routing.eror: unknown setting (did you mean 'errors'?)",
            "c.yaml:11: routing.errors.overloaded_error: must be 'nothing', 'elsewhere' or 'time' "
            "(did you mean 'elsewhere'?)",
            "c.yaml:12: routing.errors.600: is neither an error's code or type nor a status from "
            "400 to 599",
            "c.yaml:13: routing.errors.429: a key must be text; put it in quotes",
            "c.yaml:14: routing.errors.api_error.cooldown: must be 0 or more",
            "c.yaml:14: routing.errors.api_error.remedy: required, and not given",
            "c.yaml:15: routing.errors.a.cooldwn: unknown setting (did you mean 'cooldown'?)",
            "c.yaml:16: routing.errors.b: must be 'nothing', 'elsewhere' or 'time'",
            "c.yaml:17: routing.errors.c: has no value",
        ],
        id="errors",
    ),
    pytest.param(
        SONNET + "aliases: {a: sonnet}\nstore: reddis://h\nstore_prefix: ''\n",
        [
            "c.yaml:6: store: must start with redis://, rediss:// or unix:// "
            "(did you mean 'redis'?)",
            "c.yaml:7: store_prefix: must not be empty",
        ],
        id="store",
    ),
    pytest.param(
        SONNET + "aliases: {a: sonnet}\nstore: sqlite\n",
        ["c.yaml:6: store: must start with redis://, rediss:// or unix://"],
        id="store that is no address",
    ),
    pytest.param(
        SONNET + "aliases: {a: sonnet}\nstore: redis://:6379/0\n",
        ["c.yaml:6: store: is not an address"],
        id="store without a host",
    ),
    pytest.param(
        SONNET + "aliases: {a: sonnet}\nstore: redis://h:many\n",
        ["c.yaml:6: store: is not an address"],
        id="store without a port",
    ),
    pytest.param(
        SONNET + "aliases: {a: sonnet}\nrouting:\n- 1\n",
        ["c.yaml:6: routing: must be a mapping (name: value)"],
        id="section that is a list",
    ),
    pytest.param(
        SONNET + "aliases: {a: sonnet}\nmodel_list: []\n",
        ["c.yaml:6: model_list: is LiteLLM's, and aliases is not; use one dialect"],
        id="both dialects",
    ),
]


@pytest.mark.parametrize(("text", "expected"), NATIVE)
def test_every_problem_of_a_native_file_is_reported(problems, text, expected):
    assert expected == problems(text, empty=" \n")


def entry(more="", model="anthropic/claude-x", name="a"):
    return f"model_list:\n- model_name: {name}\n  litellm_params:\n    model: {model}\n{more}"


KEY = "    api_key: k\n"

LITELLM = [
    pytest.param(
        "model_list: []\n", ["c.yaml:1: model_list: no models in model_list"], id="no models"
    ),
    pytest.param(
        "general_settings: {master_key: k}\n", ["c.yaml: no models in model_list"], id="no list"
    ),
    pytest.param("model_list: {a: b}\n", ["c.yaml:1: model_list: must be a list"], id="no list 2"),
    pytest.param(
        "model_list:\n- 3\n- {}\n- model_name: a\n- litellm_params: {model: anthropic/x}\n"
        "- {model_name: a, api_key: k, litellm_params: {api_key: k}}\n",
        [
            "c.yaml:2: model_list[0]: must be a mapping (name: value)",
            "c.yaml:3: model_list[1].litellm_params: required, and not given",
            "c.yaml:3: model_list[1].model_name: required, and not given",
            "c.yaml:4: model_list[2].litellm_params: required, and not given",
            "c.yaml:5: model_list[3].model_name: required, and not given",
            "c.yaml:6: model_list[4].api_key: unknown setting here; it belongs under "
            "litellm_params",
            "c.yaml:6: model_list[4].litellm_params.model: required, and not given",
        ],
        id="entries",
    ),
    pytest.param(
        entry("    api_key: os.environ/MISSING\n"),
        ["c.yaml:5: model_list[0].litellm_params.api_key: environment variable MISSING is not set"],
        id="missing variable is no fallback",
    ),
    pytest.param(
        entry("    api_key:\n"),
        ["c.yaml:5: model_list[0].litellm_params.api_key: has no value"],
        id="empty key is no fallback",
    ),
    pytest.param(
        entry("    api_key: oidc/google/x\n"),
        [
            "c.yaml:5: model_list[0].litellm_params.api_key: oidc/ tokens are not part of this "
            "version of llmroute"
        ],
        id="oidc",
    ),
    pytest.param(
        entry("    api_key: k\n    api_base: ftp://x\n    timeout: soon\n    weigth: 1\n"),
        [
            "c.yaml:6: model_list[0].litellm_params.api_base: must start with http:// or https://",
            "c.yaml:7: model_list[0].litellm_params.timeout: must be a number",
            "c.yaml:8: model_list[0].litellm_params.weigth: unknown setting "
            "(did you mean 'weight'?)",
        ],
        id="params",
    ),
    pytest.param(
        entry(KEY + "    max_input_tokens: 5\n    anthropic_federation_rule_id: x\n"),
        [
            "c.yaml:6: model_list[0].litellm_params.max_input_tokens: unknown setting here; it "
            "belongs under model_info",
            "c.yaml:7: model_list[0].litellm_params.anthropic_federation_rule_id: is not part of "
            "this version of llmroute",
        ],
        id="misplaced",
    ),
    pytest.param(
        entry(KEY + "    api_base: https://a.example\n    base_url: https://b.example\n"),
        [
            "c.yaml:7: model_list[0].litellm_params.base_url: is another address than api_base",
        ],
        id="two addresses",
    ),
    pytest.param(
        entry(KEY, model="bedrok/x"),
        [
            "c.yaml:4: model_list[0].litellm_params.model: no provider is named 'bedrok' "
            "(did you mean 'bedrock'?)"
        ],
        id="misspelt provider",
    ),
    pytest.param(
        entry("    vertex_project: p\n    own_thing: 3\n    api_kye: k\n", model="edenai/x"),
        [
            "c.yaml:4: model_list[0].litellm_params.model: provider 'edenai' is not part of "
            "this version of llmroute",
            "c.yaml:7: model_list[0].litellm_params.api_kye: unknown setting "
            "(did you mean 'api_key'?)",
        ],
        id="unserved provider",
    ),
    pytest.param(
        entry("    custom_llm_provider: edenai\n", model="x"),
        [
            "c.yaml:5: model_list[0].litellm_params.custom_llm_provider: provider 'edenai' is not "
            "part of this version of llmroute"
        ],
        id="unserved provider named apart",
    ),
    pytest.param(
        entry("", model="gpt-5"),
        [
            "c.yaml:3: model_list[0].litellm_params.api_key: no api_key, and OPENAI_API_KEY is not "
            "set"
        ],
        id="bare model",
    ),
    pytest.param(
        entry(KEY, model="something"),
        [
            "c.yaml:4: model_list[0].litellm_params.model: names no provider; write it before the "
            "model, as in anthropic/claude-sonnet-5"
        ],
        id="no provider",
    ),
    pytest.param(
        entry(KEY + "  model_info: {id: é}\ncredential_list: {a: b}\n"),
        [
            "c.yaml:6: model_list[0].model_info.id: goes into a header: it must be plain ASCII",
            "c.yaml:7: credential_list: must be a list",
        ],
        id="id that no header can have",
    ),
    pytest.param(
        entry(
            KEY + "litellm_settings:\n  model_group_settings: {forward_client_headers: [a]}\n"
            "environment_variables: {A: [1]}\n"
            "credential_list: [{credential_name: c}, {credential_name: c}]\n"
        ),
        [
            "c.yaml:7: litellm_settings.model_group_settings.forward_client_headers: unknown "
            "setting (did you mean 'forward_client_headers_to_llm_api'?)",
            "c.yaml:8: environment_variables.A: must be text",
            "c.yaml:9: credential_list[1].credential_name: another credential has that name",
        ],
        id="odds and ends",
    ),
    pytest.param(
        entry(KEY, model="anthropic/"),
        ["c.yaml:4: model_list[0].litellm_params.model: names a provider and no model"],
        id="no model",
    ),
    pytest.param(
        entry(KEY, model="'anthropic/*'"),
        [
            "c.yaml:4: model_list[0].litellm_params.model: has a *, and model_name has none to put "
            "there"
        ],
        id="star without a star",
    ),
    pytest.param(
        entry(KEY, name="'a*b*'"),
        ["c.yaml:2: model_list[0].model_name: may have one *"],
        id="two stars",
    ),
    pytest.param(
        entry(KEY + "litelm_settings: {}\nmaster_key: x\nrouting: {}\n"),
        [
            "c.yaml:6: litelm_settings: unknown setting (did you mean 'litellm_settings'?)",
            "c.yaml:7: master_key: unknown setting here; it belongs under litellm_settings",
            "c.yaml:8: routing: unknown setting",
        ],
        id="top",
    ),
    pytest.param(
        entry(
            KEY + "litellm_settings:\n  cooldown_time: 3\n  num_retires: 3\n"
            "router_settings:\n  routing_strategy: simple-shufle\n  num_retries: many\n"
            "general_settings: yes\n"
        ),
        [
            "c.yaml:7: litellm_settings.cooldown_time: unknown setting here; it belongs under "
            "router_settings",
            "c.yaml:8: litellm_settings.num_retires: unknown setting (did you mean 'num_retries'?)",
            "c.yaml:10: router_settings.routing_strategy: must be 'simple-shuffle', 'least-busy', "
            "'latency-based-routing', 'cost-based-routing', 'usage-based-routing' or "
            "'usage-based-routing-v2' (did you mean 'simple-shuffle'?)",
            "c.yaml:11: router_settings.num_retries: must be a whole number",
            "c.yaml:12: general_settings: must be a mapping (name: value)",
        ],
        id="sections",
    ),
    pytest.param(
        entry(KEY + "litellm_settings: {master_key: one}\ngeneral_settings: {master_key: two}\n"),
        ["c.yaml:6: litellm_settings.master_key: is another key than the file's other master_key"],
        id="two master keys",
    ),
    pytest.param(
        entry(KEY + "litellm_settings: {master_key: ''}\n"),
        ["c.yaml:6: litellm_settings.master_key: is empty"],
        id="empty master key",
    ),
    pytest.param(
        entry(
            KEY + "  model_info: {id: x}\n- model_name: b\n  model_info: {id: x}\n"
            "  litellm_params: {model: claude-y, litellm_credential_name: on, api_key: k}\n"
            "credential_list:\n- credential_name: one\n- {}\n"
        ),
        [
            "c.yaml:8: model_list[1].model_info.id: another entry has that id",
            "c.yaml:9: model_list[1].litellm_params.litellm_credential_name: must be text; put it "
            "in quotes",
            "c.yaml:12: credential_list[1].credential_name: required, and not given",
        ],
        id="ids and credentials",
    ),
    pytest.param(
        entry(
            "    litellm_credential_name: firts\ncredential_list:\n- credential_name: first\n"
            "  credential_values: {api_key: os.environ/MISSING}\n"
        ),
        [
            "c.yaml:5: model_list[0].litellm_params.litellm_credential_name: no credential is "
            "named 'firts' (did you mean 'first'?)",
            "c.yaml:8: credential_list[0].credential_values.api_key: environment variable MISSING "
            "is not set",
        ],
        id="credential",
    ),
    pytest.param(
        entry(
            KEY + "router_settings:\n  fallbacks:\n  - {a: [bb]}\n  - {c: [a]}\n  - a\n  - {a: 3}\n"
            "  default_fallbacks: [zz]\n  context_window_fallbacks: {a: b}\n"
            "  model_group_alias:\n    s: aa\n    t: {model: a, hiden: 1}\n    u: 3\n"
            "    v: {model: a, hidden: 3}\n"
        ),
        [
            "c.yaml:8: router_settings.fallbacks[0].a[0]: no model_name matches 'bb'",
            "c.yaml:9: router_settings.fallbacks[1].c: no model_name matches 'c'",
            "c.yaml:10: router_settings.fallbacks[2]: must be a mapping (alias: list of aliases)",
            "c.yaml:11: router_settings.fallbacks[3].a: must be a name or a list of names",
            "c.yaml:12: router_settings.default_fallbacks[0]: no model_name matches 'zz'",
            "c.yaml:13: router_settings.context_window_fallbacks: must be a list",
            "c.yaml:15: router_settings.model_group_alias.s: no model_name matches 'aa'",
            "c.yaml:16: router_settings.model_group_alias.t.hiden: unknown setting "
            "(did you mean 'hidden'?)",
            "c.yaml:17: router_settings.model_group_alias.u: must be a name, or a mapping with "
            "model and hidden",
            "c.yaml:18: router_settings.model_group_alias.v.hidden: must be true or false",
        ],
        id="names that point nowhere",
    ),
]


@pytest.mark.parametrize(("text", "expected"), LITELLM)
def test_every_problem_of_a_litellm_file_is_reported(problems, text, expected):
    assert expected == problems(text)


def test_a_key_that_is_nowhere_is_a_problem(problems):
    assert [
        "c.yaml:3: model_list[0].litellm_params.api_key: no api_key, and ANTHROPIC_API_KEY is not "
        "set"
    ] == problems(entry(), environ={})


def test_an_empty_master_key_in_the_environment_is_a_problem(problems):
    environ = {"LITELLM_MASTER_KEY": ""}

    assert ["c.yaml: LITELLM_MASTER_KEY: is empty"] == problems(entry(KEY), environ)


def test_problems_of_included_files_stand_at_their_own_lines(problems):
    found = problems(
        entry(KEY) + "include: [one.yaml, missing.yaml, 3, c.yaml]\n"
        "litellm_settings: {num_retries: 1}\n",
        one="model_list:\n- model_name: b\n  litellm_params: {modle: claude-x}\n"
        "litellm_settings: {num_retries: 2, request_timeout: x}\ninclude: [two.yaml]\n",
        two="model_list:\n\n- {}\ngeneral_settings: {master_key: ''}\n",
    )

    assert [
        "c.yaml:6: include[1]: the file does not exist",
        "c.yaml:6: include[2]: must be the name of a file",
        "c.yaml:6: include[3]: is included already",
        "one.yaml:3: model_list[0].litellm_params.model: required, and not given",
        "one.yaml:3: model_list[0].litellm_params.modle: unknown setting (did you mean 'model'?)",
        "one.yaml:4: litellm_settings.num_retries: is set already, at c.yaml:7",
        "one.yaml:4: litellm_settings.request_timeout: must be a number",
        "two.yaml:3: model_list[0].litellm_params: required, and not given",
        "two.yaml:3: model_list[0].model_name: required, and not given",
        "two.yaml:4: general_settings.master_key: is empty",
    ] == found


def test_what_cannot_be_read_in_an_included_file_stands_at_its_line(problems):
    found = problems(
        entry("    api_key:\ninclude: [one.yaml, two.yaml]\n"),
        one=entry("    api_key: a\n    api_key: b\n"),
        two="environment_variables: {A: a, A: b}\n",
    )

    assert [
        "c.yaml:5: model_list[0].litellm_params.api_key: has no value",
        "one.yaml:6: model_list[0].litellm_params.api_key: is set twice",
        "two.yaml:1: environment_variables.A: is set twice",
    ] == found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("missing.yaml", "missing.yaml: does not exist", id="missing"),
        pytest.param(".", ".: is a directory", id="directory"),
        pytest.param("latin.yaml", "latin.yaml: is not UTF-8", id="encoding"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_problem(tmp_path, monkeypatch, name, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9\n")

    with pytest.raises(ConfigError) as caught:
        load_file(name, {})

    assert expected == str(caught.value)


def test_a_dict_has_paths_and_no_lines():
    with pytest.raises(ConfigError) as caught:
        load_dict({"deployments": {"a": {"provider": "anthropic", 1: 2}}, "aliases": {}}, {})

    assert [
        "<dict>: deployments.a.1: a key must be text",
        "<dict>: deployments.a.api_key: required, and not given; ${ANTHROPIC_API_KEY}, say",
    ] == [str(problem) for problem in caught.value.problems if problem.path != "aliases"]
