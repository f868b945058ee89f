"""Anthropic's Messages, and the counting of their tokens (platform.claude.com, "Messages", "Count Message tokens")."""

from bifrost_trio.formats.anthropic.messages import anthropic, anthropic_count_tokens

__all__ = ["anthropic", "anthropic_count_tokens"]
