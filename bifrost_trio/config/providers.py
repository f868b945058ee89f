"""``providers``: who is asked, with which keys, over which network. The names are Bifrost's."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import (
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_serializer,
    field_validator,
)
from pydantic.json_schema import JsonSchemaValue, SkipJsonSchema
from pydantic_core import CoreSchema, core_schema

from bifrost_trio.catalog import PROVIDERS, REQUEST_TYPES, Provider
from bifrost_trio.config.plain import expected, refuse
from bifrost_trio.config.secret import MASK, Secret
from bifrost_trio.config.values import (
    Backoff,
    Certificate,
    HeaderValue,
    Later,
    Name,
    ProxyUrl,
    RequestType,
    Seconds,
    SendableHeaderName,
    Strict,
    Url,
)

__all__ = [
    "MAX_RETRIES",
    "AliasTarget",
    "ConcurrencyConfig",
    "CustomProviderConfig",
    "KeyConfig",
    "NetworkConfig",
    "OpenAIConfig",
    "ProviderConfig",
    "ProxyConfig",
]

MAX_RETRIES: Final = 10
"""Attempts after the first at one provider: with back-off, more would outlast any client."""

_BASE_URL: Final = "the address stands in network_config.base_url"
_REQUEST_TYPES: Final[dict[str, Any]] = {"propertyNames": {"enum": list(REQUEST_TYPES)}}
_GUARD: Final = {"minimum_output_characters_per_second": 0, "probe_window_in_seconds": 5}
_PROMPT_CACHE: Final = {"auto_inject": False, "ttl": "1h", "cache_control_injection_points": []}


class AliasTarget(Strict):
    """What an alias stands for, in Bifrost's longer form."""

    model_id: Name
    """The name that the provider understands."""
    model_name: str | None = None
    model_family: str | None = None


class _StringOrTarget:
    """Checks an alias: a string as it is, an object as `AliasTarget`, with one message instead of a union's two."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(self._validate, handler.generate_schema(AliasTarget))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string", "minLength": 1}, handler(schema)]}

    def _validate(self, value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        if isinstance(value, str):
            if not value:
                raise refuse("an alias must stand for a model; this one is empty")
            return value
        if not isinstance(value, (dict, AliasTarget)):
            raise expected("the name of a model, or an object with model_id", value)
        return handler(value)


Alias: TypeAlias = Annotated[str | AliasTarget, _StringOrTarget()]


class KeyConfig(Strict):
    """One key of a provider. ``models`` always has the meaning of version 2: empty denies all, ``["*"]`` allows all."""

    # First, so that the value of a disabled key need not be resolvable.
    enabled: bool = True
    id: str = ""
    """Filled in with the name where the file gives none."""
    name: str = ""
    """Filled in with the provider and the key's number where the file gives none."""
    value: Secret = Secret("")
    models: list[Name] = []
    blacklisted_models: list[Name] = []
    """Wins over ``models``."""
    weight: Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)] = 1.0
    """This key's share of the calls, relative to the others that may serve the model."""
    aliases: dict[Name, Alias] = {}
    """Names that clients use → names that the provider understands."""
    use_for_batch_api: Annotated[None, Later()] = None
    azure_key_config: Annotated[None, Later(instead=_BASE_URL)] = None
    bedrock_key_config: Annotated[None, Later()] = None
    vertex_key_config: Annotated[None, Later()] = None
    replicate_key_config: Annotated[None, Later()] = None
    openai_key_config: Annotated[None, Later()] = None
    ollama_key_config: Annotated[None, Later(instead=_BASE_URL)] = None
    sgl_key_config: Annotated[None, Later(instead=_BASE_URL)] = None
    vllm_key_config: Annotated[None, Later(instead=_BASE_URL)] = None

    def allows(self, model: str) -> bool:
        """Whether this key may serve ``model``, under the name asked for or the one that it is an alias of."""
        names = (model, self.resolve(model))
        if any(name in self.blacklisted_models or "*" in self.blacklisted_models for name in names):
            return False
        return "*" in self.models or any(name in self.models for name in names)

    def resolve(self, model: str) -> str:
        """The name that the provider understands."""
        # As many steps as there are aliases: what is not from a file may hold a cycle.
        for _ in self.aliases:
            target = self.aliases.get(model)
            if target is None:
                break
            model = target if isinstance(target, str) else target.model_id
        return model


