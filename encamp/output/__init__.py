"""What a run reports: console, live view, JSON lines, JUnit, recap, history."""
