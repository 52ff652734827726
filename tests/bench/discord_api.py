"""A Discord that costs next to nothing and finds everything in order: `python -m tests.bench.discord_api PORT`."""

import sys

from aiohttp import web

from shared.local.discord_stand_in import StandIn

if __name__ == "__main__":
    application = web.Application()
    StandIn().serve(application.router)
    web.run_app(application, host="127.0.0.1", port=int(sys.argv[1]), print=None)
