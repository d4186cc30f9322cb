"""Recognize secrets: one table of words and shapes, used by the check and for masking.

Evidence never repeats a secret. Everything that is found is masked; the check reports only real
values. Matching takes linear time.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

# --- names ---------------------------------------------------------------------------------------

_WORDS = {
    *("PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "APIKEY", "CREDENTIAL"),
    *("CREDENTIALS", "AUTHORIZATION", "ACCESSKEY", "SECRETKEY", "PRIVATEKEY", "AUTHKEY"),
    *("STOREPASS", "KEYPASS"),
}
_ENDS = ("PASSWORD", "PASSWD", "PASSPHRASE", "TOKEN", "SECRET", "APIKEY")
_SHORT = {"PASS", "PWD", "PSW"}  # as the last of several words: PWD alone is a folder
_KEYS = {
    *("ACCOUNT", "API", "ACCESS", "PRIVATE", "SECRET", "ENCRYPTION", "SIGNING", "MASTER"),
    *("DEPLOY", "AUTH", "SSH", "PRV", "RSA"),
}
_HARMLESS_ENDS = {
    *("FILE", "PATH", "DIR", "URL", "URI", "NAME", "HEADER", "LENGTH", "TTL", "EXPIRY", "FIELD"),
    *("EXPIRATION", "EXPIRE", "EXPIRES", "ENABLED", "ENABLE", "DISABLED", "DUMMY", "ID", "IDS"),
    *("LIFETIME", "TYPE", "PREFIX", "SUFFIX", "ISSUER", "AUDIENCE", "ENDPOINT", "COUNT", "LIMIT"),
    *("MIN", "MAX", "ALGORITHM", "ALG", "TIMEOUT", "MINUTES", "SECONDS", "HOURS", "DAYS", "AGE"),
    *("DURATION", "INTERVAL", "RETRIES", "SIZE", "BYTES", "BITS", "LEN", "HOST", "HOSTNAME"),
    *("PORT", "DOMAIN", "REGION", "VERSION", "PROVIDER", "BACKEND", "DRIVER", "MODE", "POLICY"),
    *("STRATEGY", "REQUIRED", "ROUNDS", "COST", "USER", "USERNAME", "EMAIL", "FORMAT", "STDIN"),
    *("SERVICE", "SERVER", "ADDRESS", "ADDR", "SCOPE", "SCOPES", "STORE", "MANAGER", "REGEX"),
    *("PATTERN", "LEEWAY", "COLUMN", "CLASS", "NAMESPACE", "DIGEST", "CHECKSUM", "SHA256"),
    *("STRING", "NOPASSWD"),
}
# What may be a secret, or its name, or a switch: it is one where a program made the value.
_PERHAPS = re.compile(
    r"(?i)(?:^|[-_.])(?:COOKIE|JWT|PAT|(?:APP|LICEN[CS]E)[-_.]?KEY|sonar\.login)$"
)
_BUNDLERS = re.compile(r"BUNDLE_(?!BUILD__|LOCAL__|MIRROR__|GEM__|PLUGINS__)\w+__\w+")  # a host's
_PUBLIC = re.compile(
    r"^(?:NEXT_PUBLIC|NUXT_PUBLIC|EXPO_PUBLIC|PUBLIC|VITE|REACT_APP|GATSBY)_|PUBLIC"
)


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Return whether a variable with this name holds a secret, judging by the name.

    >>> is_secret_name("DB_PASSWORD"), is_secret_name("apiKey"), is_secret_name("PUBLIC_KEY")
    (True, True, False)
    >>> is_secret_name("TOKENIZERS_PARALLELISM"), is_secret_name("POSTGRES_PASSWORD_FILE")
    (False, False)
    >>> is_secret_name("PGPASSWORD"), is_secret_name("MYSQL_PWD"), is_secret_name("PWD")
    (True, True, False)
    >>> is_secret_name("X-Api-Key"), is_secret_name("TOKEN_EXPIRE_MINUTES")
    (True, False)
    """
    words = re.split(r"[-_.]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper())
    if _PUBLIC.search(name.upper()) or words[-1] in _HARMLESS_ENDS:
        return False
    keys = any(before in _KEYS and word == "KEY" for before, word in pairwise(words))
    ends = words[-1].endswith(_ENDS) or (len(words) > 1 and words[-1] in _SHORT)
    of_a_host = name.lower() == "_auth" or bool(_BUNDLERS.fullmatch(name))
    return keys or ends or bool(_WORDS & set(words)) or of_a_host


# --- values --------------------------------------------------------------------------------------

_PLACEHOLDERS = re.compile(
    r"(?is)|\$.*|<.*>|\{\{.*|%\w+%|x+|\*+|\.+|…|none|null|nil|true|false|yes|no|on|off|\d{1,2}|"
    r".*(?:dummy|placeholder|change[-_]?me|replace[-_]?me|build[-_]?only|not[-_]?(?:a|used|needed)|"
    # What `django-admin startproject` makes is a real key, whatever it calls itself.
    r"example|your[-_]|fake|notset|unset|(?<!django-)insecure|insecure(?!-\S{20})).*|"
    r"sha(?:1|256|384|512)[-:].*|"  # a digest of an image, or of what a lock file names
    r"/(?:run|etc|var|opt|usr|home|root|tmp|app|mnt|srv|secrets|config|data)(?:/[\w.-]+)*/?|"
    r"(?:https?|file|unix)://[^@]*|localhost(?::\d+)?|"
    r"[a-z\d-]+(?:\.[a-z\d-]+)*\.(?:com|org|net|io|dev|local|internal|svc|test|invalid)(?::\d+)?|"
    r"\d+(?:\.\d+)?(?:ms|s|m|h|d|min|mins|minutes?|seconds?|hours?|days?)"
)
_DEFAULT = re.compile(r"\$\{\w+:?-(.*)\}", re.DOTALL)
_USUAL = re.compile(r"(?i)pass|password|postgres|root|user|username|secret|mysql|admin|test|db|app")
_NUMBER = re.compile(r"\d{1,6}")


def is_value(text: str | None) -> bool:
    """Return whether a value may be real: not empty, not a variable, not a placeholder.

    >>> is_value("$WORD"), is_value("${WORD:-}"), is_value("${WORD:-hunter2}")
    (False, False, True)
    >>> is_value("/run/secrets/db"), is_value("sha256:0a1b"), is_value("15m")
    (False, False, False)
    """
    plain = (text or "")[:2000].strip("'\"")
    default = _DEFAULT.fullmatch(plain)
    plain = default[1].strip("'\"") if default else plain
    return bool(plain) and not _PLACEHOLDERS.fullmatch(plain)


def is_secret(name: str, value: str | None) -> bool:
    """Return whether a variable with that name and value is a secret; numbers may be passwords."""
    number = _NUMBER.fullmatch((value or "").strip("'\""))
    return is_value(value) and not (number and "PASS" not in name.upper())


def _is_random(text: str) -> bool:
    """Whether a word is of the kind that only programs make: letters with digits, or very long."""
    has = [any(map(kind, text)) for kind in (str.isdigit, str.islower, str.isupper)]
    return (len(text) >= 8 and has[0] and (has[1] or has[2])) or (len(text) >= 20 and all(has[1:]))


def _has_random(text: str) -> bool:
    """Whether a long such word stands in a text: in `base64:…`, in `a=b; session=…`."""
    return any(len(word) >= 16 and _is_random(word) for word in re.split(r"[\s;=:,]+", text))


def may_be_secret(name: str, value: str | None) -> bool:
    """Return whether a variable holds a secret, by its name, or its name and the kind of value.

    >>> may_be_secret("DB_PASSWORD", None), may_be_secret("GITHUB_PAT", "q7Zk21Lp9dYw3Xb0")
    (True, True)
    >>> may_be_secret("SESSION_COOKIE", "app_session"), may_be_secret("JWT", "true")
    (False, False)
    """
    return is_secret_name(name) or bool(_PERHAPS.search(name) and _has_random(value or ""))


# --- shapes --------------------------------------------------------------------------------------

# Base64 has to follow, perhaps after header lines: a variable or words there make a template. Every
# repetition is bounded or possessive.
_KEY_GAP = r"(?:\\[nrt]|[\s\"'\\+,])"  # also as it stands in a string of a program or in JSON
_PRIVATE_KEY = re.compile(
    rf"-----BEGIN [A-Z0-9 ]{{0,40}}PRIVATE KEY(?: BLOCK)?-----{_KEY_GAP}*+"
    rf"(?:[A-Za-z][\w-]{{0,60}}: [^\n\\]{{0,200}}+{_KEY_GAP}++){{0,8}}+[A-Za-z0-9+/=]{{20}}|"
    r"\APuTTY-User-Key-File"
)


def has_private_key(text: str) -> bool:
    """Return whether a text contains a private key, and not only the frame of one.

    >>> has_private_key("-----BEGIN PRIVATE KEY-----\\n${KEY}\\n-----END PRIVATE KEY-----")
    False
    """
    return bool(_PRIVATE_KEY.search(text))


# What is a secret wherever it stands.
_A_KEY = "a private key"
_SHAPES = {
    _A_KEY: (
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?"
        r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)"
    ),
    "a private key in base64": r"\bLS0tLS1CRUdJTi(?!BDRV|BQVU)[A-Za-z0-9+/]{20,}={0,2}",
    "an age key": r"\bAGE-SECRET-KEY-1[A-Z0-9]{30,}",
    "an AWS access key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{22,})",
    "a GitLab token": r"\bgl(?:pat|dt|rt|soat|cbt|ptt|ft|imt|agent|oas)-[\w-]{20,}",
    "an npm token": r"\bnpm_[A-Za-z0-9]{36,}",
    "a PyPI token": r"\bpypi-(?=[\w-]*[A-Z])(?=[\w-]*\d)[\w-]{16,}",
    "a Docker token": r"\bdckr_(?:pat|oat)_[\w-]{16,}|\bSWMTKN-1-[\w-]{20,}",
    "a Slack token": r"\bxox[abceprs]-[\w-]{10,}|\bhooks\.slack\.com/services/[\w/]{20,}",
    "a Google key": r"\bAIza[\w-]{35}|\bya29\.[\w-]{20,}|\bGOCSPX-[\w-]{20,}",
    "an Anthropic key": r"\bsk-ant-[\w-]{16,}",
    "an OpenAI key": r"\bsk-(?:proj|svcacct|admin|None)-[\w-]{16,}|\bsk-[A-Za-z0-9]{32,}",
    "a Stripe key": r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}|\bwhsec_[A-Za-z0-9+/]{24,}",
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{20,}",
    "a SendGrid key": r"\bSG\.[\w-]{16,}\.[\w-]{16,}",
    "a JSON web token": r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?",
    "a Vault token": r"\bhv[sbr]\.[\w-]{20,}",
    "a token of a service": (
        r"\b(?:dop_v1_|doo_v1_|dor_v1_|shp(?:at|ca|pa|ss)_|dapi|rubygems_|lin_api_|pscale_\w{2,5}_|"
        r"glsa_|glc_|sntr[yu]s_|ATATT3|ATCTT3|nfp_|ntn_|figd_|NRAK-|HRKU-|pul-|r8_|sq0(?:atp|csp)-|"
        r"EAAA|FlyV1 fm\d_|key-|SK|oy2|AKCp|phc_|xkeysib-|tfp_)(?=[\w-]*\d)(?=[\w-]*[A-Za-z])"
        r"[\w-]{28,}|\b\d{8,10}:AA[\w-]{33}\b|\b\w{14}\.atlasv1\.[\w-]{40,}"
    ),
}
_ANY_SHAPE = [(what, re.compile(pattern, re.DOTALL)) for what, pattern in _SHAPES.items()]

