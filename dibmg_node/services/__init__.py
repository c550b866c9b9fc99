"""What the node does: takes in, assembles, analyzes, delivers. Services meet in the ledger alone."""
