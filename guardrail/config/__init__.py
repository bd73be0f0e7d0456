"""guardrail.toml as one frozen object, or exactly what is wrong with it.

Not concerned with what the settings do: each stage takes the part it needs.
An unknown key, a wrong type or an impossible value is a `ConfigError` that names the key; nothing is ignored.
"""

from __future__ import annotations

from guardrail.config._callers import NO_USER, ClientConfig, KubernetesConfig, TlsConfig
from guardrail.config._doors import ConsoleConfig, ExecuteConfig, HookConfig, ServiceConfig, ServingConfig
from guardrail.config._evidence import (
    CentralConfig,
    DecisionLogConfig,
    GroupConfig,
    OidcConfig,
    ReviewConfig,
    TrailConfig,
    WebhookConfig,
    WitnessConfig,
)
from guardrail.config._reading import FROM_FILE, load, parse, read_assets, secret
from guardrail.config._rules import (
    BundleKeyConfig,
    HistoryConfig,
    LimitConfig,
    MandateConfig,
    ObligationConfig,
    PolicyConfig,
)
from guardrail.config._section import WEAKENS, Maturity, Weakens, dotted, is_protected
from guardrail.config._settings import Config
from guardrail.config._subjects import AgentConfig, AssetConfig, InventoryConfig, PersonConfig, RecordConfig

__all__ = [
    "FROM_FILE",
    "NO_USER",
    "WEAKENS",
    "AgentConfig",
    "AssetConfig",
    "BundleKeyConfig",
    "CentralConfig",
    "ClientConfig",
    "Config",
    "ConsoleConfig",
    "DecisionLogConfig",
    "ExecuteConfig",
    "GroupConfig",
    "HistoryConfig",
    "HookConfig",
    "InventoryConfig",
    "KubernetesConfig",
    "LimitConfig",
    "MandateConfig",
    "Maturity",
    "ObligationConfig",
    "OidcConfig",
    "PersonConfig",
    "PolicyConfig",
    "RecordConfig",
    "ReviewConfig",
    "ServiceConfig",
    "ServingConfig",
    "TlsConfig",
    "TrailConfig",
    "Weakens",
    "WebhookConfig",
    "WitnessConfig",
    "dotted",
    "is_protected",
    "load",
    "parse",
    "read_assets",
    "secret",
]