# A word as a shell takes it, and quotes that are escaped for a JSON form or an outer shell. A comma
# after a quote parts the strings of a JSON form.
_WORD = (
    r"""(?:\\(?P<q%d>["'])(?:(?!\\(?P=q%d)).){0,2000}\\(?P=q%d)|\\.|"(?:\\.|[^"\\])*(?:"|$)|"""
    r"""'[^']*(?:'|$)|[^\s'"\\,;&|)]|(?<!['"]),)+"""
)
_VALUE = re.compile(_WORD % (0, 0, 0), re.DOTALL)
_INSIDE = {
    '"': re.compile(r'(?:\\.|[^"\\])*', re.DOTALL),
    "'": re.compile(r"[^']*"),
    '\\"': re.compile(r'(?:(?!\\")[^"])*'),
}
_BEGIN = r"(?:(?<![\w$-])(?<!\$\{)|(?<=\\[ntr]))"  # of a name, which may stand behind a \n
_NAME = re.compile(
    rf"""{_BEGIN}(?P<dash>-{{0,2}})(?P<name>[A-Za-z_][\w.-]{{0,99}})"""
    r"""(?P<is>=|\s{1,3}=\s{1,3}|\\?['"]=|\\?['"]\s*:\s*|:\s+|:(?=\S))"""
)
_FIRST = re.compile(r"""[^\s'"\\,]*""")
_HEADER = re.compile("(?i)-|authorization|^cookie$")
_SCHEME = re.compile(r"(?i)\s*(?:basic|bearer|token|digest|apikey|negotiate)\s+")

