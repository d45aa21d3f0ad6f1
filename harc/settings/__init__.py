"""The one source of settings: pydantic models by concern, composed into a profile."""
