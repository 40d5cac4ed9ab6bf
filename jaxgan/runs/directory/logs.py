"""What a run has logged, read back: lines and entries that are damaged are reported."""

import json
import warnings
from pathlib import Path
from typing import Any


def read_metrics(path: Path, *, most: int | None = None) -> list[dict[str, float]]:
    """Records of a JSON Lines file, without a last line that was cut short by a crash.

    Other lines that are damaged are left out with a warning.

    Args:
      path: the file; no records if it does not exist.
      most: of more records, about that many are read, every k-th and the last.
    """
    records, damaged = [], []
    lines = path.read_bytes().split(b"\n") if path.is_file() else []
    k = 1 if most is None else max(1, len(lines) // most)
    first = max(0, len(lines) - 2) % k
    for number, line in list(enumerate(lines, 1))[first::k]:
        try:
            records.append(_record(line))
        except (ValueError, RecursionError):
            if number < len(lines):  # what follows the last newline is empty or cut short
                damaged.append(number)
    if damaged:
        listed = ", ".join(map(str, damaged[:10])) + ("..." if len(damaged) > 10 else "")
        warnings.warn(f"{path} is damaged in line {listed}, which is left out", stacklevel=2)
    return records


def read_evaluations(path: Path) -> list[dict[str, Any]]:
    """Entries `{"step": ..., "records": [...]}` of an `evaluation.json`; none if it is absent.

    Raises:
      ValueError: the file is damaged.
    """
    if not path.is_file():
        return []
    try:
        entries = json.loads(path.read_bytes())["evaluations"]
        for entry in entries:
            _check_step(entry)
            for record in entry["records"]:
                if not (isinstance(record["name"], str) and _is_number(record["value"])):
                    raise ValueError("a record has no name or value")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({type(error).__name__}: {error})") from None
    return entries


def read_health(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Notes `{"step", "sign", "text"}` and rollbacks `{"to", "why"}` of a `health.json`.

    Raises:
      ValueError: the file is damaged.
    """
    if not path.is_file():
        return {"notes": [], "rollbacks": []}
    try:
        content = json.loads(path.read_bytes())
        notes, rollbacks = content["notes"], content["rollbacks"]
        steps = [note["step"] for note in notes] + [back["to"] for back in rollbacks]
        texts = [note[name] for note in notes for name in ("sign", "text")]
        texts += [back["why"] for back in rollbacks]
        if not all(type(s) is int for s in steps) or not all(isinstance(t, str) for t in texts):
            raise ValueError("expected steps and texts")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({type(error).__name__}: {error})") from None
    return {"notes": notes, "rollbacks": rollbacks}


def _record(line: bytes) -> dict[str, float]:
    record = json.loads(line)
    _check_step(record)
    if not all(map(_is_number, record.values())) or "seconds" not in record:
        raise ValueError("expected numbers")
    return record


def _check_step(entry: Any) -> None:
    if not isinstance(entry, dict) or type(entry.get("step")) is not int:
        raise ValueError("expected an object with a step")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
