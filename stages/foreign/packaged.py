"""Find the network that comes in packages: dlib-bin reads it, face-recognition-models holds its weights."""

from importlib.util import find_spec
from pathlib import Path

from stages.common.errors import InputError

READER, HOLDER = "dlib", "face_recognition_models"  # by the names under which they are imported
EMBEDDING_SIZE = 128  # numbers in a row of this network


def weights() -> Path:
    """Return the file with the weights, without importing either package; raises InputError where one is missing.

    The package that holds them cannot be imported beside a setuptools of today, whose pkg_resources it asks for.
    """
    for name in (READER, HOLDER):
        if find_spec(name) is None:
            raise InputError(None, f"{name} is not installed; pip install -e '.[dlib]' brings it")
    holder = find_spec(HOLDER)
    assert holder is not None and holder.origin is not None
    return Path(holder.origin).parent / "models" / "dlib_face_recognition_resnet_model_v1.dat"
