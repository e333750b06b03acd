"""Opens the lake that LAKE_URL names."""

import re

from processor.lake.base import DEFAULT_LAKE_SETTINGS, Lake, LakeSettingError, LakeSettings
from processor.lake.folder import FolderLake
from processor.lake.keys import UNSTORABLE_CHARACTERS
from processor.lake.s3 import S3Lake


def open_lake(url: str, settings: LakeSettings = DEFAULT_LAKE_SETTINGS) -> Lake:
    """Return the lake at `s3://bucket/prefix/` or in a folder; raises LakeSettingError.

    No message repeats the URL: it may contain a password that was set in the wrong place.
    """
    if not url:
        raise LakeSettingError(
            "no lake is named: set LAKE_URL to s3://bucket/prefix/ or to a folder, such as the sample_lake of make run"
        )
    if UNSTORABLE_CHARACTERS.search(url):
        raise LakeSettingError("LAKE_URL is not valid UTF-8; write the lake's name in UTF-8")
    if url.startswith("s3://"):
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]+", bucket) or "?" in prefix or "#" in prefix:
            raise LakeSettingError("LAKE_URL must have the form s3://bucket/prefix/")
        return S3Lake(bucket, prefix, settings)
    if "://" in url:
        raise LakeSettingError("LAKE_URL is neither s3://bucket/prefix/ nor a folder; set it to one of them")
    try:
        folder = FolderLake(url, settings)
    except OSError:
        raise LakeSettingError("LAKE_URL is not a path to a folder; set it to one that is") from None
    if UNSTORABLE_CHARACTERS.search(folder.url):
        raise LakeSettingError("LAKE_URL leads to a folder whose path is not valid UTF-8; rename the folder")
    return folder
