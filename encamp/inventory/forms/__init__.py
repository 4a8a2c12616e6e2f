"""The forms in which inventories are written: one reader each, and one tree out of all of them."""
