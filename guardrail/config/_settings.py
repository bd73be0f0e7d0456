"""guardrail.toml as a whole: every table, with its type, its unit and its default.

The tables are in rooms by what they are about: `_subjects`, `_rules`, `_evidence`, `_doors`.
Not concerned with how a file is read (`_reading`), nor with values that are of the right type and cannot be meant
(`_problems`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Literal

from guardrail.config._doors import ConsoleConfig, ExecuteConfig, HookConfig, ServiceConfig
from guardrail.config._evidence import CentralConfig, DecisionLogConfig, ReviewConfig, TrailConfig
from guardrail.config._rules import HistoryConfig, LimitConfig, MandateConfig, ObligationConfig, PolicyConfig
from guardrail.config._section import Section
from guardrail.config._subjects import AgentConfig, AssetConfig, InventoryConfig, PersonConfig
from guardrail.toolspec import ToolSpec

SET_BY_LOAD: Final = ("base", "source", "asset_files")
"""Fields of a `Config` that no file may set."""


class Config(
    Section,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename={"assets": "asset", "inventory": "assets", "people": "person", "agents": "agent", "tools": "tool"},
):
    """Everything in guardrail.toml.

    Args:
        assets: the `[[asset]]` tables, those of all files together.
        inventory: where further assets are declared.
        people: the `[[person]]` tables.
        agents: the `[[agent]]` tables.
        console: `[console]`: pages for people; without it there are none.
        zones: `[zones]`: name -> the directories and addresses that belong to it, with all that lies below.
        tools: the `[[tool]]` tables: tools of your own, and which argument is what.
        mode: `enforce`, or `observe` to decide and record only: every call runs, and records say so; what protects the
            guard itself, and faults, deny all the same.
        unsafe_fail_open: let calls run when judging fails; warns at start and is written into every record.
        base: directory that relative paths are relative to; set by `load`.
        source: the file this was read from; set by `load`.
        asset_files: the files that further assets were read from, and directories that are read as a whole; set by
            `load`.
    """

    assets: tuple[AssetConfig, ...] = ()
    people: tuple[PersonConfig, ...] = ()
    agents: tuple[AgentConfig, ...] = ()
    zones: dict[str, tuple[str, ...]] = {}
    tools: tuple[ToolSpec, ...] = ()
    policy: PolicyConfig = PolicyConfig()
    mandates: MandateConfig = MandateConfig()
    obligations: ObligationConfig = ObligationConfig()
    history: HistoryConfig = HistoryConfig()
    trail: TrailConfig = TrailConfig()
    central: CentralConfig = CentralConfig()
    review: ReviewConfig = ReviewConfig()
    decision_log: DecisionLogConfig = DecisionLogConfig()
    limits: LimitConfig = LimitConfig()
    service: ServiceConfig = ServiceConfig()
    execute: ExecuteConfig = ExecuteConfig()
    hooks: HookConfig = HookConfig()
    console: ConsoleConfig | None = None
    mode: Literal["enforce", "observe"] = "enforce"
    unsafe_fail_open: bool = False
    base: str = ""
    source: str = ""
    asset_files: tuple[str, ...] = ()
    inventory: InventoryConfig = InventoryConfig()

    def path(self, text: str) -> Path:
        """A path of this configuration: `~` expanded, relative ones taken from the file's own directory.

        Args:
            text: the path as it was written.
        """
        return Path(self.base or os.getcwd(), os.path.expanduser(text))
