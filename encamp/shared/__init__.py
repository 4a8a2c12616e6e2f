"""What controller and agent share: the wire format and the Secret type. Standard library only."""
