"""`python -m dibmg.recipes synthetic|default`: what `make weights` runs. Goes on where it was stopped."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from dibmg.recipes.stages import Workshop
from dibmg.weights import RELEASED


def main() -> None:
    """Make released sets of weights."""
    parser = argparse.ArgumentParser(prog="python -m dibmg.recipes", description="Make released weights.")
    parser.add_argument("sets", nargs="+", choices=["synthetic", "default", "patches"])
    parser.add_argument("--work", type=Path, required=True, help="folder for exams and training states")
    parser.add_argument("--out", type=Path, default=RELEASED, help="folder that gets the sets")
    parser.add_argument("--cesm", type=Path, help="CDD-CESM images, for the set `default`")
    parser.add_argument("--mias", type=Path, help="mini-MIAS, for the external evaluation of `default`")
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    asked.work.mkdir(parents=True, exist_ok=True)
    shop = Workshop(asked.work, asked.processes)
    if "patches" in asked.sets:
        from dibmg.recipes.synthetic import patch_network

        patch_network(shop)
    if "synthetic" in asked.sets:
        from dibmg.recipes.cards import release_synthetic

        release_synthetic(shop, asked.out)
    if "default" in asked.sets:
        if asked.cesm is None:
            parser.error("default: --cesm FOLDER is needed; the images do not come with the project")
        from dibmg.recipes.cards import release_default

        release_default(shop, asked.out, asked.cesm, asked.mias)


if __name__ == "__main__":
    main()
