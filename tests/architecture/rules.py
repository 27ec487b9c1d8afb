"""The rules of the house that can be read off the files: who may include whom, what a pure room may use.

Every checker takes text and returns a list of faults, so that the tests can show it a bad sample.
"""

import re

# The rooms and what each may use, itself included (docs/architecture.md). "probes" is health/probes and its public header.
USES = {
    "base": {"base"},
    "net": {"base", "net"},
    "bgp": {"base", "net", "bgp"},
    "bfd": {"base", "net", "bfd"},
    "health": {"base", "net", "health"},
    "probes": {"base", "net", "health", "probes"},
    "failover": {"base", "net", "bgp", "health", "failover"},
    "conf": {"base", "net", "bgp", "bfd", "health", "probes", "failover", "conf"},
    "speaker": {"base", "net", "bgp", "bfd", "health", "failover", "conf", "speaker"},
    "daemon": {"base", "net", "bgp", "bfd", "health", "probes", "failover", "conf", "speaker", "daemon"},
    "tools": {"base", "net", "bgp", "bfd", "health", "probes", "failover", "conf", "speaker", "daemon", "tools"},
}
PURE = {"base", "net", "bgp", "bfd", "health", "failover", "speaker"}
# The one header of base that reads a clock; adapters include it.
CLOCK = "include/swerve/base/clock.hpp"
# A digest is a function of its octets: the one pure file that may ask a library of cryptography.
DIGEST = "bfd/digest.cpp"

# Rooms whose private headers others may include: daemon has no public ones, the registry of probes is read by conf.
OPEN = {"daemon", "probes", "speaker"}

PURE_HEADERS = re.compile(
    r"boost/|yaml-cpp/|prometheus/|spdlog/|openssl/|swerve/base/clock\.hpp$|sys/(socket|epoll|timerfd|types)\.h$|unistd\.h$|"
    r"(random|thread|mutex|future|condition_variable|stop_token|filesystem|fstream|iostream|print|cstdio|syncstream)$")
PURE_WORDS = re.compile(r"::now\s*\(|\bclock_gettime\b|\bstd::(cout|cerr|clog)\b|\bspdlog::|\bprintf\s*\(|\bstd::rand\b|\brandom_device\b")
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')

MARKERS = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
LINES_AT_MOST = 500


def room_of(path):
    """The room of a file of the tree or of an include line, None for what is in no room (tests, system headers)."""
    path = path.removeprefix("include/")
    if path == "swerve/health/probe.hpp" or path.startswith("health/probes/"):
        return "probes"
    if path.startswith("daemon/speaker/"):
        return "speaker"
    parts = path.split("/")
    if parts[0] == "swerve" and len(parts) > 2:
        return parts[1] if parts[1] in USES else None
    if len(parts) > 1 and parts[0] in USES and parts[0] not in ("base", "net"):
        return parts[0]
    return None


def without_comments(line):
    return line.split("//")[0]


def include_faults(path, text):
    """Faults of the include lines of one source file against the dependency rule."""
    room = room_of(path)
    faults = []
    if room is None:
        return faults
    for number, line in enumerate(text.splitlines(), 1):
        found = INCLUDE.match(line)
        if not found:
            continue
        target = found.group(1)
        where = f"{path}:{number}: "
        used = room_of(target)
        if used is not None and used not in USES[room]:
            faults.append(f"{where}{room} must not include {used} ({target})")
        elif used is not None and used != room and used not in OPEN and not target.startswith("swerve/"):
            faults.append(f"{where}{target} is private to {used}")
        if target.startswith("yaml-cpp/") and room != "conf":
            faults.append(f"{where}only conf knows YAML ({target})")
        if room in PURE and path not in (CLOCK, DIGEST) and PURE_HEADERS.search(target):
            faults.append(f"{where}{room} is pure and must not include {target}")
    return faults


def purity_faults(path, text):
    """Clocks, logs and global state in a pure room."""
    if room_of(path) not in PURE or path == CLOCK:
        return []
    faults = []
    for number, line in enumerate(text.splitlines(), 1):
        found = PURE_WORDS.search(without_comments(line))
        if found:
            faults.append(f"{path}:{number}: a pure room must not use {found.group(0).strip()}")
    return faults


def marker_faults(path, text):
    return [f"{path}:{number}: {found.group(0)} marks unfinished work: do it or write an issue"
            for number, line in enumerate(text.splitlines(), 1) if (found := MARKERS.search(line))]


def length_faults(path, text):
    count = text.count("\n")
    return [] if count <= LINES_AT_MOST else [f"{path}: {count} lines, more than {LINES_AT_MOST}"]


def preset_faults(presets):
    """Presets that name one that does not exist."""
    known = {preset["name"] for preset in presets.get("configurePresets", [])}
    faults = []
    for preset in presets.get("configurePresets", []):
        parents = preset.get("inherits", [])
        for parent in [parents] if isinstance(parents, str) else parents:
            if parent not in known:
                faults.append(f"{preset['name']} inherits {parent}, which does not exist")
    for kind in ("buildPresets", "testPresets"):
        for preset in presets.get(kind, []):
            if preset.get("configurePreset") not in known:
                faults.append(f"{kind} {preset['name']}: configurePreset {preset.get('configurePreset')} does not exist")
    return faults


def blocks(markdown, language):
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", markdown, re.MULTILINE | re.DOTALL)


def links(markdown):
    """Targets of links within the repository, without their anchors."""
    targets = re.findall(r"\]\(([^)\s]+)\)", markdown)
    return [target.split("#")[0] for target in targets if not target.startswith(("http://", "https://", "#"))]


def shell_commands(markdown):
    """The commands in the ```sh blocks of a page, without prompts, comments and continuation lines."""
    commands = []
    for block in blocks(markdown, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            line = line.strip().removeprefix("$ ")
            line = re.sub(r"(^|\s)#.*$", "", line).strip()
            if line:
                commands.append(line)
    return commands


def command_faults(commands, exists, subcommands):
    """Commands of a page that cannot run: a script that is not there, a word that swervectl does not know.

    `exists(path)` says whether a path of the repository is an executable file; `subcommands` is the set of swervectl's.
    """
    faults = []
    for command in commands:
        words = [word for word in command.split() if word != "sudo"]
        program = words[0]
        if program.startswith(("./", "tools/")) and not exists(program.removeprefix("./")):
            faults.append(f"'{command}': {program} is no executable file")
        if program.split("/")[-1] == "swervectl":
            arguments = iter(words[1:])
            for word in arguments:
                if word in ("--socket", "--color"):
                    next(arguments, None)
                elif not word.startswith("-"):
                    if word not in subcommands:
                        faults.append(f"'{command}': swervectl has no command {word}")
                    break
    return faults
