"""``fab status``: one screen for a site. It shares the doctor's checks, and asks what an operator wants each day."""
