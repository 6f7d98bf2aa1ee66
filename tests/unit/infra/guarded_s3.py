"""An S3 server that asks IAM policies before every request: moto behind a guard.

moto checks neither resources nor conditions itself. Whoever signs with the access key NAME is the role NAME.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, unquote

from iam_policies import Request, allowed
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

_REFUSAL = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


@dataclass
class GuardedS3:
    """A WSGI application.

    Attributes:
        policies: The policies of each role, the bucket's among them.
        refused: Each request that was refused: its role, action and resource.
    """

    policies: Mapping[str, list[dict[str, Any]]]
    refused: list[tuple[str, str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request, or refuse it as S3 does."""
        credential = re.search(r"Credential=([^/]+)/", environ["HTTP_AUTHORIZATION"])
        assert credential is not None
        role = credential[1]
        for request in requests_of(environ):
            if not allowed(self.policies[role], request):
                self.refused.append((role, request.action, request.resource))
                start_response("403 Forbidden", [("Content-Type", "application/xml")])
                return [] if environ["REQUEST_METHOD"] == "HEAD" else [_REFUSAL]
        answer: Iterable[bytes] = self._moto(environ, start_response)
        return answer


def requests_of(environ: dict[str, Any]) -> Iterator[Request]:
    """What IAM is asked for an HTTP request with the bucket in its path.

    Sources: Amazon S3 API Reference (operations), Service Authorization Reference (actions, condition keys).
    """
    method, query = environ["REQUEST_METHOD"], parse_qs(environ["QUERY_STRING"], keep_blank_values=True)
    bucket, _, key = unquote(environ["PATH_INFO"]).lstrip("/").partition("/")
    arn = f"arn:aws:s3:::{bucket}"
    # As if the connection were one to AWS.
    context = {
        "aws:SecureTransport": "true",
        "s3:TlsVersion": "1.3",
        "aws:PrincipalArn": "arn:aws:iam::1:role/x",
    }
    if method in ("GET", "HEAD") and not key:
        prefix = {"s3:prefix": query["prefix"][0]} if "prefix" in query else {}
        yield Request("s3:ListBucket", arn, context | prefix)
    elif method == "POST" and "delete" in query:
        yield from (Request("s3:DeleteObject", f"{arn}/{name}", context) for name in _deleted(environ))
    else:
        action, creates = _OBJECT_ACTIONS[method, *sorted(query.keys() & {"uploads", "uploadId"})]
        if action == "s3:PutObject":
            context["s3:ObjectCreationOperation"] = creates
        if "HTTP_IF_NONE_MATCH" in environ:
            context["s3:if-none-match"] = environ["HTTP_IF_NONE_MATCH"]
        yield Request(action, f"{arn}/{key}", context)


_OBJECT_ACTIONS = {
    ("GET",): ("s3:GetObject", ""),
    ("HEAD",): ("s3:GetObject", ""),
    ("PUT",): ("s3:PutObject", "true"),
    ("DELETE",): ("s3:DeleteObject", ""),
    ("POST", "uploads"): ("s3:PutObject", "false"),
    ("PUT", "uploadId"): ("s3:PutObject", "false"),
    ("POST", "uploadId"): ("s3:PutObject", "true"),
    ("DELETE", "uploadId"): ("s3:AbortMultipartUpload", ""),
    ("GET", "uploadId"): ("s3:ListMultipartUploadParts", ""),
}
"""By method and the query that tells operations apart; for writes, whether an object comes of it."""


def _deleted(environ: dict[str, Any]) -> list[str]:
    """The keys of a DeleteObjects; its body can be read once more."""
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    environ["wsgi.input"] = BytesIO(body)
    return re.findall(r"<Key>([^<]*)</Key>", body.decode())
