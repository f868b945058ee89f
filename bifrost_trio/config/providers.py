"""``providers``: who is asked, with which keys, over which network. The names are Bifrost's."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import (
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidatorFunctionWrapHandler,
    field_serializer,
    field_validator,
)
from pydantic.json_schema import JsonSchemaValue, SkipJsonSchema
from pydantic_core import CoreSchema, core_schema

from bifrost_trio.catalog import PROVIDERS, Provider, RequestType
from bifrost_trio.config.plain import expected, refuse
from bifrost_trio.config.secret import MASK, Secret
from bifrost_trio.config.values import (
    Backoff,
    HeaderValue,
    Later,
    Name,
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
    azure_key_config: Annotated[None, Later()] = None
    bedrock_key_config: Annotated[None, Later()] = None
    vertex_key_config: Annotated[None, Later()] = None

    def allows(self, model: str) -> bool:
        """Whether this key may serve ``model``, under the name asked for or the one that it is an alias of."""
        names = (model, self.resolve(model))
        if any(name in self.blacklisted_models or "*" in self.blacklisted_models for name in names):
            return False
        return "*" in self.models or any(name in self.models for name in names)

    def resolve(self, model: str) -> str:
        """The name that the provider understands."""
        seen = self.aliases.get(model)
        while seen is not None:
            model = seen if isinstance(seen, str) else seen.model_id
            # Cycles are refused when the configuration is read; a name aliased to itself is not one.
            following = self.aliases.get(model)
            seen = None if following is seen else following
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
    retry_backoff_initial: Backoff = 0.5
    """Milliseconds, or a string with its unit."""
    retry_backoff_max: Backoff = 5.0
    """Milliseconds, or a string with its unit. A Retry-After beyond it is handed to the client."""
    insecure_skip_verify: bool = False
    """Whether the provider's certificate is left unchecked."""
    ca_cert_pem: str = ""
    """PEM of the authority that signed the provider's certificate."""
    allow_private_network: bool = True
    """Whether the provider may live on a private or loopback address. Only the file names addresses, so it may."""
    max_conns_per_host: Annotated[int, Field(ge=1, le=10_000)] = 5000
    enforce_http2: bool = False
    """Whether the provider is spoken to in HTTP/2."""
    stream_throughput_guard: Annotated[None, Later(_GUARD)] = None
    beta_header_overrides: Annotated[None, Later()] = None

    @field_validator("ca_cert_pem")
    @classmethod
    def _pem(cls, value: str) -> str:
        if value and "-----BEGIN CERTIFICATE-----" not in value:
            raise refuse("expected the text of a certificate in PEM form (-----BEGIN CERTIFICATE-----)")
        return value

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
    url: str = ""
    username: str = ""
    password: Secret = Secret("")
    ca_cert_pem: str = ""


class CustomProviderConfig(Strict):
    """A provider of one's own that speaks the language of a known one."""

    base_provider_type: Name
    is_key_less: bool = False
    allowed_requests: dict[RequestType, bool] | None = None
    """Absent: all. Present: those that are true; a streamed one is a request type of its own."""
    request_path_overrides: dict[RequestType, str] = {}
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
    keys: list[KeyConfig] = []
    network_config: NetworkConfig = NetworkConfig()
    concurrency_and_buffer_size: ConcurrencyConfig = ConcurrencyConfig()
    proxy_config: ProxyConfig = ProxyConfig()
    custom_provider_config: CustomProviderConfig | None = None
    send_back_raw_request: bool = False
    """Whether ``extra_fields.raw_request`` holds what was sent to the provider."""
    send_back_raw_response: bool = False
    openai_config: OpenAIConfig = OpenAIConfig()
    store_raw_request_response: Annotated[None, Later()] = None
    prompt_cache: Annotated[None, Later(_PROMPT_CACHE)] = None

    @property
    def base(self) -> str:
        """The name of the catalogue's row that this provider follows."""
        custom = self.custom_provider_config
        return custom.base_provider_type if custom else self.name

    @property
    def key_less(self) -> bool:
        custom = self.custom_provider_config
        if custom:
            return custom.is_key_less
        row = PROVIDERS.get(self.name)
        return row is not None and row.key_less

    def allows_request(self, operation: str, *, stream: bool = False) -> bool:
        """Whether ``custom_provider_config`` lets this request type through."""
        custom = self.custom_provider_config
        if custom is None or custom.allowed_requests is None:
            return True
        allowed: dict[str, bool] = dict(custom.allowed_requests)
        return allowed.get(f"{operation}_stream" if stream else operation, False)
