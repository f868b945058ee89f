"""stub"""
from __future__ import annotations
from dataclasses import dataclass
from typing import Literal, TypeAlias

RequestType: TypeAlias = Literal["list_models","text_completion","text_completion_stream","chat_completion","chat_completion_stream","responses","responses_stream","count_tokens","embedding"]

@dataclass(frozen=True, slots=True)
class Provider:
    name: str
    base_url: str | None
    key_less: bool = False
    environment: tuple[str, ...] = ()
    base_url_environment: tuple[str, ...] = ()

PROVIDERS = {"openai": Provider("openai", "https://api.openai.com", False, ("OPENAI_API_KEY",), ("OPENAI_BASE_URL",))}
