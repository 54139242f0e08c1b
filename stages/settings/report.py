"""The `report` section of params.yaml."""

from stages.common.params import Count, settings


@settings
class Report:
    """What the report shows: rows and columns of the face sheet, identities of the map."""

    sheet_identities: Count
    sheet_images: Count
    map_identities: Count
    map_images: Count
