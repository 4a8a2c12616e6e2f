"""The tasks of encamp: `fab --list` names them. Add tasks of your own below."""

from encamp.fabfile import *