_BETWEEN = r"""(?:\s*=\s*|\s+|\\?['"]\s*,?\s*(?=\\?['"]))"""  # an option and its value, in JSON too
_LONG = r"(?<![\w-])--?(?!no-|disable|without)(?:[a-z]\w*-){0,3}"
_THEN = r"""['",\s](?:[^;&|]{0,300}?['",\s])??"""  # later in the same command
_GAP = r"(?:\s+|\\?['\"]\s*,\s*\\?['\"])"  # between two words
_SEP = r"(?:\s|\\n|\\t|\\r|['\"]\s*,?\s*['\"])+"

_PLAIN = r"[^\s\\'\"]{1,200}"
# Or what people write about, or a name: only words that a program made are secrets there.
_PROSE = {"a bearer token", "basic credentials", "a login's password", "a login's token"}
_NAMES = {"a cookie", "perhaps a token as an option"}

# What makes the word after it a secret: (what, pattern that ends where the value begins).
_BEFORE = [
    (
        "a password as an option",
        rf"(?i){_LONG}(?:password|(?:store)?passwd|passphrase|(?:db|require|store|key)pass|"
        rf"pass(?=[= ])){_BETWEEN}",
    ),
    (
        "a token as an option",
        rf"(?i){_LONG}(?:token|(?:api|access|auth|secret|activation)[-_]?key|"
        rf"(?<=-)secret){_BETWEEN}(?!(?:id|type|src|source|env)=)",
    ),
    ("a bearer token", r"(?i)\bbearer\s+"),
    ("basic credentials", r"(?i)\bbasic\s+(?=[\w+/-]{12,}=*)"),
    ("a login's token", rf"{_BEGIN}machine{_SEP}{_PLAIN}{_SEP}login{_SEP}"),
    (
        "a password in a configuration",  # of a host; other settings have dots, too
        r"\bbundle\s+config\s+(?:set\s+)?(?:-\S+\s+){0,3}(?!(?:build|local|mirror|gem)\.)"
        r"[^\s;&|-][^\s;&|]{0,200}?\.[^\s;&|]{1,200}\s+",
    ),
    ("a password as an option", rf"(?<!-)\blogin{_THEN}-p(?:{_BETWEEN}|(?=[^\s'\",-]))"),
    (
        "a password as an option",
        rf"(?i:\b(?:mysql|mariadb)\w*){_THEN}-p(?=[^\s'\",]|['\"][^\s,'\"\]])",
    ),
    (
        "a password as an option",
        r"\bhtpasswd\s+(?:-\w+\s+){0,4}-\w*b\w*\s+(?:-\w+\s+){0,4}(?:(?!-)\S+\s+){1,2}?(?=\S+[^\S\n]*(?:$|[;&|>\n]))",
    ),
    (
        "a password as an argument",
        rf"\b(?:mysqladmin{_THEN}password|rclone{_THEN}pass(?:word)?){_SEP}",
    ),
    (
        "a password in a configuration",
        r"(?:(?:(?<=['\"\n])|(?<=\\n)|(?<=echo ))requirepass|\b(?:user|owner|input)_pw)\s+",
    ),
    (
        "a password in SQL",
        r"(?i)\b(?:identified\s+(?:with\s+\S+\s+)?by|(?:user|role)\s[^;]{0,200}?\bpassword)\s+"
        r"(?=\\?['\"])",
    ),
    ("a cookie", rf"(?<![\w-])(?:-b|--cookie){_BETWEEN}(?=\\?['\"]?[\w.-]+=)"),
    ("a password of OpenSSL", r"(?<=[\s'\"])pass:"),
    (
        "a password of a .netrc",
        rf"{_BEGIN}machine{_SEP}{_PLAIN}{_SEP}(?:(?:login|account){_SEP}{_PLAIN}{_SEP}){{0,2}}"
        rf"password{_SEP}",
    ),
    ("a login's password", rf"{_BEGIN}login{_SEP}{_PLAIN}{_SEP}password{_SEP}"),
    (
        "a token in a configuration",
        rf"(?i){_BEGIN}[\w/:.@-]{{0,200}}?(?:_authtoken|_auth|_password|npmauthtoken|"
        r"aws_secret_access_key|aws_session_token)['\"]?\s+(?=[^\s=])",
    ),
    (
        "a token in a configuration",
        r"(?i)\b(?:config|configure)\s+(?:[^\s;&|]+\s+){0,3}?set\s+(?:-\S+\s+){0,2}[^\s;&|=]{0,200}"
        r"(?:password|token|secret|api[-_]?key|access[-_]?key)['\"]?\s+",
    ),
    ("a password for the registry", r"\\?[\"']auth\\?[\"']\s*:\s*(?=\\?[\"'][\w+/=]{8,}\\?[\"'])"),
]

