"""Take the parameters of a published experiment: stages/profiles/NAME.yaml, laid over params.yaml.

python -m stages.tools.profile                                list the profiles
dvc exp run $(python -m stages.tools.profile NAME)            one experiment; further -S options win over the profile
python -m stages.tools.profile NAME --apply && dvc repro      changes params.yaml, until `git checkout` undoes it

A profile holds the parameters that differ, with the sources of the numbers as comments. Under `sets`, `variants` and
`report.contrasts` it names all that there shall be: others are removed.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.common import params
from stages.common.errors import InputError
from stages.tools import command

PROFILES = Path(__file__).parent.parent / "profiles"
REFUSED = "--no-such-profile"  # an unknown option, so that `dvc exp run $(...)` does not run without the profile
# mappings of names: a profile replaces each as a whole
REPLACED = ("sets", "variants", "report.contrasts", "train.head.options")


def names() -> list[str]:
    """Return the names of the profiles."""
    return sorted(file.stem for file in PROFILES.glob("*.yaml"))


def overrides(name: str) -> list[str]:
    """Return a profile as overrides of params.yaml in the words of `dvc exp run -S`.

    Raises ValueError for a profile that does not exist, and for a key that params.yaml does not have.
    """
    if name not in names():
        raise InputError(None, f"no profile {name!r}", allowed=", ".join(names()))
    file = PROFILES / f"{name}.yaml"
    return laid_over(params.read(file), params.read(), file)


def laid_over(node: dict[str, Any], current: dict[str, Any], file: Path) -> list[str]:
    """Return as overrides what turns the parameters `current` into `node`, of which `file` gave the differing part."""
    return list(_laid_over(node, current, "", file))


def _laid_over(node: dict[str, Any], current: dict[str, Any], path: str, file: Path) -> Iterator[str]:
    is_replaced = path in REPLACED or path.rpartition(".")[0] in REPLACED  # the names, and the keys of each
    if is_replaced:
        yield from (f"~{path}.{key}" for key in current if key not in node)
    for key, value in node.items():
        full = f"{path}.{key}" if path else key
        if key not in current:
            if not is_replaced:
                raise InputError(file, f"{full} is not a key of {params.FILE}", allowed=", ".join(current))
            yield f"+{full}={_worded(value)}"
        elif isinstance(value, dict) and isinstance(current[key], dict):
            yield from _laid_over(value, current[key], full, file)
        else:
            yield f"{full}={_worded(value)}"


def _worded(value: Any) -> str:
    """Return a value in Hydra's grammar, without blanks, so that a shell takes it for one word."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_worded(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_worded, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def title(name: str) -> str:
    """Return the title of a profile: the first line of its file, without its name."""
    return (PROFILES / f"{name}.yaml").read_text().splitlines()[0].removeprefix(f"# {name}: ")


def apply(name: str) -> None:
    """Change params.yaml as the profile says; its comments stay."""
    from dvc.utils.hydra import apply_overrides  # slow, and only this needs it

    apply_overrides(str(params.FILE), overrides(name))


def main(arguments: list[str]) -> str:
    """Return what the command line prints."""
    parser = argparse.ArgumentParser("python -m stages.tools.profile", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("name", nargs="?", help="of a profile; without one they are listed")
    parser.add_argument("--apply", action="store_true", help="change params.yaml instead of printing options")
    args = parser.parse_args(arguments)
    if args.name is None:
        return "\n".join(f"{name:16} {title(name)}" for name in names())
    if not args.apply:
        try:
            return " ".join(f"-S {override}" for override in overrides(args.name))
        except ValueError:
            print(REFUSED)
            raise
    apply(args.name)
    return f"{params.FILE} holds {args.name}; `git diff {params.FILE}` shows it, `dvc repro` runs it"


if __name__ == "__main__":
    command.run(main)
