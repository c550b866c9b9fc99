"""What each process of the node does with its life: a module a role, which imports what that role needs."""