# Options that take a password, by the programs that have them; `attached` ones also without blank.
_OPTIONS = [
    (r"twine|7z\w?|sshpass", "p", "attached"),
    ("redis-cli", "a", "attached"),
    ("sqlcmd", "P", "attached"),
    (r"mongo|mongosh|mongodump|useradd|usermod|cqlsh|ncftp\w*", "p", ""),
    ("zip|unzip", "P", ""),
    (r"ldap\w+", "w", ""),
    ("openssl", "[kK]", ""),
    ("ssh-keygen", "[NP]", ""),
]
# Options that take a token, or the name of something.
_PERHAPS_OPTIONS = [
    ("fly|flyctl|vercel|codecov|ghr|anaconda|doctl", "-t"),
    ("dotnet", "-k"),
    ("SUSEConnect", "-r"),
    ("netlify", "--auth"),
    ("gem", "--key"),
]
# Commands that take a secret as their next word; * is any word, and options may stand between.
_ARGUMENTS = {
    "a token as an argument": (
        *("vault login", "cargo login", "wandb login", "snyk auth", "nuget setapikey"),
        *("heroku auth:token", "ngrok authtoken", "ngrok config add-authtoken", "pro attach"),
        *("travis encrypt", "bw unlock", "mc alias set * * *"),
    ),
    "a password as an argument": (
        *("rclone obscure", "ansible-vault encrypt_string", "cf auth *", "bw login *"),
        *("rabbitmqctl add_user *", "rabbitmqctl change_password *", "net user *"),
        *("grafana-cli admin reset-admin-password", "pulumi config set --secret *"),
    ),
    "a token in a configuration": (
        *("poetry config http-basic.* *", "poetry config pypi-token.*"),
        *("composer config http-basic.* *", "composer config github-oauth.*"),
        *("composer config gitlab-token.*", "composer config bearer.*"),
    ),
}


