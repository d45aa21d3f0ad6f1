"""From settings to an endpoint, with its cache in front."""

from harc.config.endpoints import EndpointSettings
from harc.endpoints.base import ChatEndpoint


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
        from harc.endpoints.local import LocalEndpoint

        endpoint = LocalEndpoint.load(settings)
    else:
        from harc.endpoints.server import ServerEndpoint

        endpoint = ServerEndpoint(settings)
    if settings.cache is None:
        return endpoint
    from harc.endpoints.cache import CachedEndpoint

    return CachedEndpoint(endpoint, settings)
