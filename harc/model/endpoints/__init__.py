"""Chat models behind one interface: in this process, or behind any server with OpenAI's API."""
