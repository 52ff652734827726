"""`facteur memory`: what a person does with what is remembered."""

import typer

from shared.cli.memory_forget import forget
from shared.cli.memory_index import index
from shared.cli.memory_lift import lift
from shared.cli.memory_migrate import migrate
from shared.cli.memory_models import models

memory = typer.Typer(no_args_is_help=True, help="Look at the memory index, and change what makes its vectors.")
memory.command()(forget)
memory.command()(index)
memory.command()(lift)
memory.command()(models)
memory.command()(migrate)
