"""A maintenance agent in Pydantic AI, behind the guard."""
