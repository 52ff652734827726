"""What the document says is looked for is what is looked for."""

import re

from shared.doctor.examination import CHECKS
from tests.architecture.tree import text


def test_the_document_lists_every_check_with_its_reason() -> None:
    rows = re.findall(r"^\| ([a-z0-9-]+) \| (.*) \|$", text("docs/doctor.md"), re.MULTILINE)
    listed = [(name, why) for name, why in rows if name not in ("check", "0", "1", "2")]
    assert listed == [(each.name, each.why) for each in CHECKS]
