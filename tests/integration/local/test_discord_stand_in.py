"""The twin's stand-in for Discord: the door writes to it, and a page shows what was written."""

import urllib3

from shared.discord.client import DiscordApi
from shared.domain.discord import Message
from shared.local.discord import API, APPLICATION, CHANNEL, PAGE
from shared.local.discord_stand_in import BODY_BYTES, MOST_MESSAGES
from shared.local.gateway import Gateway
from tests.integration.local.test_gateway import Loop

HTTP = urllib3.PoolManager(retries=False, timeout=60)


def test_what_is_written_to_discord_is_shown_as_it_is_now() -> None:
    loop = Loop()
    try:
        url = f"http://127.0.0.1:{loop.serve(Gateway({}).application())}"
        assert b"Nothing" in HTTP.request("GET", url + PAGE).data
        client = DiscordApi(url + API, APPLICATION, "a-bots-token")
        button = {"type": 2, "style": 4, "label": "Cancel", "custom_id": "f1:cancel"}
        at = client.edit_original("token", Message("running", ({"type": 1, "components": [button]},)))
        assert client.edit_original("token", Message("done")) == at
        client.edit_message(at, Message("done, and edited by the bot"))
        assert client.send(client.start_thread(at, "x"), Message("the result")).channel_id == at.message_id
        client.send(CHANNEL, Message("for all", ({"type": 1, "components": [button]},)))
        page = HTTP.request("GET", url + PAGE).data.decode()
        assert page.count("──") == 3 and at.channel_id == CHANNEL
        assert "done, and edited by the bot" in page and "running" not in page
        assert "[Cancel] f1:cancel" in page
    finally:
        loop.close()


def test_the_stand_in_keeps_little_and_takes_no_nonsense() -> None:
    loop = Loop()
    try:
        url = f"http://127.0.0.1:{loop.serve(Gateway({}).application())}"
        place = f"{url}{API}/channels/1/messages"
        for number in range(MOST_MESSAGES + 5):
            HTTP.request("POST", place, body=b'{"content": "m%d"}' % number)
        page = HTTP.request("GET", url + PAGE).data.decode()
        assert page.count("──") == MOST_MESSAGES and "m4\n" not in page
        assert HTTP.request("POST", place, body=b"[]").status == 400
        assert HTTP.request("POST", place, body=b"x" * (BODY_BYTES + 1)).status == 413
    finally:
        loop.close()