def _phrase(words: str) -> str:
    r"""What matches a command up to its secret, in a shell's form and in JSON.

    >>> bool(re.match(_phrase("vault login"), "vault -q login x"))
    True
    """
    one, between = r"[^\s'\",;&|-][^\s'\",;&|]{0,200}", rf"{_GAP}(?:-[^\s'\",;&|]*{_GAP}){{0,3}}"
    words = [re.escape(word).replace(r"\*", one) for word in words.split()]
    return r"\b" + between.join(words) + rf"{_GAP}(?=[^-/\s<>|&;])"


_ALL_BEFORE = [
    (what, re.compile(pattern))
    for what, pattern in [
        *_BEFORE,
        *(
            (
                "a password as an option",
                rf"\b(?:{programs}){_THEN}-{option}{_BETWEEN}"
                + (r"?(?=[^\s,\]])" if attached else ""),
            )
            for programs, option, attached in _OPTIONS
        ),
        *(
            ("perhaps a token as an option", rf"\b(?:{programs}){_THEN}{option}{_BETWEEN}")
            for programs, option in _PERHAPS_OPTIONS
        ),
        *((what, _phrase(words)) for what, several in _ARGUMENTS.items() for words in several),
    ]
]

_TAKERS = (  # of a password, or a token, from their standard input
    r"(?:sudo\s+-\w*S|passwd\s+(?:\S+\s+){0,3}--stdin|vncpasswd\s+-f|"
    r"\w+\s+(?:\w+\s+){0,2}login\b[^|;&<]{0,200}--(?:password-stdin|with-token)|"
    r"gpg\d?\s[^|;&<]{0,200}?--passphrase-fd[\s=]0)"
)

