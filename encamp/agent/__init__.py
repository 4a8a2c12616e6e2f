"""The agent: boots from standard input on the host, works through the resources, streams events."""
