"""The commits of a git repository as JSON: real texts, real skew."""

import json
import subprocess

# Fields are split by the unit separator, commits by the record separator: neither is in a commit's text.
FORMAT = "%x1e" + "%x1f".join(["%H", "%P", "%aI", "%an", "%ae", "%cI", "%cn", "%ce", "%T", "%s", "%b"]) + "%x1f"


def write(path, repository, most=None):
    """Writes the commits of a repository (bare or not), the oldest first; gives their number."""
    command = ["git", "-C", repository, "log", "--all", "--reverse", "--shortstat", "--encoding=UTF-8", f"--format={FORMAT}"]
    log = subprocess.run(command, check=True, capture_output=True).stdout.decode("utf-8", "replace")
    count = 0
    with open(path, "w", encoding="utf-8") as out:
        for record in log.split("\x1e")[1:]:
            fields = record.split("\x1f")
            if len(fields) != 12:
                continue
            stat = dict(files=0, insertions=0, deletions=0)
            for words in (part.split() for part in fields[11].strip().split(",") if part.strip()):
                stat["files" if words[1].startswith("file") else words[1].removesuffix("(+)").removesuffix("(-)").rstrip("s") + "s"] = int(words[0])
            out.write(json.dumps({
                "timestamp": fields[5], "commit": fields[0], "tree": fields[8], "parents": fields[1].split(),
                "author": {"name": fields[3], "email": fields[4], "date": fields[2]},
                "committer": {"name": fields[6], "email": fields[7]},
                "subject": fields[9], "body": fields[10].strip(), "stat": stat,
            }, ensure_ascii=False) + "\n")
            count += 1
            if count == most:
                break
    return count