# What has the secret in its middle.
_USER = r"(?P<quote>\\?['\"])?(?P<user>[^\s:'\",$\\]+):(?!//|\$)"
_MIDDLE = [
    (
        "a password in an address",
        r"://(?P<user>[^\s:/@'\"$]{0,200}):(?P<secret>[^\s/'\"$]{1,500})(?=@)",
    ),
    (
        "a password in an image's name",  # what follows a digest's @ is its kind
        r"(?<![^\s'\"=])(?P<user>[^\s:/@'\"=$]{1,100}):(?P<secret>[^\s:/@'\"$]{1,200})"
        r"(?=@(?!sha\d+:)[\w.-]{1,200}[:/])",
    ),
    ("a token in an address", r"://(?P<secret>[\w.~%+-]{16,300})(?=(?::[^\s/@'\"]{0,200})?@)"),
    (
        "a password as an option",
        rf"(?<![\w-])(?:-[uU]|--user|--proxy-user)(?=[\s='\"]){_BETWEEN}{_USER}"
        rf"(?P<secret>(?(quote)(?:(?!(?P=quote)).)*|{_WORD % (1, 1, 1)}))",
    ),
    (
        "a password as an option",
        rf"\bcurl\s(?:[^;&|]{{0,300}}?\s)??-[A-Za-z#]*u\s*{_USER}"
        rf"(?P<secret>(?(quote)(?:(?!(?P=quote)).)*|{_WORD % (1, 1, 1)}))",
    ),
    ("a password as an option", r"\s-U\s*['\"]?(?P<user>[\w.-]+)%(?P<secret>[^\s'\"$]+)"),
    (
        "a password as an option",
        rf"\b(?:http|https|xh){_THEN}(?:-a|--auth){_BETWEEN}{_USER}"
        rf"(?P<secret>(?(quote)(?:(?!(?P=quote)).)*|{_WORD % (1, 1, 1)}))",
    ),
    (
        "a password as an option",
        r"\blftp\s[^;&|]{0,200}?-u\s*(?P<user>[\w.-]+),(?P<secret>[^\s'\"$]+)",
    ),
    (
        "a password of a connection",
        r"(?<![\w.-])(?P<user>[\w.-]{1,100}):(?P<secret>[^\s@'\"$]{1,200})(?=@(?:tcp|unix)\()",
    ),
    (
        "a password of a connection",
        r"\b(?:sqlplus|sqlldr|expdp|impdp)\s(?:-\S+\s+){0,3}['\"]?(?P<user>\w+)/(?P<secret>[^\s@'\"$/]+)",
    ),
    (
        "a password in PHP",
        r"\bdefine\(\s*\\?['\"](?P<name>\w{1,60})\\?['\"]\s*,\s*\\?['\"](?P<secret>[^'\"\\$]{1,300})",
    ),
    ("a signature in an address", r"[?&](?:sig|X-Amz-Signature)=(?P<secret>[\w%+/=-]{16,300})"),
    ("a password in XML", r"<(?P<name>[\w.:-]{1,60})>(?P<secret>[^<>$]{1,300})</(?P=name)>"),
    (
        "a password in XML",
        r"\bkey=\\?['\"](?P<name>[\w.:-]{1,60})\\?['\"]\s+value=\\?['\"](?P<secret>[^'\"\\$]{1,300})",
    ),
    ("a password of a connection", r"(?<=;)\s?[Pp]wd\s?=\s?(?P<secret>[^;'\"\s$]{1,200})"),
    (
        "a password of a user",
        rf"\b{_TAKERS}[^|;&<]{{0,100}}<<<\s*\\?['\"]?(?P<secret>[^\s'\"$]+)",
    ),
    (
        "a password of a user",
        r"\bchpasswd\b[^\n|;&]{0,100}?<<<?-?\s*(?:\\?['\"]?\w{1,100}\\?['\"]?[^\n]{0,200}\n)?\\?['\"]?"
        r"(?P<user>[\w.-]+):(?P<secret>[^\s'\"]+)",
    ),
]
# What takes a password from the end of a pipe, and how that stands in what is echoed.
_PIPED = [
    (
        re.compile(r"\|\s*(?:[\w/]+\s+){0,2}chpasswd\b"),
        re.compile(r"[\w.-]:(?P<secret>[^\s'\"\\]+)"),
    ),
    (
        re.compile(r"\|\s*" + _TAKERS),
        re.compile(r"\s(?!['\"]?%\w)(?P<secret>[^\s'\"\\-][^\s'\"\\]*|'[^']+|\"[^\"]+)"),
    ),
]
_ECHO = re.compile(r"\b(?:echo|printf)(?=\s)")
_ALL_MIDDLE = [(what, re.compile(pattern, re.DOTALL)) for what, pattern in _MIDDLE]
_FETCHES = re.compile(r"\b(?:curl|wget|https?|aria2c|lftp|xh)\b")


