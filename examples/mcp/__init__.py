"""The MCP relay between a client and a server, without an SDK on either side."""
