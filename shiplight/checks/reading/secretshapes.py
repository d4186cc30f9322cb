"""Hold the shapes of secrets: tokens that are known by themselves, and what stands around others.

A table of patterns; what they find is judged in `secretwords`. Matching takes linear
time.
"""

import re

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


_MADE = r"(?=[\w-]{0,99}\d)(?=[\d_-]{0,99}[A-Za-z])"  # what follows has digits and letters
# What is a secret wherever it stands.
A_KEY = "a private key"
_SHAPES = {
    A_KEY: (
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?"
        r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)"
    ),
    "a private key in base64": r"\bLS0tLS1CRUdJTi(?!BDRV|BQVU)[A-Za-z0-9+/]{20,}={0,2}",
    "an age key": r"\bAGE-SECRET-KEY-1[A-Z0-9]{30,}",
    "an AWS access key": r"\b(?:A[KS]IA|ABIA|ACCA)[0-9A-Z]{16}\b|\bABSK[A-Za-z0-9+/]{99,}={0,2}",
    "a GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{22,})",
    "a GitLab token": (
        r"\b(?:gl(?:pat|dt|rt|soat|cbt|ptt|ft|imt|agent|oas|ffct)-|GR1348941)[\w-]{20,}"
    ),
    "an npm token": r"\bnpm_[A-Za-z0-9]{36,}",
    "a PyPI token": r"\bpypi-(?=[\w-]{0,99}[A-Z])(?=[\w-]{0,99}\d)[\w-]{16,}",
    "a Docker token": r"\bdckr_(?:pat|oat)_[\w-]{16,}|\bSWMTKN-1-[\w-]{20,}",
    "a Slack token": r"\bxox[abceprs]-[\w-]{10,}|\bhooks\.slack\.com/services/[\w/]{20,}",
    "the address of a webhook": (
        r"\bdiscord(?:app)?\.com/api/(?:v\d{1,2}/)?webhooks/\d{17,20}/[\w-]{60,}|"
        r"\b(?:webhook|outlook)\.office(?:365)?\.com/webhook\w{0,4}/[\w@-]{1,99}/"
        r"IncomingWebhook/[\w/-]{32,}"
    ),
    "a Google key": r"\bAIza[\w-]{35}|\bya29\.[\w-]{20,}|\bGOCSPX-[\w-]{20,}",
    "an Anthropic key": r"\bsk-ant-[\w-]{16,}",
    "an OpenAI key": r"\bsk-(?:proj|svcacct|admin|None)-[\w-]{16,}|\bsk-[A-Za-z0-9]{32,}",
    "a Stripe key": r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}|\bwhsec_[A-Za-z0-9+/]{24,}",
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{20,}",
    "a SendGrid key": r"\bSG\.[\w-]{16,}\.[\w-]{16,}",
    "a JSON web token": r"\beyJ[\w-]{8,9000}+\.[\w-]{8,}(?:\.[\w-]*)?",
    "a Vault token": r"\bhv[sbr]\.[\w-]{20,}",
    "an Azure client secret": r"(?<![\w~.-])[\w~.]{3}\dQ~[\w~.-]{31,34}(?![\w~.-])",
    "a 1Password key": r"\bops_eyJ[A-Za-z0-9+/]{99,}|\bA3-[A-Z0-9]{6}(?:-?[A-Z0-9]{5,6}){5}\b",
    "a token of a service": (
        r"\b(?:dop_v1_|doo_v1_|dor_v1_|shp(?:at|ca|pa|ss)_|dapi|rubygems_|lin_api_|pscale_\w{2,5}_|"
        r"glsa_|glc_|sntr[yu]s_|ATATT3|ATCTT3|nfp_|ntn_|figd_|HRKU-|pul-|r8_|sq0(?:atp|csp)-|"
        r"(?<![+/])EAA[A-Z]|FlyV1 fm\d_|key-|SK|oy2|AKCp|phc_|xkeysib-|tfp_|nvapi-|PMAK-|bkua_|"
        r"tskey-(?:auth|api|client|scim|webhook)-|CCIP(?:AT|RJ)_|lsv2_(?:pt|sk)_|sk-or-v1-|CFPAT-|"
        r"pcsk_|sgp_|tk-us-|(?:duffel|shippo)_(?:live|test)_|pat-(?:na|eu)\d-)"
        rf"{_MADE}[\w-]{{28,}}|"
        # Names and words begin so, too: no mark stands in these tokens.
        r"\b(?:gsk_|xai-|pplx-|sbp_|sq[apu]_|CLOJARS_|rdme_|pnu_|ddp_|ico-|lin_oauth_|tvly-|jina_|"
        rf"napi_|ATBB|ATTA|cio|EZ[AT]K|cmVmdGtu){_MADE}[A-Za-z0-9]{{28,}}|"
        r"\bNRAK-[A-Z0-9]{27}\b|\bsha256~[\w-]{43}\b|\bpat\w{14}\.[0-9a-f]{64}\b|"
        r"\bdp\.(?:pt|st|ct|sa|scim|audit)\.(?:[\w-]{1,40}\.)?[A-Za-z0-9]{40,}|"
        r"\bdt0[a-z]\d\d\.[A-Z0-9]{24}\.[A-Z0-9]{64}\b|"
        r"\b\d{8,10}:AA[\w-]{33}\b|\b\w{14}\.atlasv1\.[\w-]{40,}"
    ),
}
TOKENS = [(what, re.compile(pattern, re.DOTALL)) for what, pattern in _SHAPES.items()]

