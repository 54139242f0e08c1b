"""The `report` section of params.yaml."""

from typing import Annotated

from pydantic import Field

from stages.common.params import settings

Shown = Annotated[int, Field(ge=1, le=100)]  # a figure has room for so many


@settings
class Report:
    """What the report shows: rows and columns of the face sheet, identities of the map."""

    sheet_identities: Shown
    sheet_images: Shown
    map_identities: Shown
    map_images: Shown
