#!/usr/bin/env python3
# Managed by encamp: changes made here are undone by the next deploy.
"""Starts the backup program: ``start.py COMMAND CONFIG [OPTIONS]``. It is run with ``python3 -I``, as root."""

import os
import runpy
import sys

HERE = os.path.dirname(os.path.abspath(__file__))

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(HERE))
    runpy.run_module(f"{os.path.basename(HERE)}.main", run_name="__main__", alter_sys=True)