# A word as a shell takes it, and quotes that are escaped for a JSON form or an outer shell. A comma
# after a quote parts the strings of a JSON form.
WORD = (
    r"""(?:\\(?P<q%d>["'])(?:(?!\\(?P=q%d)).){0,2000}\\(?P=q%d)|\\.|"(?:\\.|[^"\\])*(?:"|$)|"""
    r"""'[^']*(?:'|$)|[^\s'"\\,;&|)]|(?<!['"]),)+"""
)
BEGIN = r"(?:(?<![\w$-])(?<!\$\{)|(?<=\\[ntr]))"  # of a name, which may stand behind a \n
_BETWEEN = r"""(?:\s*=\s*|\s+|\\?['"]\s*,?\s*(?=\\?['"]))"""  # an option and its value, in JSON too
_LONG = r"(?<![\w-])--?(?!no-|disable|without)(?:[a-z]\w*[-.]){0,3}"
_THEN = r"""['",\s](?:[^;&|]{0,300}?['",\s])??"""  # later in the same command
_GAP = r"(?:\s+|\\?['\"]\s*,\s*\\?['\"])"  # between two words
_SEP = r"(?:\s|\\n|\\t|\\r|['\"]\s*,?\s*['\"])+"

_PLAIN = r"[^\s\\'\"]{1,200}"
# Or what people write about, or a name: only words that a program made are secrets there.
PROSE = {"a bearer token", "basic credentials", "a login's password", "a login's token"}
NAMES = {"a cookie", "perhaps a token as an option", "perhaps a secret of Kubernetes"}

# What makes the word after it a secret: (what, pattern that ends where the value begins).
_BEFORE_THEM = [
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
    ("a login's token", rf"{BEGIN}machine{_SEP}{_PLAIN}{_SEP}login{_SEP}"),
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
        rf"\b(?:mysqladmin{_THEN}password{_SEP}|"
        rf"rclone{_THEN}(?:pass(?:word)?|secret_access_key|client_secret|token)(?:{_SEP}|=))",
    ),
    (
        "a password as an argument",
        r"\b(?:openssl\s+passwd\s+(?:-salt\s+\S+\s+|-(?!in\b|salt\b)\w+\s+){0,4}+|"
        r"mkpasswd\s+(?:(?:-[mSR]|--method|--salt|--rounds)[\s=]\s*\S+\s+|-[\w=-]+\s+){0,4}+)"
        r"(?=[^-\s<>|&;)])",
    ),
    ("a secret of Kubernetes", rf"\bcreate\s+secret{_THEN}--from-literal{_BETWEEN}[\w.-]{{1,99}}="),
    ("perhaps a secret of Kubernetes", rf"(?<=\s)--from-literal{_BETWEEN}[\w.-]{{1,99}}="),
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
        rf"{BEGIN}machine{_SEP}{_PLAIN}{_SEP}(?:(?:login|account){_SEP}{_PLAIN}{_SEP}){{0,2}}"
        rf"password{_SEP}",
    ),
    ("a login's password", rf"{BEGIN}login{_SEP}{_PLAIN}{_SEP}password{_SEP}"),
    (
        "a token in a configuration",
        rf"(?i){BEGIN}[\w/:.@-]{{0,200}}?(?:_authtoken|_auth|_password|npmauthtoken|"
        r"aws_secret_access_key|aws_session_token)['\"]?\s+(?=[^\s=])",
    ),
    (
        "a token in a configuration",
        r"(?i)\b(?:config|configure)\s+(?:[^\s;&|]+\s+){0,3}?set\s+(?:-\S+\s+){0,2}[^\s;&|=]{0,200}"
        r"(?:password|token|secret|api[-_]?key|access[-_]?key)['\"]?\s+",
    ),
    (
        "a token in a configuration",  # of Composer, by hosts
        r"\\?[\"'](?:github-oauth|gitlab-oauth|gitlab-token|bearer)\\?[\"']\s*:\s*\{\s*\\?[\"']"
        r"(?=[\w-]{1,99}\.)[\w.:-]{1,200}\\?[\"']\s*:\s*(?=\\?[\"'])",
    ),
    ("a password for the registry", r"\\?[\"']auth\\?[\"']\s*:\s*(?=\\?[\"'][\w+/=]{8,}\\?[\"'])"),
]

