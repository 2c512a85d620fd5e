"""What the wire carries: requests and answers as pydantic models.

They are the OpenAPI document that code generators and models read, so every field has its unit and bounds. Requests
are strict and know no extra fields; answers are documentation, rendered by `raeth.api.views`. Must not know the
engine's state.
"""
