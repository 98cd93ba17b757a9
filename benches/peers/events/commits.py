"""The commits of a git repository as JSON: real texts, real skew."""

import json
import subprocess

# Fields are split by the unit separator, commits by the record separator: neither is in a commit's text.
FIELDS = ["%H", "%P", "%aI", "%an", "%ae", "%cI", "%cn", "%ce", "%T", "%s", "%b"]


def write(path, repository):
    """Writes the commits of a repository (bare or not), the oldest first; gives their number."""
    command = ["git", "-C", repository, "log", "--all", "--reverse", "--encoding=UTF-8", "--format=%x1e" + "%x1f".join(FIELDS)]
    log = subprocess.run(command, check=True, capture_output=True).stdout.decode("utf-8", "replace")
    records = [fields for record in log.split("\x1e") if len(fields := record.split("\x1f")) == len(FIELDS)]
    with open(path, "w", encoding="utf-8") as out:
        for commit, parents, authored, author, email, committed, committer, mail, tree, subject, body in records:
            out.write(json.dumps({
                "timestamp": committed, "commit": commit, "tree": tree, "parents": parents.split(),
                "author": {"name": author, "email": email, "date": authored},
                "committer": {"name": committer, "email": mail},
                "subject": subject, "body": body.strip(),
            }, ensure_ascii=False) + "\n")
    return len(records)
