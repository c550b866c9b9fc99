"""`python -m dibmg_node` is `dibmg`."""

from dibmg_node.cli.main import main

main()
