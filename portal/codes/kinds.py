"""The closed lists of this feature. Pure."""

from enum import StrEnum


class CodeSystem(StrEnum):
    """The public tables whose texts may be kept. CPT is none of them: its texts belong to the AMA."""

    HCPCS = "hcpcs"
    ICD10CM = "icd10cm"
