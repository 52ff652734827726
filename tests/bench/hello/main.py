"""Hello world as the Functions Framework's own documentation would have it."""

import functions_framework
from flask import Request


@functions_framework.http
def handle(_request: Request) -> str:
    return "Hello"
