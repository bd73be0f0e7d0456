"""A LangChain callback handler that hears next to nothing: every event it does not ignore costs each run something."""

from __future__ import annotations

from langchain_core.callbacks import BaseCallbackHandler


class Quiet(BaseCallbackHandler):
    """Hears of chains and of tools; a subclass that needs only one of them ignores the other."""

    @property
    def ignore_llm(self) -> bool:
        """Models are not looked at."""
        return True

    @property
    def ignore_chat_model(self) -> bool:
        """Chat models are not looked at."""
        return True

    @property
    def ignore_retriever(self) -> bool:
        """Retrievers are not looked at."""
        return True

    @property
    def ignore_custom_event(self) -> bool:
        """Events of others are not looked at."""
        return True
