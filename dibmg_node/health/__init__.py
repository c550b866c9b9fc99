"""How the node is, and whether it can come up: facts, what is wrong about them, alarms."""