# --- finding -------------------------------------------------------------------------

VALUE_OF = "the value of "  # and a name


@dataclass(frozen=True)
class Secret:
    """The position of a secret in a text, its kind, and whether it `counts`, being a real one."""

    start: int
    end: int
    what: str
    counts: bool


def secrets_in(text: str) -> Iterator[Secret]:
    """Yield everything in a text that looks like a secret, sometimes twice."""
    for what, pattern in _ANY_SHAPE:
        for found in pattern.finditer(text):
            yield Secret(*found.span(), what, what != _A_KEY or has_private_key(found[0]))
    for what, pattern in _ALL_BEFORE:
        for found in pattern.finditer(text):
            yield from _after(text, found.start(), found.end(), what)
    for what, pattern in _ALL_MIDDLE:
        for found in pattern.finditer(text):
            yield from _in_the_middle(text, found, what)
    yield from _piped(text)
    yield from _named(text)


def _piped(text: str) -> Iterator[Secret]:
    """What is echoed into a program that takes passwords."""
    for taker, secret in _PIPED:
        for found in taker.finditer(text):
            begin = max(0, found.start() - 300)
            echoes = [echo.end() for echo in _ECHO.finditer(text, begin, found.start())]
            for said in secret.finditer(text, echoes[-1], found.start()) if echoes else ():
                word = said["secret"]
                if word.strip("'\"").startswith("$"):
                    continue
                yield Secret(*said.span("secret"), "a password of a user", is_value(word))


