"""A maintenance agent in the OpenAI Agents SDK, behind the guard."""
