"""The sockets' HTTP applications: the harness's, the operator's, and the MCP server of each agent."""
