"""Presigned URLs are what AWS says they are, and what botocore says."""

from datetime import UTC, datetime
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.artifacts.signing import Signer
from tests.contract.artifacts.signatures import Refused, Signatures

AT = datetime(2013, 5, 24, tzinfo=UTC)
# From the documentation of Amazon S3: "Authenticating Requests: Using Query Parameters".
KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SIGNATURE = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
header_values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30).map(str.strip)
paths = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)


def test_the_example_of_aws_has_the_signature_of_aws() -> None:
    signer = Signer("https://examplebucket.s3.amazonaws.com", "us-east-1", KEY, SECRET)
    url = urlsplit(signer.url("GET", "/test.txt", AT.timestamp(), 86_400))
    assert (url.netloc, url.path) == ("examplebucket.s3.amazonaws.com", "/test.txt")
    assert dict(parse_qsl(url.query)) == {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{KEY}/20130524/us-east-1/s3/aws4_request",
        "X-Amz-Date": "20130524T000000Z",
        "X-Amz-Expires": "86400",
        "X-Amz-SignedHeaders": "host",
        "X-Amz-Signature": SIGNATURE,
    }


@given(
    method=st.sampled_from(["GET", "PUT", "DELETE"]),
    path=paths,
    headers=st.dictionaries(st.sampled_from(["Content-Type", "x-amz-checksum-sha256", "X-More"]), header_values),
    query=st.dictionaries(st.sampled_from(["response-content-type", "a b", "é", "~"]), texts),
    region=st.sampled_from(["us-east-1", "eu-central-1"]),
)
def test_botocore_comes_to_the_same_signature(
    method: str, path: str, headers: dict[str, str], query: dict[str, str], region: str
) -> None:
    signer, peer = Signer("http://store.test:9000", region, KEY, SECRET), Signatures(KEY, SECRET, region)
    url = signer.url(method, f"/bucket/{path}", AT.timestamp(), 60, headers, query)
    assert unquote(url.partition("?")[0]) == f"http://store.test:9000/bucket/{path}"
    sent = {"host": "store.test:9000", **{name.lower(): value for name, value in headers.items()}}
    peer.check_link(method, url, sent, AT)
    for other in ({**sent, "host": "elsewhere.test"}, {**sent, "x-amz-acl": "public-read"}):
        with pytest.raises(Refused):
            peer.check_link(method, url, other, AT)
    with pytest.raises(Refused):
        peer.check_link("POST", url, sent, AT)


def test_the_secret_is_in_no_url_and_no_repr() -> None:
    signer = Signer("https://store.test", "us-east-1", KEY, SECRET)
    assert SECRET not in repr(signer)
    assert SECRET not in unquote(signer.url("GET", "/b/k", AT.timestamp(), 60))
