"""What `make deploy` applies is the overlay, with the images that it builds."""

import re
from pathlib import Path

import pytest
import yaml

from tests.cluster.deployed import OVERLAYS, ROOT, dry_run, named, rendered

TAG = "1.2.3-4-gabc"


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda overlay: overlay.name)
def test_a_deploy_applies_the_overlay_with_its_own_images_and_a_job_of_its_own(overlay: Path) -> None:
    text = dry_run(overlay, "r.test/x", TAG)
    before = {named(one) for one in rendered(overlay)}
    after = {named(one): one for one in yaml.safe_load_all(text) if one}
    jobs = {name for name in before if "/Job/" in name}
    assert before - jobs == after.keys() - {name for name in after if "/Job/" in name}
    assert "facteur/Job/facteur-migrate-1-2-3-4-gabc" in after
    assert all(name.endswith("-1-2-3-4-gabc") for name in after if "/Job/" in name)
    images = set(re.findall(r"([\w./-]+/facteur-[a-z-]+):([^\s\"]+)", text.replace("http://", "")))
    tags = {tag for _, tag in images}
    assert {image.rpartition("/")[0] for image, _ in images} == {"r.test/x"}
    assert tags == {TAG, "*"}, "the policy lets any tag of the runner through"
    assert len(images) == 9
    assert not list((ROOT / "knative").glob(".deploy-*"))
