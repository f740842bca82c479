"""Objects in public buckets, gs:// and s3://, without an account.

They have addresses on the web, so that they come as all other files do: resumed, and compared with the hash that the
bucket states.
"""

import fnmatch
import urllib.parse
from collections.abc import Sequence
from dataclasses import replace

import requests

from data_scripts.catalogue import RemoteFile
from data_scripts.transfer.web import TIMEOUT, broken
from starter.errors import InputError, listed

GOOGLE, AMAZON = "https://storage.googleapis.com", "https://{bucket}.s3.amazonaws.com"
"""Where the buckets stand on the web."""
REQUESTER_PAYS = ("requester pays", "userprojectmissing", "user project")
"""How a bucket says that who reads it pays for it."""
WITH_AN_ACCOUNT = (
    "the bucket is requester-pays, so it is not read without an account; with one, copy the object by "
    "gcloud storage cp --billing-project PROJECT {url} . (aws s3 cp --request-payer requester for s3://)"
)


def address_of(url: str) -> str:
    """Give an object's address on the web; any other address is given back."""
    scheme, _, rest = url.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme == "gs":
        return f"{GOOGLE}/{bucket}/{urllib.parse.quote(key)}"
    if scheme == "s3":
        return f"{AMAZON.format(bucket=bucket)}/{urllib.parse.quote(key)}"
    return url


def said_plainly(fault: str, url: str) -> str:
    """Say of a bucket's refusal what it means, where it is that the reader pays."""
    return WITH_AN_ACCOUNT.format(url=url) if any(word in fault.lower() for word in REQUESTER_PAYS) else fault


def chosen(files: Sequence[RemoteFile], patterns: Sequence[str]) -> list[RemoteFile]:
    """Take the files whose names match a pattern; all of them if there is none.

    A bucket is listed only where a name with `*` stands for what is wanted.

    Parameters
    ----------
    files
        Of a data set.
    patterns
        Names, in which * and ? are understood.

    Raises
    ------
    InputError
        If a bucket cannot be listed, or a pattern matches no name.
    """
    plain = [file for file in files if "*" not in file.name]
    if not patterns or not all(_matching(plain, [pattern]) for pattern in patterns):
        plain = [one for file in files for one in (_objects(file) if "*" in file.name else [file])]
    for pattern in patterns:
        if not _matching(plain, [pattern]):
            msg = f"no file is named {pattern!r}; there are {listed([file.name for file in plain])}"
            raise InputError(msg)
    return _matching(plain, patterns) if patterns else plain


def _matching(files: Sequence[RemoteFile], patterns: Sequence[str]) -> list[RemoteFile]:
    return [file for file in files if any(fnmatch.fnmatch(file.name, pattern) for pattern in patterns)]


def _objects(file: RemoteFile) -> list[RemoteFile]:
    """List what a name with `*` stands for, with sizes and hashes as Google states them."""
    bucket, _, pattern = file.urls[0].removeprefix("gs://").partition("/")
    found, page = [], ""
    while True:
        asked = {
            "prefix": pattern.partition("*")[0],
            "pageToken": page,
            "fields": "items(name,size,crc32c),nextPageToken",
        }
        try:
            with requests.get(f"{GOOGLE}/storage/v1/b/{bucket}/o", params=asked, timeout=TIMEOUT) as answer:
                content = answer.json()
                if not answer.ok:
                    msg = str(content["error"]["message"])
                    raise ValueError(msg)
        except requests.RequestException as error:
            msg = f"{file.urls[0]} cannot be listed: {broken(error)}; try again later"
            raise InputError(msg) from error
        except (ValueError, KeyError, TypeError) as error:
            msg = f"{file.urls[0]} cannot be listed: {said_plainly(str(error), file.urls[0])}; try again later"
            raise InputError(msg) from error
        found += content.get("items", [])
        if not (page := content.get("nextPageToken", "")):
            break
    matching = [item for item in found if fnmatch.fnmatchcase(item["name"], pattern)]
    if not matching:
        msg = f"{file.urls[0]} matches no object; see whether the bucket has moved"
        raise InputError(msg)
    return [
        replace(
            file,
            name=item["name"].rpartition("/")[2],
            urls=(f"gs://{bucket}/{item['name']}",),
            local=f"{file.local.rpartition('/')[0]}/{item['name'].rpartition('/')[2]}" if file.local else None,
            bytes=int(item["size"]),
            crc32c=item.get("crc32c"),
        )
        for item in matching
    ]
