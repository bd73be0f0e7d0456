"""A maintenance agent of LangChain, `create_agent`, behind the guard."""
