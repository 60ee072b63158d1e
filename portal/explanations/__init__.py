"""Plain words for what an insurer did to a charge. Pure: data files and functions, no web, database or network."""

from portal.explanations.catalogue import CatalogueError, Term, glossary, languages, term
from portal.explanations.compose import Explanation, explain, explain_line
from portal.explanations.facts import AdjustmentFact
from portal.explanations.services import modifier_text, service_category

__all__ = [
    "AdjustmentFact",
    "CatalogueError",
    "Explanation",
    "Term",
    "explain",
    "explain_line",
    "glossary",
    "languages",
    "modifier_text",
    "service_category",
    "term",
]
