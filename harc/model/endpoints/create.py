"""From settings to an endpoint, with its cache in front."""

from harc.model.endpoints.base import ChatEndpoint
from harc.settings.endpoints import EndpointSettings


def create_endpoint(settings: EndpointSettings) -> ChatEndpoint:
    """Load the model, or make the client of its server.

    Args:
        settings: which model, and how to ask it.

    Raises:
        EnvironmentProblem: if the key's variable is not set.
        ModelError: for a local model that cannot be loaded.
    """
    endpoint: ChatEndpoint
    if settings.kind == "local":
        from harc.model.endpoints.local import LocalEndpoint

        endpoint = LocalEndpoint.load(settings)
    else:
        from harc.model.endpoints.server import ServerEndpoint

        endpoint = ServerEndpoint(settings)
    if settings.cache is None:
        return endpoint
    from harc.model.endpoints.cache import CachedEndpoint

    return CachedEndpoint(endpoint, settings)
