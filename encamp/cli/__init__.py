"""The command line: options, tasks, and the executor that Fabric runs them with."""
