"""All tasks of encamp, for the ``fabfile.py`` of a site: ``from encamp.fabfile import *``.

Sites keep this module's name and, in their ``fabric.yaml``, that of its executor: both stay as they are.
"""

from __future__ import annotations

import gc
import sys

# Both before the imports. A run lives for seconds: collecting cyclic garbage among what it imports is time for nothing.
gc.set_threshold(200_000)
# Fabric keeps no bytecode without --write-pyc; compiling encamp each time would be a third of each run.
sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)

from fabric.main import program  # noqa: E402

from encamp.cli.executor import FleetExecutor as FleetExecutor  # noqa: E402
from encamp.cli.executor import skip_ssh_config  # noqa: E402
from encamp.cli.task_list import hide_grouped_tasks  # noqa: E402
from encamp.output import terminal  # noqa: E402
from encamp.tasks import *  # noqa: E402
from encamp.tasks import __all__ as __all__  # noqa: E402

terminal.reopen_closed()
# Of Fabric's own `fab`; encamp's does both itself.
skip_ssh_config(getattr(program, "config", None))
hide_grouped_tasks(program)
