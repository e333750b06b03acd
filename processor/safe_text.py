"""Text that may be shown and logged, as it holds no password."""

import re

MESSAGE_CHARACTERS = 300
# A password may contain an unescaped / or @, so only the last @ is sure to follow all of it.
USER_AND_PASSWORD = re.compile(r"//(?=[^/\s]*[:@])\S*@")
PASSWORD_PARAMETER = re.compile(r"""(password\s*=\s*)('(?:[^'\\]|\\.)*'?|[^\s&'"]+)""", re.IGNORECASE)


def describe_error(error: BaseException) -> str:
    """Return an error's message in one short line without passwords."""
    return make_safe_line(str(error)) or type(error).__name__


def make_safe_line(text: str) -> str:
    r"""Return a text in one short line without passwords.

    >>> make_safe_line("no answer from\n  http://u:p@h/")
    'no answer from http://h/'
    """
    return remove_passwords(" ".join(text.split()))[:MESSAGE_CHARACTERS]


def remove_passwords(text: str) -> str:
    """Return a text without the user and the password of each URL in it, and without passwords in parameters.

    >>> remove_passwords("postgresql://u:p@h/d?sslpassword=p password='p'")
    'postgresql://h/d?sslpassword=*** password=***'
    """
    return PASSWORD_PARAMETER.sub(r"\1***", USER_AND_PASSWORD.sub("//", text))