def _after(text: str, start: int, at: int, what: str) -> Iterator[Secret]:
    """The word at `at`, which something that began at `start` says is a secret."""
    before = text[max(0, start - 1) : start]
    quoted = before in _INSIDE and text[at - 1 : at] == "="
    value = (_INSIDE[before] if quoted else _VALUE).match(text, at)
    word = _bare(value)
    if not word or word.startswith(("-", "$")):
        return
    if what in _NAMES:
        is_one = _has_random(word)
    else:
        is_one = what not in _PROSE or _is_random(_FIRST.match(word)[0])
    if is_one:
        yield Secret(at, value.end(), what, _is_real(word))


def _is_real(word: str) -> bool:
    """Whether a value, or its first word, may be a real one: more of a command may be quoted."""
    return is_value(word) or is_value(_FIRST.match(word)[0])


def _bare(value: re.Match | None) -> str:
    return value[0].strip("\\'\"") if value else ""


def _in_the_middle(text: str, found: re.Match, what: str) -> Iterator[Secret]:
    user, word = found.groupdict().get("user"), found["secret"]
    counts = is_value(word) and word != user
    if what == "a token in an address":
        if not _is_random(word):
            return
    elif what == "a password in an image's name":
        counts = _is_random(word)
    elif what == "a password in an address":
        counts = counts and not _USUAL.fullmatch(word)
    elif "quote" in found.groupdict():
        if word == user or (user + word).isdigit():
            return  # a group
        command = re.split("[;&|]", text[max(0, found.start() - 300) : found.end()])[-1]
        counts = counts and bool(_is_random(word) or _FETCHES.search(command))
    elif word.startswith("$") or not is_secret_name(found.groupdict().get("name", "PASSWORD")):
        return
    yield Secret(*found.span("secret"), what, counts)


def _named(text: str) -> Iterator[Secret]:
    """The values of names that hold secrets: `NAME=value`, `"name": "value"`, `Name: value`."""
    done = 0
    for found in _NAME.finditer(text):
        name, start = found["name"], found.start("name")
        own = name[1:] if found["dash"] == "-" and name[0] == "D" else name  # -Dpassword=
        is_name = is_secret_name(name) or is_secret_name(own)
        if start < done or not (is_name or _PERHAPS.search(own)):
            continue
        at = found.end()
        # With the quote before the name, as in "NAME=a b", the value ends where it closes.
        before = text[max(0, found.start() - 2) : found.start()]
        quote = before if before in _INSIDE else before[-1:]
        is_header = found["is"].strip() == ":"
        bare = found["is"] == ":" and text[at : at + 1] not in "'\""
        if bare and (quote not in _INSIDE or not _HEADER.search(name)):
            continue
        if scheme := _SCHEME.match(text, at) if is_header else None:
            at = scheme.end()
        opened = quote in _INSIDE and (found["is"] == "=" or is_header)
        value = (_INSIDE[quote] if opened else _VALUE).match(text, at)
        word = _bare(value)
        if word and _is_real(word) and (is_name or may_be_secret(own, word)):
            prose = is_header and not scheme and not opened and word.isalpha()  # "the token: it is"
            done = value.end()
            yield Secret(at, done, VALUE_OF + own, is_secret(own, word) and not prose)


def shapes(text: str) -> Iterator[str]:
    """Return the kinds of secrets with real values in a text, in words, each once."""
    yield from dict.fromkeys(found.what for found in secrets_in(text) if found.counts)