# Options that take a password, by the programs that have them; `attached` ones also without blank.
_OPTIONS = [
    (r"twine|7z\w?|sshpass", "p", "attached"),
    ("redis-cli", "a", "attached"),
    ("sqlcmd|bcp|p4", "P", "attached"),
    (r"nuget\s+(?:add|update)\s+source", "p", ""),
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
        "wpa_passphrase *",
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


BEFORE = [
    (what, re.compile(pattern))
    for what, pattern in [
        *_BEFORE_THEM,
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
    r"(?:sudo\s+-\w*S|(?:sudo\s+)?(?:(?:smb)?passwd|kinit)(?=\s|$)|vncpasswd\s+-f|"
    r"\w+\s+(?:\w+\s+){0,2}login\b[^|;&<]{0,200}--(?:password-stdin|with-token)|"
    r"gpg\d?\s[^|;&<]{0,200}?--passphrase-fd[\s=]0)"
)

# What has the secret in its middle.
_USER = r"(?P<quote>\\?['\"])?(?P<user>[^\s:'\",$\\]+):(?!//|\$)"
_AROUND_THEM = [
    (
        "a password in an address",
        r"://(?P<user>(?:\$\{[^\s}]{1,99}\}|\$(?!\{)|[^\s:/@'\"$]){0,200}+):"
        r"(?P<secret>[^\s/'\"$]{1,500})(?=@)",
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
        rf"(?P<secret>(?(quote)(?:(?!(?P=quote)).)*|{WORD % (1, 1, 1)}))",
    ),
    (
        "a password as an option",
        rf"\bcurl\s(?:[^;&|]{{0,300}}?\s)??-[A-Za-z#]*u\s*{_USER}"
        rf"(?P<secret>(?(quote)(?:(?!(?P=quote)).)*|{WORD % (1, 1, 1)}))",
    ),
    ("a password as an option", r"\s-U\s*['\"]?(?P<user>[\w.-]+)%(?P<secret>[^\s'\"$]+)"),
    (
        "a password as an option",
        rf"\b(?:http|https|xh){_THEN}(?:-a|--auth){_BETWEEN}{_USER}"
        rf"(?P<secret>(?(quote)(?:(?!(?P=quote)).)*|{WORD % (1, 1, 1)}))",
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
        "a variable of Windows",
        r"\b(?:setx\s+(?:/[mM]\s+)?|SetEnvironmentVariable\(\s{0,9})\\?['\"]?(?P<name>\w{1,60})\\?['\"]?"
        r"(?:\s+|\s{0,9},\s{0,9})\\?['\"]?(?P<secret>[^\s'\"\\$][^'\"\\$\s]{0,299})",
    ),
    (
        "a password of a connection",
        r"\bjdbc:oracle:\w{1,9}:(?P<user>[\w.-]{1,99})/(?P<secret>[^\s@'\"$/]{1,200})(?=@)",
    ),
    (
        "a password in Python",
        r"\bauth\s{0,3}=\s{0,3}(?:[\w.]{0,40}Auth)?\(\s{0,9}\\?['\"](?P<user>[^\s'\"\\$]{1,99})\\?['\"]"
        r"\s{0,9},\s{0,9}\\?['\"](?P<secret>[^'\"\\$]{1,300})",
    ),
    (
        "a password in PHP",
        r"\bdefine\(\s*\\?['\"](?P<name>\w{1,60})\\?['\"]\s*,\s*\\?['\"](?P<secret>[^'\"\\$]{1,300})",
    ),
    (
        "a password of PostgreSQL",  # a line of .pgpass
        r"(?<![^\s'\"])[\w.*-]{1,99}:(?:\d{1,5}|\*):[\w.*-]{1,63}:(?P<user>(?=[\d_.-]{0,9}[A-Za-z*])"
        r"[\w.*-]{1,63}):(?P<secret>[^\s'\"$:\\]{1,200})(?=[\s'\"]|\\n|$)",
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
PIPED = [
    (
        re.compile(r"\|\s*(?:[\w/]+\s+){0,2}chpasswd\b"),
        re.compile(r"[\w.-]:(?!%s)(?P<secret>[^\s'\"\\]+)"),
    ),
    (
        re.compile(r"\|\s*(?:[\w/]+\s+){0,2}chpasswd\b"),
        re.compile(
            r"(?:(?<!%)[\w.-]:%s[^\s%]{0,9}|%s:%s[^\s%]{0,9}\s+\S{1,99})\s+"
            r"(?P<secret>[^\s'\"\\]+|'[^']+|\"[^\"]+)"
        ),
    ),
    (
        re.compile(r"\|\s*" + _TAKERS),
        re.compile(r"\s(?!['\"]?%\w)(?P<secret>[^\s'\"\\-][^\s'\"\\]*|'[^']+|\"[^\"]+)"),
    ),
]
ECHO = re.compile(r"\b(?:echo|printf)(?=\s)")
AROUND = [(what, re.compile(pattern, re.DOTALL)) for what, pattern in _AROUND_THEM]
