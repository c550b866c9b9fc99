"""What outlives a process: the archive of bytes and the ledger of facts."""
