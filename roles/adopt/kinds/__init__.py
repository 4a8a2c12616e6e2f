"""What finds and takes over a hand-made server on its host. Ships: Python 3.9 syntax, standard library only."""