class NetworkConfig(Strict):
    base_url: Url = ""
    """Scheme, host and what precedes the provider's own paths: ``https://api.openai.com``, to which
    ``/v1/chat/completions`` is added. A ``/v1`` at its end is dropped where the provider's paths begin with it."""
    extra_headers: Annotated[dict[SendableHeaderName, HeaderValue], Field(repr=False)] = {}
    """Sent with every request to the provider."""
    default_request_timeout_in_seconds: Seconds = 300.0
    """A whole answer that is not streamed."""
    connect_timeout_in_seconds: Seconds = 5.0
    """Name, connection and TLS."""
    first_output_timeout_in_seconds: Seconds = 60.0
    """The first real output of a stream."""
    stream_idle_timeout_in_seconds: Seconds = 60.0
    """The longest silence within a stream."""
    max_retries: Annotated[int, Field(ge=0, le=MAX_RETRIES)] = 2
    """Attempts after the first."""
    retry_backoff_initial: Annotated[Backoff, Field(json_schema_extra={"default": "500ms"})] = 0.5
    """Seconds; in the file milliseconds, or a string with its unit."""
    retry_backoff_max: Annotated[Backoff, Field(json_schema_extra={"default": "5s"})] = 5.0
    """Seconds; in the file milliseconds, or a string with its unit. A Retry-After beyond it is handed to the client."""
    insecure_skip_verify: bool = False
    """Whether the provider's certificate is left unchecked."""
    ca_cert_pem: Certificate = ""
    """PEM of the authority that signed the provider's certificate."""
    allow_private_network: bool = False
    """Accepted for the sake of Bifrost's files. Only this file names addresses, and a private one in it is meant."""
    max_conns_per_host: Annotated[int, Field(ge=1, le=10_000)] = 5000
    enforce_http2: bool = False
    """Whether the provider is spoken to in HTTP/2."""
    stream_throughput_guard: Annotated[None, Later(_GUARD)] = None
    beta_header_overrides: Annotated[None, Later()] = None

    @field_serializer("extra_headers")
    def _masked(self, value: dict[str, str]) -> dict[str, str]:
        return dict.fromkeys(value, MASK)


class ConcurrencyConfig(Strict):
    concurrency: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Calls at work at this provider; the rest wait."""
    buffer_size: Annotated[int, Field(ge=0, le=1_000_000)] = 5000
    """Calls that may wait."""


class ProxyConfig(Strict):
    type: Literal["none", "http", "socks5", "environment"] = "none"
    url: ProxyUrl = ""
    username: Secret = Secret("")
    password: Secret = Secret("")
    ca_cert_pem: Certificate = ""


class CustomProviderConfig(Strict):
    """A provider of one's own that speaks the language of a known one."""

    base_provider_type: Name
    is_key_less: bool = False
    allowed_requests: Annotated[dict[RequestType, bool] | None, Field(json_schema_extra=_REQUEST_TYPES)] = None
    """Absent: all. Present: those that are true; a streamed one is a request type of its own."""
    request_path_overrides: Annotated[dict[RequestType, str], Field(json_schema_extra=_REQUEST_TYPES)] = {}
    """Request type → a path that replaces the usual one, or a whole URL."""

    @field_validator("request_path_overrides")
    @classmethod
    def _paths(cls, value: dict[str, str]) -> dict[str, str]:
        for path in value.values():
            if not path.startswith(("/", "http://", "https://")) or not path.isprintable() or " " in path:
                raise refuse("expected paths that begin with '/', or URLs with http:// or https://")
        return value


class OpenAIConfig(Strict):
    disable_store: bool = False
    """Whether ``store: false`` is set on Responses requests."""


class ProviderConfig(Strict):
    name: SkipJsonSchema[str] = ""
    """The member of ``providers`` that this is; filled in."""
    # Before network_config, whose base_url depends on it.
    custom_provider_config: CustomProviderConfig | None = None
    keys: list[KeyConfig] = []
    network_config: NetworkConfig = NetworkConfig()
    concurrency_and_buffer_size: ConcurrencyConfig = ConcurrencyConfig()
    proxy_config: ProxyConfig = ProxyConfig()
    send_back_raw_request: bool = False
    """Whether ``extra_fields.raw_request`` holds what was sent to the provider."""
    send_back_raw_response: bool = False
    openai_config: OpenAIConfig = OpenAIConfig()
    store_raw_request_response: Annotated[None, Later()] = None
    prompt_cache: Annotated[None, Later(_PROMPT_CACHE)] = None

    @field_validator("network_config")
    @classmethod
    def _trim(cls, value: NetworkConfig, info: ValidationInfo) -> NetworkConfig:
        custom = info.data.get("custom_provider_config")
        row = PROVIDERS.get(custom.base_provider_type if custom else info.data.get("name", ""))
        if row is None or not value.base_url:
            return value
        return value.model_copy(update={"base_url": row.trimmed(value.base_url)})

    @property
    def row(self) -> Provider:
        """The row of the catalogue that this provider follows."""
        custom = self.custom_provider_config
        return PROVIDERS[custom.base_provider_type if custom else self.name]

    @property
    def base_url(self) -> str:
        """The address to which paths are added: the configured one, else the catalogue's."""
        return self.network_config.base_url or self.row.base_url or ""

    @property
    def key_less(self) -> bool:
        custom = self.custom_provider_config
        return custom.is_key_less if custom else self.row.key_less

    def path(self, operation: str, *, stream: bool = False) -> str | None:
        """Where this provider takes the operation: a path below `base_url` or a whole URL; None if it does not."""
        custom = self.custom_provider_config
        kind = f"{operation}_stream" if stream else operation
        overrides = custom.request_path_overrides if custom else {}
        return overrides.get(kind) or self.row.paths.get(operation)

    def allows_request(self, operation: str, *, stream: bool = False) -> bool:
        """Whether ``custom_provider_config`` lets this request type through."""
        custom = self.custom_provider_config
        if custom is None or custom.allowed_requests is None:
            return True
        return custom.allowed_requests.get(f"{operation}_stream" if stream else operation, False)
