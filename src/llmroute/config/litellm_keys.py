"""Settings of LiteLLM that are accepted without effect, each with the reason a user is told.

`NOT_NEEDED` are the ones that ask for what is so anyway; they are not worth a word.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "IGNORED",
    "LITELLM_OWN",
    "LITELLM_SECTIONS",
    "NOT_NEEDED",
    "OF_OTHER_PROVIDERS",
    "prefixed",
]

_LOGGING = "callbacks are otel and prometheus; the log and /metrics say what was done"
_CACHE = "answers are not cached"
_DATABASE = "of the database, only the address is a setting"
_WRITTEN = "the record of every call is written, in batches, and holds no prompt"
_UI = "there is no user interface"
_REDIS = "one Redis server is used, the one that redis_url or redis_host names"
_BUDGET = "budgets are those of keys and of teams, and one for all calls"
_LIMIT = "a deployment's limits are rpm, tpm and max_parallel_requests"
_PARALLEL = "each key has a limit of its own: `llmroute keys update NAME --parallel N`"
_TAGS = "requests are not routed by tags"
_HEALTH = "no paid request is sent to find out whether a model works"
_RETRIES = "routing is the same for every alias; see retry_policy"
_FAILS = "faults are counted together; see allowed_fails"
_DEFAULTS = "defaults are not applied to Messages requests; put it into extra_body if it is meant"
_UNTOUCHED = "requests go out as they came in"
_TRANSLATION = "it concerns translation, and requests to Anthropic are not translated"
_ENTERPRISE = "access is by the master key, and by the keys that `llmroute keys` makes"
_DEFAULT_KEY = "a key has what it is given when it is made"
_TLS = "certificates are always checked, against the system's authorities"
_CODE = "code is never loaded from a configuration"
_PART = "it is not a part of a gateway to Messages"
_AFFINITY = "a conversation stays where its prompt cache is, for as long as that lives"
_PRICES = "an answer does not tell what this is a price of; prices are by token and by request"


def _all(reason: str, names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), reason)


IGNORED: Mapping[str, Mapping[str, str]] = {
    "": {
        **_all(_LOGGING, "callback_settings"),
        **_all(
            _PART,
            """guardrails mcp_servers mcp_tools search_tools vector_store_registry files_settings
            finetune_settings assistant_settings prompts agent_list policies""",
        ),
        "worker_registry": _ENTERPRISE,
    },
    "litellm_params": {
        **_all(
            _DEFAULTS,
            """max_tokens max_completion_tokens temperature top_p top_k n stop seed user
            presence_penalty frequency_penalty logit_bias logprobs top_logprobs response_format
            tools tool_choice parallel_tool_calls reasoning_effort thinking service_tier metadata
            stream stream_options functions function_call verbosity""",
        ),
        **_all(_UNTOUCHED, "additional_drop_params cache_control_injection_points"),
        **_all(_TAGS, "tags tag_regex"),
        **_all(_BUDGET, "max_budget budget_duration soft_budget"),
        **_all(_LIMIT, "itpm otpm rpd tpd daily_reset_time default_api_key_rpm_limit"),
        **_all(_LIMIT, "default_api_key_tpm_limit"),
        **_all("timeouts do not depend on the service tier", "timeout_by_service_tier"),
        **_all("timeouts do not depend on the service tier", "stream_timeout_by_service_tier"),
        **_all("a client does not choose an upstream", "configurable_clientside_auth_params"),
        **_all("there is one for all; set router_settings.cooldown_time", "cooldown_time"),
        **_all(_AFFINITY, "provider_affinity_header"),
        **_all("a ping is sent into every 15 s of silence", "keepalive_seconds"),
        **_all("use llmroute.testing.FakeUpstream", "mock_response mock_tool_calls mock_timeout"),
        **_all(_TRANSLATION, "use_chat_completions_api merge_reasoning_content_in_choices"),
        **_all("Anthropic has no such setting", "api_version organization region_name"),
        **_all(_LOGGING, "litellm_trace_id litellm_session_id success_callback failure_callback"),
        **_all(_TLS, "ssl_verify"),
        **_all(_PRICES, "input_cost_per_second output_cost_per_second"),
        **_all(_PART, "auto_router_config auto_router_config_path auto_router_default_model"),
    },
    "litellm_settings": {
        **_all(
            _LOGGING,
            """audit_log_callbacks
            langfuse_default_tags turn_off_message_logging redact_messages_in_exceptions
            redact_user_api_key_info global_disable_no_log_param log_raw_request_response
            prometheus_initialize_budget_metrics prometheus_metrics_config
            require_auth_for_metrics_endpoint enable_end_user_cost_tracking_prometheus_only
            custom_prometheus_metadata_labels s3_callback_params store_audit_logs""",
        ),
        **_all(
            _DEFAULT_KEY,
            """default_internal_user_params default_team_params default_team_settings
            upperbound_key_generate_params default_key_generate_params key_generation_settings
            max_internal_user_budget internal_user_budget_duration""",
        ),
        **_all(
            "the cost of every call is kept, and no answer tells it",
            "disable_end_user_cost_tracking include_cost_in_streaming_usage",
        ),
        **_all("use llmroute check, and the log", "set_verbose debug detailed_debug"),
        **_all(_CACHE, "cache cache_params caching caching_with_models enable_redis_auth_cache"),
        **_all(_BUDGET, "max_end_user_budget max_user_budget"),
        **_all(_TLS, "ssl_verify ssl_certificate ssl_security_level ssl_ecdh_curve"),
        **_all("the system decides between IPv4 and IPv6", "force_ipv4"),
        **_all(_UNTOUCHED, "reasoning_auto_summary enable_anthropic_prompt_caching"),
        **_all(
            _TRANSLATION,
            """use_chat_completions_url_for_anthropic_messages add_function_to_prompt
            disable_hf_tokenizer_download disable_copilot_system_to_assistant
            anthropic_messages_estimate_initial_input_tokens use_litellm_proxy
            vertex_ai_safety_settings gemini_live_defer_setup""",
        ),
        **_all(
            _PART,
            "websearch_interception_params mcp_aliases guardrails prompts banned_keywords"
            "_list blocked_user_list priority_reservation priority_reservation_settings"
            " public_model_groups public_model_groups_links public_agent_groups",
        ),
        **_all(
            "a ping is sent into every 15 s of silence",
            "anthropic_sse_ping_interval_seconds sse_keepalive_ping_interval_seconds",
        ),
        **_all(_CODE, "custom_provider_map post_call_rules pre_call_rules"),
        **_all("keys of a provider stand with its deployments", "api_key anthropic_key openai_key"),
        **_all(_UNTOUCHED, "disable_token_counter disable_add_prefix_to_prompt"),
        **_all(_TAGS, "tag_budget_config add_user_information_to_llm_headers"),
    },
    "router_settings": {
        **_all(_RETRIES, "model_group_retry_policy"),
        **_all(_FAILS, "allowed_fails_policy"),
        **_all("strategies have no settings", "routing_strategy_args"),
        **_all("routing is the same for every alias", "routing_groups"),
        **_all(_TAGS, "enable_tag_filtering tag_filtering_match_any tag_routing_prefix"),
        **_all(_BUDGET, "provider_budget_config"),
        **_all(_CACHE, "cache_responses cache_kwargs caching_groups client_ttl"),
        **_all(_DEFAULTS, "default_litellm_params"),
        **_all("calls do not wait in a queue", "default_priority polling_interval"),
        **_all(_HEALTH, "enable_health_check_routing health_check_staleness_threshold"),
        **_all("a stream that broke ends in an error", "enable_mid_stream_fallback_continuation"),
        **_all(_TRANSLATION, "fallback_on_unsupported_params"),
        **_all(_LOGGING, "alerting_config set_verbose debug_level"),
        **_all(_PART, "assistants_config search_tools guardrail_list"),
        **_all(_AFFINITY, "deployment_affinity_ttl_seconds"),
    },
    "general_settings": {
        **_all(
            _DATABASE,
            """database_type database_args database_connection_pool_limit
            database_connection_timeout database_connection_pool_timeout
            disable_adding_master_key_hash_to_db use_redis_transaction_buffer
            disable_prisma_schema_update supported_db_objects use_shared_health_check""",
        ),
        **_all("models stand in the file", "store_model_in_db"),
        **_all(
            _WRITTEN,
            """store_prompts_in_spend_logs disable_spend_updates disable_error_logs
            proxy_batch_write_at maximum_spend_logs_retention_interval""",
        ),
        **_all(
            "a budget begins anew at midnight UTC, with its day, week or month",
            """proxy_budget_rescheduler_min_time proxy_budget_rescheduler_max_time
            disable_reset_budget""",
        ),
        **_all(
            _UI,
            """ui_access_mode ui_settings admin_ui_disabled disable_admin_ui ui_username
            ui_password proxy_logout_url disable_master_key_return""",
        ),
        **_all(_LOGGING, "alerting alerting_threshold alert_types alert_to_webhook_url"),
        **_all(_LOGGING, "alerting_args spend_report_frequency otel service_callbacks"),
        **_all(_HEALTH, "background_health_checks health_check_interval health_check_details"),
        **_all(_HEALTH, "health_check_concurrency health_check_ignore_transient_errors"),
        **_all(_PARALLEL, "max_parallel_requests"),
        **_all("answers are relayed whatever their size", "max_response_size_mb"),
        **_all("name the paths of an upstream by its deployment", "pass_through_endpoints"),
        **_all("timeouts stand with the deployments", "pass_through_request_timeout"),
        **_all(_CODE, "custom_auth custom_auth_run_common_checks custom_key_generate custom_sso"),
        **_all(_CODE, "custom_ui_sso_sign_in_handler"),
        **_all(
            _ENTERPRISE,
            """litellm_key_header_name allowed_ips public_routes allowed_routes admin_only_routes
            enable_jwt_auth litellm_jwtauth enable_oauth2_auth enable_oauth2_proxy_auth
            oauth2_config_mappings enforce_user_param enforced_params use_google_kms
            use_azure_key_vault key_management_system key_management_settings user_header_name
            user_header_mappings trusted_proxy_ranges use_x_forwarded_for infer_model_from_keys
            enforce_fallback_model_access role_permissions control_plane_url
            custom_auth_settings allow_client_side_credentials enable_oauth2_proxy
            user_api_key_cache_ttl block_robots pass_through_auth
            dangerously_permit_weak_or_unset_master_key""",
        ),
        **_all(_PART, "enable_claude_code_gateway claude_code_gateway_managed_settings"),
        **_all(_PART, "enable_public_model_hub mcp_internal_ip_ranges"),
        **_all("a pattern is listed as it is", "return_wildcard_routes"),
        **_all(
            "only Anthropic's paths are passed through",
            "vertex_ai_pass_through_drop_anthropic_betas",
        ),
        **_all("write model_list entries instead", "completion_model"),
        **_all(_CACHE, "redis_cache"),
    },
    "model_info": {
        **_all("the provider says how it is spoken to", "mode litellm_provider"),
        **_all(_ENTERPRISE, "access_groups team_id team_public_model_name tier"),
        **_all(_HEALTH, "disable_background_health_check health_check_model health_check_timeout"),
        **_all(_TAGS, "enable_tag_filtering"),
        **_all(_UNTOUCHED, "cache_control_ttl"),
        **_all("models stand in the file", "db_model created_at updated_at created_by updated_by"),
        **_all("every deployment of the file is in use", "blocked"),
    },
}

NOT_NEEDED: Mapping[str, frozenset[str]] = {
    "litellm_params": frozenset({"drop_params", "modify_params", "allowed_openai_params"}),
    "litellm_settings": frozenset(
        {
            "drop_params",
            "modify_params",
            "suppress_debug_info",
            "telemetry",
            "forward_traceparent_to_llm_provider",
        }
    ),
    "router_settings": frozenset({"enable_weighted_failover"}),
    "general_settings": frozenset({"cancel_on_disconnect"}),
}

OF_OTHER_PROVIDERS = (
    "aws_",
    "azure_",
    "bedrock_",
    "client_id",
    "client_secret",
    "gcs_",
    "openai_",
    "s3_",
    "tenant_id",
    "token_exchange_",
    "vertex_",
    "watsonx_",
)
"""How settings begin that are a provider's own."""


def prefixed(section: str, name: str) -> str | None:
    """Return why a setting of one of the open families is ignored; `None` if it is in none."""
    if section in {"litellm_params", "model_info"} and "_cost" in name:
        return _PRICES
    if section == "model_info" and name.startswith("supports_"):
        return "the upstream knows what its model can do"
    if section == "litellm_params" and name.startswith(OF_OTHER_PROVIDERS):
        return "it is another provider's"
    if section == "router_settings" and name.startswith("redis_"):
        return _REDIS
    return None


LITELLM_OWN = frozenset(
    {
        "credential_list",
        "environment_variables",
        "general_settings",
        "litellm_settings",
        "model_list",
        "router_settings",
    }
)
LITELLM_SECTIONS = LITELLM_OWN | IGNORED[""].keys()
"""What may stand at the top of a file, besides `include`."""
