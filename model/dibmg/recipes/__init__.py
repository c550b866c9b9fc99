"""How the released weights are made."""
